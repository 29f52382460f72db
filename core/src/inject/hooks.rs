//! The slow paths of the bus, lines, timers and completions: taken only while somebody traces them or has a rule for them.

use super::messages::corrupt_byte;
use super::{Deferred, FaultAction, FaultKind};
use crate::clock::{TimerIndex, VirtualTime};
use crate::device::{DeviceId, LineDirection};
use crate::fault::BusError;
use crate::host::Completion;
use crate::line::LineId;
use crate::system::{Probes, System};
use crate::trace::events::{NO_REGISTER, core as events};
use crate::trace::{CORE, CPU, Source};

/// Linux's errno for a failed transfer.
const EIO: i64 = 5;

impl System {
    /// Decides anew at which places somebody wants to look.
    pub(crate) fn refresh_probes(&mut self) {
        use FaultKind::{Completion, Line, Message, Read, Timer, Write};
        // The order of the table in `trace::events::core`.
        let core = self.trace.family_mask(CORE);
        let on = |from: u32, n: u32| core >> from & ((1 << n) - 1) != 0;
        let faults = &self.faults;
        let mut probes = Probes::empty();
        probes.set(Probes::MMIO, on(0, 2) || faults.looks_at(&[Read, Write]));
        probes.set(
            Probes::LINE,
            on(2, 1) || faults.looks_at(&[Line]) || faults.holds_back(),
        );
        probes.set(Probes::TIMER, on(3, 3) || faults.looks_at(&[Timer]));
        probes.set(Probes::COMPLETION, on(6, 1) || faults.looks_at(&[Completion, Message]));
        probes.set(Probes::REST, on(7, 3));
        probes.set(Probes::CPU, self.trace.family_mask(CPU) != 0);
        probes.set(Probes::DEVICE, self.trace.devices_on());
        self.probes = probes;
    }

    /// The first rule that strikes decides; all that match count.
    fn fault(
        &mut self,
        kind: FaultKind,
        device: DeviceId,
        label: &str,
        name: &str,
        number: u32,
    ) -> Option<FaultAction> {
        self.fault_in(kind, device, label, name, number)
            .map(|(action, _)| action)
    }

    /// The same for messages: with the byte that is meant.
    pub(super) fn fault_in(
        &mut self,
        kind: FaultKind,
        device: DeviceId,
        label: &str,
        name: &str,
        number: u32,
    ) -> Option<(FaultAction, usize)> {
        let slot = self.slot(device)?;
        let (type_name, id) = (slot.device_type.name, slot.id.clone());
        let mut struck = None;
        for r in &mut self.faults.rules {
            let rule = &r.rule;
            let is_meant = rule.device.matches(label)
                || rule.device.matches(type_name)
                || id.as_ref().is_some_and(|id| rule.device.matches(id));
            let number_fits = rule.number.is_none_or(|n| n == number);
            if rule.kind != kind || !is_meant || !number_fits || !rule.name.matches(name) {
                continue;
            }
            r.seen += 1;
            if struck.is_none() && rule.strikes(r.seen, r.struck) {
                r.struck += 1;
                struck = Some((rule.id.clone(), rule.action, rule.byte));
            }
        }
        let (id, action, byte) = struck?;
        let mut to = Source { sys: self, name: label };
        events::fault_injected(&mut to, &id, kind.name(), action.name());
        Some((action, byte))
    }

    pub(super) fn defer(&mut self, ns: u64, what: Deferred) {
        let at = self.clock.now().after_ns(ns.max(1));
        self.defer_to(at, what);
    }

    pub(super) fn defer_to(&mut self, at: VirtualTime, what: Deferred) {
        self.faults.queue.push(at, what);
        self.refresh_probes();
        self.raise_attention();
    }

    /// Does what was delayed until now. `false` if nothing was.
    pub(crate) fn fire_deferred(&mut self, now: VirtualTime) -> bool {
        let Some(what) = self.faults.queue.pop_due(now) else {
            return false;
        };
        match what {
            Deferred::Line(device, line, level) => self.change_line(device, line, level),
            Deferred::Timer(device, timer) => self.tell_timer(device, timer),
            Deferred::Completion(device, c) => self.tell_completion(device, c),
            Deferred::Output(device, _, send) => {
                self.with_device(device, |_, cx| send(cx));
            }
        }
        self.settle();
        self.refresh_probes();
        true
    }

    // ----- registers -----------------------------------------------------------------------------------------------------------

    /// Region and register names of an access.
    fn names(&self, id: DeviceId, region: usize, offset: u64) -> (&'static str, String) {
        let state = self.slot(id).and_then(|s| s.regions.get(region));
        let Some(state) = state else {
            return ("", NO_REGISTER.into());
        };
        let register = state.decl.registers.iter().find_map(|r| {
            let into = offset.checked_sub(r.offset)?;
            let stride = u64::from(r.stride.max(1));
            let i = into / stride;
            (i < u64::from(r.count.max(1)) && into % stride < stride.min(8)).then(|| match r.count {
                0 | 1 => r.name.to_owned(),
                _ => format!("{}[{i}]", r.name),
            })
        });
        (state.decl.name, register.unwrap_or_else(|| NO_REGISTER.into()))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn probed_read(&mut self, id: DeviceId, region: usize, offset: u64, size: u8) -> Result<u64, BusError> {
        let label = self.label(id);
        let (region_name, register) = self.names(id, region, offset);
        let value = match self.fault(FaultKind::Read, id, &label, &register, 0) {
            Some(FaultAction::Drop) => 0,
            Some(FaultAction::Fail) => return Err(BusError::Target),
            action => corrupt(self.register_read(id, region, offset, size)?, action),
        };
        let mut to = Source {
            sys: self,
            name: &label,
        };
        events::mmio_read(&mut to, region_name, &register, offset, size.into(), value);
        Ok(value)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn probed_write(
        &mut self,
        id: DeviceId,
        region: usize,
        offset: u64,
        size: u8,
        value: u64,
    ) -> Result<(), BusError> {
        let label = self.label(id);
        let (region_name, register) = self.names(id, region, offset);
        let action = self.fault(FaultKind::Write, id, &label, &register, 0);
        let value = corrupt(value, action);
        let mut to = Source {
            sys: self,
            name: &label,
        };
        events::mmio_write(&mut to, region_name, &register, offset, size.into(), value);
        match action {
            Some(FaultAction::Drop) => Ok(()),
            Some(FaultAction::Fail) => Err(BusError::Target),
            _ => self.register_write(id, region, offset, size, value),
        }
    }

    // ----- lines ---------------------------------------------------------------------------------------------------------------

    fn line_name(&self, device: DeviceId, line: LineId) -> String {
        let groups = self.slot(device).map_or(&[][..], |s| s.device_type.lines);
        let mut first = 0;
        for group in groups.iter().filter(|l| l.direction == LineDirection::Out) {
            if line < first + group.count {
                return match group.count {
                    1 => group.name.to_owned(),
                    _ => format!("{}[{}]", group.name, line - first),
                };
            }
            first += group.count;
        }
        format!("{line}")
    }

    /// Changes that follow a delayed one keep their order and their distance.
    #[cold]
    #[inline(never)]
    pub(crate) fn probed_line(&mut self, device: DeviceId, line: LineId, level: bool) {
        if let Some((last, to)) = self.faults.queue.line(device, line) {
            if to != level {
                self.defer_to(last.after_ns(1), Deferred::Line(device, line, level));
            }
            return;
        }
        if self.output_level(device, line) == level {
            return;
        }
        let (label, name) = (self.label(device), self.line_name(device, line));
        match self.fault(FaultKind::Line, device, &label, &name, line.into()) {
            Some(FaultAction::Drop) => {}
            Some(FaultAction::Delay(ns)) => self.defer(ns, Deferred::Line(device, line, level)),
            _ => self.change_line(device, line, level),
        }
    }

    fn change_line(&mut self, device: DeviceId, line: LineId, level: bool) {
        let (label, name) = (self.label(device), self.line_name(device, line));
        let mut to = Source {
            sys: self,
            name: &label,
        };
        events::line_set(&mut to, &name, level);
        self.drive_output(device, line, level);
    }

    // ----- timers --------------------------------------------------------------------------------------------------------------

    #[cold]
    #[inline(never)]
    pub(crate) fn probed_timer(&mut self, device: DeviceId, timer: TimerIndex) {
        let label = self.label(device);
        match self.fault(FaultKind::Timer, device, &label, "", timer.into()) {
            Some(FaultAction::Drop) => {}
            Some(FaultAction::Delay(ns)) => self.defer(ns, Deferred::Timer(device, timer)),
            _ => self.tell_timer(device, timer),
        }
    }

    fn tell_timer(&mut self, device: DeviceId, timer: TimerIndex) {
        let label = self.label(device);
        let mut to = Source {
            sys: self,
            name: &label,
        };
        events::timer_fire(&mut to, timer.into());
        self.with_device(device, |d, cx| d.on_timer(timer, cx));
    }

    /// A timer was armed (with its deadline) or disarmed.
    #[cold]
    #[inline(never)]
    pub(crate) fn trace_timer(&mut self, device: DeviceId, timer: TimerIndex, deadline: Option<VirtualTime>) {
        let label = self.label(device);
        let mut to = Source {
            sys: self,
            name: &label,
        };
        match deadline {
            Some(at) => events::timer_set(&mut to, timer.into(), at.0),
            None => events::timer_cancel(&mut to, timer.into()),
        }
    }

    // ----- completions ---------------------------------------------------------------------------------------------------------

    #[cold]
    #[inline(never)]
    pub(crate) fn probed_completion(&mut self, device: DeviceId, mut c: Completion) {
        let (label, name) = (self.label(device), self.faults.ends.name(device, c.port));
        let mut struck = self.fault_in(FaultKind::Completion, device, &label, &name, c.port);
        if struck.is_none() && !c.data.is_empty() {
            struck = match self.fault_in(FaultKind::Message, device, &label, &name, c.port) {
                // The device must still hear that room which it gave was used, so an empty message comes.
                Some((action @ (FaultAction::Drop | FaultAction::Fail), _)) => {
                    c.data.clear();
                    c.fds.clear();
                    let gone = self.faults.ends.failure(device, c.port);
                    let fails = action == FaultAction::Fail;
                    c.result = if fails && gone.is_none() { -EIO } else { 0 };
                    if let Some(gone) = gone.filter(|_| fails) {
                        self.tell_completion(device, c);
                        c = gone;
                    }
                    None
                }
                other => other,
            };
        }
        match struck {
            Some((FaultAction::Drop, _)) => return,
            Some((FaultAction::Delay(ns), _)) => return self.defer(ns, Deferred::Completion(device, c)),
            Some((FaultAction::Fail, _)) => c.result = -EIO,
            other => corrupt_byte(&mut c.data, other),
        }
        self.tell_completion(device, c);
    }

    fn tell_completion(&mut self, device: DeviceId, c: Completion) {
        let label = self.label(device);
        let mut to = Source {
            sys: self,
            name: &label,
        };
        events::completion(&mut to, c.port.into(), c.token, c.result, c.data.len() as u64);
        self.with_device(device, |d, cx| d.on_completion(c, cx));
    }

    // ----- the rest ------------------------------------------------------------------------------------------------------------

    #[cold]
    pub(crate) fn trace_clock(&mut self, clock: u32, hz: u64) {
        let mut to = Source {
            sys: self,
            name: "machine",
        };
        events::clock_set(&mut to, clock.into(), hz);
    }

    #[cold]
    pub(crate) fn trace_reset(&mut self, device: Option<DeviceId>, phase: &str) {
        let label = device.map_or_else(|| "machine".to_owned(), |d| self.label(d));
        let mut to = Source {
            sys: self,
            name: &label,
        };
        match device {
            Some(_) => events::device_reset(&mut to, phase),
            None => events::system_reset(&mut to),
        }
    }
}

pub(super) fn corrupt(value: u64, action: Option<FaultAction>) -> u64 {
    match action {
        Some(FaultAction::Set(v)) => v,
        Some(FaultAction::Xor(v)) => value ^ v,
        _ => value,
    }
}
