//! Facts: selectors of the configuration space (Virtio 1.3, section 5.8.4) and Linux's event codes (`input-event-codes.h`).

/// What the configuration space shows.
pub(super) mod select {
    /// Name of the device.
    pub(in super::super) const ID_NAME: u8 = 0x01;
    /// Serial number.
    pub(in super::super) const ID_SERIAL: u8 = 0x02;
    /// Bus, vendor, product, version.
    pub(in super::super) const ID_DEVIDS: u8 = 0x03;
    /// Properties of the device.
    pub(in super::super) const PROP_BITS: u8 = 0x10;
    /// Codes of a kind of events.
    pub(in super::super) const EV_BITS: u8 = 0x11;
    /// Range of an absolute axis.
    pub(in super::super) const ABS_INFO: u8 = 0x12;
}

pub(super) const EV_SYN: u16 = 0x00;
pub(super) const EV_KEY: u16 = 0x01;
pub(super) const EV_REL: u16 = 0x02;
pub(super) const EV_ABS: u16 = 0x03;
pub(super) const EV_LED: u16 = 0x11;
pub(super) const EV_REP: u16 = 0x14;

pub(super) const SYN_REPORT: u16 = 0;

pub(super) const REL_X: u16 = 0;
pub(super) const REL_Y: u16 = 1;
pub(super) const REL_WHEEL: u16 = 8;

pub(super) const ABS_X: u16 = 0x00;
pub(super) const ABS_Y: u16 = 0x01;
pub(super) const ABS_MT_SLOT: u16 = 0x2f;
pub(super) const ABS_MT_POSITION_X: u16 = 0x35;
pub(super) const ABS_MT_POSITION_Y: u16 = 0x36;
pub(super) const ABS_MT_TRACKING_ID: u16 = 0x39;

pub(super) const BTN_LEFT: u16 = 0x110;
pub(super) const BTN_RIGHT: u16 = 0x111;
pub(super) const BTN_MIDDLE: u16 = 0x112;
pub(super) const BTN_SIDE: u16 = 0x113;
pub(super) const BTN_EXTRA: u16 = 0x114;
pub(super) const BTN_TOUCH: u16 = 0x14a;
pub(super) const BTN_GEAR_DOWN: u16 = 0x150;
pub(super) const BTN_GEAR_UP: u16 = 0x151;

pub(super) const LED_NUML: u16 = 0;
pub(super) const LED_CAPSL: u16 = 1;
pub(super) const LED_SCROLLL: u16 = 2;

pub(super) const INPUT_PROP_DIRECT: u16 = 1;

pub(super) const BUS_VIRTUAL: u16 = 0x06;
/// The vendor that QEMU has for its own HID devices.
pub(super) const VENDOR: u16 = 0x0627;

/// Bytes of an event in a buffer (section 5.8.6): type, code, value.
pub(super) const EVENT_LEN: usize = 8;
/// Bytes of the answer in the configuration space, at most.
pub(super) const ANSWER_MAX: usize = 128;
