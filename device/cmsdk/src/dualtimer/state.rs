//! The APB dual timer as a pure machine.

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use super::regs::{self, control};
use crate::counter::{Counter, Run};
use crate::id;

/// One of the two timers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Half {
    control: u32,
    /// RIS.
    raw: bool,
    /// LOAD as written, whatever width and mode make of it.
    load: u32,
    /// Upper half of VALUE, which rests while the counter is 16 bits wide.
    upper: u32,
    counter: Counter,
}

impl Half {
    const fn new(hz: u64) -> Self {
        Self {
            control: control::INTEN,
            raw: false,
            load: 0,
            upper: 0xffff_0000,
            counter: Counter::new(0xffff, 0xffff, hz),
        }
    }

    fn mask(&self) -> u32 {
        if self.control & control::SIZE == 0 {
            0xffff
        } else {
            u32::MAX
        }
    }

    fn divisor(&self) -> u32 {
        match (self.control & control::PRESCALE) >> control::PRESCALE_SHIFT {
            0 => 1,
            1 => 16,
            // 3 is undefined; like QEMU, it divides as 2 does.
            _ => 256,
        }
    }

    fn advance(&mut self, now: VirtualTime) {
        self.raw |= self.counter.advance(now) > 0;
    }

    fn masked(&self) -> bool {
        self.raw && self.control & control::INTEN != 0
    }

    fn value(&self) -> u32 {
        self.upper & !self.mask() | self.counter.value()
    }

    fn read(&self, register: u64) -> u32 {
        match register {
            regs::LOAD | regs::BGLOAD => self.load,
            regs::VALUE => self.value(),
            regs::CONTROL => self.control,
            regs::RIS => self.raw.into(),
            regs::MIS => self.masked().into(),
            _ => 0,
        }
    }

    fn write(&mut self, register: u64, value: u32, hz: u64, now: VirtualTime) {
        match register {
            regs::LOAD => {
                self.load = value;
                self.upper = value;
                self.counter.set_value(value & self.mask(), now);
            }
            regs::BGLOAD => self.load = value,
            regs::CONTROL => self.write_control(value & control::ALL, hz, now),
            regs::INTCLR => self.raw = false,
            _ => {}
        }
        self.program(now);
    }

    fn write_control(&mut self, new: u32, hz: u64, now: VirtualTime) {
        let changed = self.control ^ new;
        let value = self.value();
        self.control = new;
        if changed & control::PRESCALE != 0 {
            self.counter.set_rate(hz, self.divisor(), now);
        }
        if changed & control::SIZE != 0 {
            self.upper = value;
            self.counter.set_value(value & self.mask(), now);
        }
    }

    /// Tells the counter what the registers say.
    fn program(&mut self, now: VirtualTime) {
        let reload = match self.control & control::MODE {
            0 => self.mask(),
            _ => self.load & self.mask(),
        };
        self.counter.set_reload(reload);
        let run = match (self.control & control::ENABLE, self.control & control::ONESHOT) {
            (0, _) => Run::Stopped,
            (_, 0) => Run::Repeat,
            _ => Run::Once,
        };
        self.counter.set_run(run, now);
    }

    fn deadline(&self) -> Option<VirtualTime> {
        let visible = !self.raw && self.control & control::INTEN != 0;
        visible.then(|| self.counter.next_expiry()).flatten()
    }
}

/// All that the guest can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    hz: u64,
    halves: [Half; 2],
    /// TIMERITCR: the outputs follow TIMERITOP.
    test: bool,
    test_out: u32,
}

impl State {
    pub(super) const fn new(hz: u64) -> Self {
        Self {
            hz,
            halves: [Half::new(hz), Half::new(hz)],
            test: false,
            test_out: 0,
        }
    }

    pub(super) fn valid(&self) -> bool {
        self.test_out & !3 == 0 && self.halves.iter().all(|h| h.control & !control::ALL == 0)
    }

    /// Accounts for the time until `now`; comes before everything else.
    pub(super) fn advance(&mut self, now: VirtualTime) {
        for half in &mut self.halves {
            half.advance(now);
        }
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        match offset {
            regs::ITCR => self.test.into(),
            0..0x40 => self.halves[usize::from(offset >= regs::STRIDE)].read(offset % regs::STRIDE),
            _ => id::read(&id::cmsdk(regs::PART), offset),
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32, now: VirtualTime) {
        match offset {
            regs::ITCR => self.test = value & 1 != 0,
            regs::ITOP => self.test_out = value & 3,
            0..0x40 => {
                let half = &mut self.halves[usize::from(offset >= regs::STRIDE)];
                half.write(offset % regs::STRIDE, value, self.hz, now);
            }
            _ => {}
        }
    }

    pub(super) fn set_hz(&mut self, hz: u64, now: VirtualTime) {
        self.hz = hz;
        for half in &mut self.halves {
            half.counter.set_rate(hz, half.divisor(), now);
        }
    }

    /// TIMINT1 and TIMINT2; TIMINTC is either.
    pub(super) fn interrupts(&self) -> [bool; 2] {
        if self.test {
            return [self.test_out & 1 != 0, self.test_out & 2 != 0];
        }
        [self.halves[0].masked(), self.halves[1].masked()]
    }

    /// When something next happens that others can see.
    pub(super) fn deadline(&self) -> Option<VirtualTime> {
        self.halves.iter().filter_map(Half::deadline).min()
    }
}
