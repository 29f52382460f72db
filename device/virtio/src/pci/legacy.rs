//! Registers of before version 1 (Virtio 1.3, section 4.1.4.10), in I/O ports.

use southbridge_bus_pci::regs::{COMMAND, Command};
use southbridge_bus_virtio::legacy::{layout, page_of};
use southbridge_bus_virtio::spec::status;
use southbridge_core::Ctx;

use super::VirtioPci;
use super::shape::{LEGACY_LEN, LEGACY_MSIX_LEN};

const DEVICE_FEATURES: u64 = 0;
const DRIVER_FEATURES: u64 = 4;
const QUEUE_ADDRESS: u64 = 8;
const QUEUE_SIZE: u64 = 12;
const QUEUE_SELECT: u64 = 14;
const QUEUE_NOTIFY: u64 = 16;
const DEVICE_STATUS: u64 = 18;
const ISR_STATUS: u64 = 19;
const CONFIG_VECTOR: u64 = 20;
const QUEUE_VECTOR: u64 = 22;

/// Pages of queue addresses, and the alignment of the used ring, are 4 KiB (section 4.1.5.1.3.1).
const PAGE: u64 = 4096;

impl VirtioPci {
    /// Where the device's own configuration begins: the vectors stand before it only while MSI-X is enabled.
    fn legacy_config_at(&self) -> u64 {
        if self.pci.msix_enabled() {
            LEGACY_MSIX_LEN
        } else {
            LEGACY_LEN
        }
    }

    pub(super) fn legacy_read(&mut self, offset: u64, size: u8, cx: &mut Ctx<'_>) -> u64 {
        if let Some(at) = offset.checked_sub(self.legacy_config_at()) {
            return self.endpoint.config_read(at, size);
        }
        let e = &self.endpoint;
        let queue = e.queue(self.selectors.queue).map(|q| *q.config()).unwrap_or_default();
        match offset {
            DEVICE_FEATURES => e.offered_legacy() & 0xffff_ffff,
            DRIVER_FEATURES => e.driver_features() & 0xffff_ffff,
            QUEUE_ADDRESS => page_of(&queue, PAGE),
            QUEUE_SIZE => queue.size.into(),
            QUEUE_SELECT => self.selectors.queue.into(),
            DEVICE_STATUS => e.status().into(),
            ISR_STATUS => u64::from(self.with(cx, |e, _| e.take_isr())),
            CONFIG_VECTOR => self.selectors.config_vector.into(),
            QUEUE_VECTOR => queue.vector.into(),
            _ => u64::MAX,
        }
    }

    pub(super) fn legacy_write(&mut self, offset: u64, size: u8, value: u64, cx: &mut Ctx<'_>) {
        if let Some(at) = offset.checked_sub(self.legacy_config_at()) {
            return self.with(cx, |e, cx| e.config_write(at, size, value, cx));
        }
        let n = self.selectors.queue;
        match offset {
            DRIVER_FEATURES => self.endpoint.choose_features(false, value as u32, cx),
            QUEUE_ADDRESS if value == 0 => self.reset_device(cx),
            QUEUE_ADDRESS => {
                self.endpoint
                    .configure(n, cx, |q| layout(q, (value & 0xffff_ffff) * PAGE, PAGE));
                self.endpoint.enable_queue(n);
            }
            QUEUE_SELECT => self.selectors.queue = value as u16,
            QUEUE_NOTIFY => self.with(cx, |e, cx| e.kick(value as u16, cx)),
            DEVICE_STATUS => self.legacy_status(value as u8, cx),
            CONFIG_VECTOR => self.selectors.config_vector = self.vector(value),
            QUEUE_VECTOR => {
                let vector = self.vector(value);
                self.endpoint.configure(n, cx, |q| q.vector = vector);
            }
            _ => cx.guest_error(format_args!(
                "write of {value:#x} at legacy offset {offset} has no effect"
            )),
        }
    }

    fn legacy_status(&mut self, value: u8, cx: &mut Ctx<'_>) {
        self.set_status(value, cx);
        // Linux before 2.6.34 never enables bus mastering; QEMU does it for them, here.
        if value == status::ACKNOWLEDGE | status::DRIVER {
            self.pci.config.set_bits16(COMMAND, Command::BUS_MASTER.bits(), true);
        }
    }
}
