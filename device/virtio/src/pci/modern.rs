//! Registers of version 1 (Virtio 1.3, section 4.1.4), in one BAR.

use southbridge_bus_virtio::QueueConfig;
use southbridge_core::Ctx;

use super::VirtioPci;
use super::shape::{COMMON, DEVICE, ISR, NOTIFY};

// Common configuration (section 4.1.4.3).
const DEVICE_FEATURE_SELECT: u64 = 0x00;
const DEVICE_FEATURE: u64 = 0x04;
const DRIVER_FEATURE_SELECT: u64 = 0x08;
const DRIVER_FEATURE: u64 = 0x0c;
const CONFIG_VECTOR: u64 = 0x10;
const NUM_QUEUES: u64 = 0x12;
const DEVICE_STATUS: u64 = 0x14;
const CONFIG_GENERATION: u64 = 0x15;
const QUEUE_SELECT: u64 = 0x16;
const QUEUE_SIZE: u64 = 0x18;
const QUEUE_VECTOR: u64 = 0x1a;
const QUEUE_ENABLE: u64 = 0x1c;
const QUEUE_NOTIFY_OFF: u64 = 0x1e;
const QUEUE_DESC: u64 = 0x20;
const QUEUE_DRIVER: u64 = 0x28;
const QUEUE_DEVICE: u64 = 0x30;
const QUEUE_NOTIFY_DATA: u64 = 0x38;
const QUEUE_RESET: u64 = 0x3a;

/// The low or high half of an address.
fn half(address: u64, high: bool) -> u64 {
    if high { address >> 32 } else { address & 0xffff_ffff }
}

fn set_half(address: &mut u64, high: bool, value: u64) {
    let value = value & 0xffff_ffff;
    *address = if high {
        *address & 0xffff_ffff | value << 32
    } else {
        *address & !0xffff_ffff | value
    };
}

impl VirtioPci {
    pub(super) fn modern_read(&mut self, offset: u64, size: u8, cx: &mut Ctx<'_>) -> u64 {
        match offset {
            COMMON..ISR => self.common_read(offset),
            ISR..DEVICE => u64::from(self.with(cx, |e, _| e.take_isr())),
            DEVICE..NOTIFY => self.endpoint.config_read(offset - DEVICE, size),
            _ => 0,
        }
    }

    pub(super) fn modern_write(&mut self, offset: u64, size: u8, value: u64, cx: &mut Ctx<'_>) {
        match offset {
            COMMON..ISR => self.common_write(offset, value, cx),
            ISR..DEVICE => {}
            DEVICE..NOTIFY => self.with(cx, |e, cx| e.config_write(offset - DEVICE, size, value, cx)),
            // What the driver writes there may say where its ring stands; the ring itself says it, too.
            _ => {
                let queue = (offset - NOTIFY) / u64::from(self.shape.notify_step());
                self.with(cx, |e, cx| e.kick(u16::try_from(queue).unwrap_or(u16::MAX), cx));
            }
        }
    }

    fn common_read(&self, offset: u64) -> u64 {
        let s = &self.selectors;
        let e = &self.endpoint;
        let queue = e.queue(s.queue).map(|q| *q.config());
        let q = queue.unwrap_or(QueueConfig {
            vector: 0xffff,
            ..QueueConfig::default()
        });
        let half_of = |features: u64, select: u32| match select {
            0 | 1 => half(features, select == 1),
            _ => 0,
        };
        match offset {
            DEVICE_FEATURE_SELECT => s.device_features.into(),
            DEVICE_FEATURE => half_of(e.offered_modern(), s.device_features),
            DRIVER_FEATURE_SELECT => s.driver_features.into(),
            DRIVER_FEATURE => half_of(e.driver_features(), s.driver_features),
            CONFIG_VECTOR => s.config_vector.into(),
            NUM_QUEUES => e.queue_count().into(),
            DEVICE_STATUS => e.status().into(),
            CONFIG_GENERATION => (e.generation() & 0xff).into(),
            QUEUE_SELECT => s.queue.into(),
            QUEUE_SIZE => q.size.into(),
            QUEUE_VECTOR => q.vector.into(),
            QUEUE_ENABLE => q.enabled.into(),
            QUEUE_NOTIFY_OFF | QUEUE_NOTIFY_DATA if queue.is_some() => s.queue.into(),
            _ => {
                let high = offset & 4 != 0;
                match offset & !4 {
                    QUEUE_DESC => half(q.desc, high),
                    QUEUE_DRIVER => half(q.driver, high),
                    QUEUE_DEVICE => half(q.device, high),
                    _ => 0,
                }
            }
        }
    }

    fn common_write(&mut self, offset: u64, value: u64, cx: &mut Ctx<'_>) {
        let n = self.selectors.queue;
        match offset {
            DEVICE_FEATURE_SELECT => self.selectors.device_features = value as u32,
            DRIVER_FEATURE_SELECT => self.selectors.driver_features = value as u32,
            DRIVER_FEATURE => {
                let select = self.selectors.driver_features;
                if select < 2 {
                    self.endpoint.choose_features(select == 1, value as u32, cx);
                }
            }
            CONFIG_VECTOR => self.selectors.config_vector = self.vector(value),
            DEVICE_STATUS => self.set_status(value as u8, cx),
            QUEUE_SELECT => self.selectors.queue = value as u16,
            QUEUE_SIZE => self.endpoint.configure(n, cx, |q| q.size = value as u16),
            QUEUE_VECTOR => {
                let vector = self.vector(value);
                self.endpoint.configure(n, cx, |q| q.vector = vector);
            }
            QUEUE_ENABLE if value == 1 => self.endpoint.enable_queue(n),
            QUEUE_ENABLE => cx.guest_error(format_args!("{value:#x} does not enable queue {n}; only 1 does")),
            QUEUE_RESET if value == 1 => self.with(cx, |e, cx| e.reset_queue(n, cx)),
            _ => {
                let high = offset & 4 != 0;
                self.endpoint.configure(n, cx, |q| match offset & !4 {
                    QUEUE_DESC => set_half(&mut q.desc, high, value),
                    QUEUE_DRIVER => set_half(&mut q.driver, high, value),
                    QUEUE_DEVICE => set_half(&mut q.device, high, value),
                    _ => {}
                });
            }
        }
    }
}
