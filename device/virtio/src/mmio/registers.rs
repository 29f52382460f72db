//! The registers of both versions (Virtio 1.3, tables 4.1 and 4.2).

use southbridge_bus_virtio::legacy::{layout, page_of};
use southbridge_bus_virtio::{Endpoint, QueueConfig, VirtioDevice};
use southbridge_core::{Access, Ctx, DeviceId, Mmio};

use super::VirtioMmio;

const MAGIC_VALUE: u64 = 0x000;
const VERSION: u64 = 0x004;
const DEVICE_ID: u64 = 0x008;
const VENDOR_ID: u64 = 0x00c;
const DEVICE_FEATURES: u64 = 0x010;
const DEVICE_FEATURES_SEL: u64 = 0x014;
const DRIVER_FEATURES: u64 = 0x020;
const DRIVER_FEATURES_SEL: u64 = 0x024;
/// Legacy.
const GUEST_PAGE_SIZE: u64 = 0x028;
const QUEUE_SEL: u64 = 0x030;
const QUEUE_SIZE_MAX: u64 = 0x034;
const QUEUE_SIZE: u64 = 0x038;
/// Legacy.
const QUEUE_ALIGN: u64 = 0x03c;
/// Legacy.
const QUEUE_PFN: u64 = 0x040;
const QUEUE_READY: u64 = 0x044;
const QUEUE_NOTIFY: u64 = 0x050;
const INTERRUPT_STATUS: u64 = 0x060;
const INTERRUPT_ACK: u64 = 0x064;
const STATUS: u64 = 0x070;
const QUEUE_DESC: u64 = 0x080;
const QUEUE_DRIVER: u64 = 0x090;
const QUEUE_DEVICE: u64 = 0x0a0;
const SHM_LEN: u64 = 0x0b0;
const SHM_LEN_HIGH: u64 = 0x0b4;
const QUEUE_RESET: u64 = 0x0c0;
const CONFIG_GENERATION: u64 = 0x0fc;
const CONFIG: u64 = 0x100;

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const VENDOR: u32 = u32::from_le_bytes(*b"QEMU");

/// Runs `f` on the device in the slot, if there is one.
fn drive<T>(child: DeviceId, cx: &mut Ctx<'_>, f: impl FnOnce(&mut Endpoint, &mut Ctx<'_>) -> T) -> Option<T> {
    let mut f = Some(f);
    let mut answer = None;
    cx.with_role::<dyn VirtioDevice, _>(child, |d, cx| {
        d.drive(
            &mut |e, cx| {
                if let Some(f) = f.take() {
                    answer = Some(f(e, cx));
                }
            },
            cx,
        );
    });
    answer
}

fn set_low(address: &mut u64, value: u64) {
    *address = *address & !0xffff_ffff | value & 0xffff_ffff;
}

fn set_high(address: &mut u64, value: u64) {
    *address = *address & 0xffff_ffff | value << 32;
}

impl VirtioMmio {
    fn version(&self) -> u32 {
        if self.legacy { 1 } else { 2 }
    }

    /// What an empty slot has, and a full one as well.
    fn read_slot(&self, offset: u64) -> Option<u32> {
        match offset {
            MAGIC_VALUE => Some(MAGIC),
            VERSION => Some(self.version()),
            VENDOR_ID => Some(VENDOR),
            _ => None,
        }
    }

    fn read_register(&self, offset: u64, e: &Endpoint) -> Option<u64> {
        let queue = e.queue(self.state.queue);
        let config = queue.map(|q| *q.config()).unwrap_or_default();
        Some(match (offset, self.legacy) {
            (DEVICE_ID, _) => e.device_id().into(),
            (DEVICE_FEATURES, true) if self.state.device_features => 0,
            (DEVICE_FEATURES, true) => e.offered_legacy(),
            (DEVICE_FEATURES, false) if self.state.device_features => e.offered_modern() >> 32,
            (DEVICE_FEATURES, false) => e.offered_modern() & 0xffff_ffff,
            (QUEUE_SIZE_MAX, _) => queue.map_or(0, |q| q.max_size().into()),
            (QUEUE_PFN, true) => page_of(&config, 1 << self.state.page_shift),
            (QUEUE_READY, false) => config.enabled.into(),
            (INTERRUPT_STATUS, _) => e.isr().into(),
            (STATUS, _) => e.status().into(),
            (CONFIG_GENERATION, false) => e.generation().into(),
            // No shared memory of any number.
            (SHM_LEN | SHM_LEN_HIGH, _) => u32::MAX.into(),
            (QUEUE_RESET, false) => 0,
            _ => return None,
        })
    }

    fn write_register(&mut self, offset: u64, value: u64, child: DeviceId, cx: &mut Ctx<'_>) {
        let n = self.state.queue;
        let configure = |cx: &mut Ctx<'_>, f: &dyn Fn(&mut QueueConfig)| {
            drive(child, cx, |e, cx| e.configure(n, cx, |q| f(q)));
        };
        match (offset, self.legacy) {
            (DEVICE_FEATURES_SEL, _) => self.state.device_features = value != 0,
            (DRIVER_FEATURES_SEL, _) => self.state.driver_features = value != 0,
            (DRIVER_FEATURES, legacy) => {
                let high = self.state.driver_features;
                if !(legacy && high) {
                    drive(child, cx, |e, cx| e.choose_features(high, value as u32, cx));
                }
            }
            (GUEST_PAGE_SIZE, true) => {
                let shift = (value as u32).trailing_zeros();
                self.state.page_shift = if shift > 31 { 0 } else { shift as u8 };
            }
            (QUEUE_SEL, _) => self.state.queue = u16::try_from(value).unwrap_or(u16::MAX),
            (QUEUE_SIZE, _) => configure(cx, &|q| q.size = value as u16),
            (QUEUE_ALIGN, true) => self.state.align = value as u32,
            (QUEUE_PFN, true) if value == 0 => self.reset_child(child, cx),
            (QUEUE_PFN, true) => self.legacy_queue(value, child, cx),
            (QUEUE_READY, false) if value == 0 => {
                drive(child, cx, |e, _| e.disable_queue(n));
            }
            (QUEUE_READY, false) => {
                drive(child, cx, |e, _| e.enable_queue(n));
            }
            (QUEUE_NOTIFY, _) => {
                // With notification data the upper half says where the ring stands; the ring itself says it, too.
                drive(child, cx, |e, cx| e.kick(value as u16, cx));
            }
            (INTERRUPT_ACK, _) => {
                drive(child, cx, |e, _| e.acknowledge(value as u8));
            }
            (STATUS, _) if value & 0xff == 0 => self.reset_child(child, cx),
            (STATUS, _) => {
                drive(child, cx, |e, cx| e.set_status(value as u8, cx));
            }
            (QUEUE_DESC, false) => configure(cx, &|q| set_low(&mut q.desc, value)),
            (0x084, false) => configure(cx, &|q| set_high(&mut q.desc, value)),
            (QUEUE_DRIVER, false) => configure(cx, &|q| set_low(&mut q.driver, value)),
            (0x094, false) => configure(cx, &|q| set_high(&mut q.driver, value)),
            (QUEUE_DEVICE, false) => configure(cx, &|q| set_low(&mut q.device, value)),
            (0x0a4, false) => configure(cx, &|q| set_high(&mut q.device, value)),
            (QUEUE_RESET, false) if value & 1 != 0 => {
                drive(child, cx, |e, cx| e.reset_queue(n, cx));
            }
            _ => cx.guest_error(format_args!("write of {value:#x} at offset {offset:#x} has no effect")),
        }
    }

    fn legacy_queue(&mut self, page: u64, child: DeviceId, cx: &mut Ctx<'_>) {
        let (n, align) = (self.state.queue, u64::from(self.state.align));
        let start = (page & 0xffff_ffff) << self.state.page_shift;
        drive(child, cx, |e, cx| {
            e.configure(n, cx, |q| layout(q, start, align));
            e.enable_queue(n);
        });
    }

    fn reset_child(&mut self, child: DeviceId, cx: &mut Ctx<'_>) {
        self.state = super::State {
            page_shift: self.state.page_shift,
            ..super::State::new()
        };
        drive(child, cx, |e, cx| e.reset(cx));
    }
}

impl Mmio for VirtioMmio {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        if let Some(value) = self.read_slot(access.offset).filter(|_| access.size == 4) {
            return value.into();
        }
        let Some((child, _)) = cx.children(0).first().copied() else {
            return 0;
        };
        if let Some(offset) = access.offset.checked_sub(CONFIG) {
            return drive(child, cx, |e, _| e.config_read(offset, access.size)).unwrap_or(0);
        }
        let value = drive(child, cx, |e, _| self.read_register(access.offset, e)).flatten();
        match value {
            Some(value) if access.size == 4 => value & 0xffff_ffff,
            _ => {
                let (size, offset) = (access.size, access.offset);
                cx.guest_error(format_args!("read of {size} bytes at offset {offset:#x} gives nothing"));
                0
            }
        }
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let Some((child, _)) = cx.children(0).first().copied() else {
            return;
        };
        if let Some(offset) = access.offset.checked_sub(CONFIG) {
            drive(child, cx, |e, cx| e.config_write(offset, access.size, value, cx));
        } else if access.size == 4 {
            self.write_register(access.offset, value, child, cx);
        } else {
            let offset = access.offset;
            cx.guest_error(format_args!("register {offset:#x} takes whole words"));
        }
    }
}
