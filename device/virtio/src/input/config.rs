//! What the device says of itself: answers by selector and sub-selector.

use southbridge_backend_input::{ABS_MAX, ABS_MIN, HostFacts, KEYS, SLOT_MAX, SLOT_MIN};

use super::regs::*;

/// The kinds of devices that are not the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hid {
    Keyboard,
    Mouse,
    Tablet,
    Multitouch,
}

/// All answers of a device.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(Vec<(u8, u8, Vec<u8>)>);

impl Answers {
    fn add(&mut self, select: u8, subsel: u16, mut answer: Vec<u8>) {
        answer.truncate(ANSWER_MAX);
        self.0.push((select, subsel as u8, answer));
    }

    /// A name with the zero behind it, as QEMU's own devices have it.
    fn name(&mut self, name: &str) {
        self.add(select::ID_NAME, 0, name.bytes().chain([0]).collect());
    }

    fn ids(&mut self, ids: [u16; 4]) {
        self.add(
            select::ID_DEVIDS,
            0,
            ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        );
    }

    fn bits(&mut self, select: u8, subsel: u16, codes: &[u16]) {
        let mut bitmap = Vec::new();
        for code in codes {
            let byte = usize::from(code / 8);
            if bitmap.len() <= byte {
                bitmap.resize(byte + 1, 0u8);
            }
            bitmap[byte] |= 1 << (code % 8);
        }
        self.add(select, subsel, bitmap);
    }

    /// Least, largest, noise, dead zone, resolution.
    fn axis(&mut self, axis: u16, info: [i32; 5]) {
        self.add(
            select::ABS_INFO,
            axis,
            info.iter().flat_map(|n| n.to_le_bytes()).collect(),
        );
    }

    fn serial(&mut self, serial: Option<&str>) {
        if let Some(serial) = serial {
            let text = serial.bytes().take(ANSWER_MAX - 1).collect();
            self.add(select::ID_SERIAL, 0, text);
        }
    }

    /// The answer to a selection.
    pub(super) fn get(&self, select: u8, subsel: u8) -> Option<&[u8]> {
        let found = self.0.iter().find(|a| (a.0, a.1) == (select, subsel));
        found.map(|a| a.2.as_slice())
    }

    /// Bytes of the longest.
    pub(super) fn longest(&self) -> usize {
        self.0.iter().map(|a| a.2.len()).max().unwrap_or(0)
    }
}

const BUTTONS: [u16; 8] = [
    BTN_LEFT,
    BTN_RIGHT,
    BTN_MIDDLE,
    BTN_SIDE,
    BTN_EXTRA,
    BTN_GEAR_UP,
    BTN_GEAR_DOWN,
    BTN_TOUCH,
];

/// The name that the guest and `info mice` show.
pub(super) const fn name(hid: Hid) -> &'static str {
    match hid {
        Hid::Keyboard => "QEMU Virtio Keyboard",
        Hid::Mouse => "QEMU Virtio Mouse",
        Hid::Tablet => "QEMU Virtio Tablet",
        Hid::Multitouch => "QEMU Virtio MultiTouch",
    }
}

/// Answers of a device that is not the host's. Product and version numbers are QEMU's; a wheel that is an axis makes it version 2.
pub(super) fn of_hid(hid: Hid, wheel_axis: bool, serial: Option<&str>) -> Answers {
    let mut a = Answers::default();
    let version = if wheel_axis { 2 } else { 1 };
    let (product, version) = match hid {
        Hid::Keyboard => (1, 1),
        Hid::Mouse => (2, version),
        Hid::Tablet => (3, version),
        Hid::Multitouch => (3, 1),
    };
    a.name(name(hid));
    a.ids([BUS_VIRTUAL, VENDOR, product, version]);
    let position = [ABS_MIN, ABS_MAX, 0, 0, 0];
    match hid {
        Hid::Keyboard => {
            let keys: Vec<u16> = KEYS.iter().map(|k| k.evdev).filter(|code| *code != 0).collect();
            a.bits(select::EV_BITS, EV_KEY, &keys);
            // The guest repeats keys by itself: there is something to say, but no bit.
            a.add(select::EV_BITS, EV_REP, vec![0]);
            a.bits(select::EV_BITS, EV_LED, &[LED_NUML, LED_CAPSL, LED_SCROLLL]);
        }
        Hid::Mouse => {
            let axes = [REL_X, REL_Y, REL_WHEEL];
            a.bits(select::EV_BITS, EV_REL, if wheel_axis { &axes } else { &axes[..2] });
        }
        Hid::Tablet => {
            a.bits(select::EV_BITS, EV_ABS, &[ABS_X, ABS_Y]);
            if wheel_axis {
                a.bits(select::EV_BITS, EV_REL, &[REL_WHEEL]);
            }
            a.axis(ABS_X, position);
            a.axis(ABS_Y, position);
        }
        Hid::Multitouch => {
            let axes = [ABS_MT_SLOT, ABS_MT_TRACKING_ID, ABS_MT_POSITION_X, ABS_MT_POSITION_Y];
            a.bits(select::PROP_BITS, 0, &[INPUT_PROP_DIRECT]);
            a.bits(select::EV_BITS, EV_ABS, &axes);
            for (i, axis) in axes.into_iter().enumerate() {
                let range = if i < 2 { [SLOT_MIN, SLOT_MAX, 0, 0, 0] } else { position };
                a.axis(axis, range);
            }
        }
    }
    if hid != Hid::Keyboard {
        a.bits(select::EV_BITS, EV_KEY, &BUTTONS);
    }
    a.serial(serial);
    a
}

/// Answers of a device of the host.
pub(super) fn of_host(facts: &HostFacts, serial: Option<&str>) -> Answers {
    let mut a = Answers::default();
    a.add(select::ID_NAME, 0, facts.name.bytes().take(ANSWER_MAX - 2).collect());
    a.ids(facts.ids);
    for (kind, codes) in &facts.codes {
        a.bits(select::EV_BITS, *kind, codes);
    }
    for axis in &facts.axes {
        a.axis(axis.axis, axis.info);
    }
    a.serial(serial);
    a
}
