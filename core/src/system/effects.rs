//! What follows from a call: lines and clocks settle, timers fire, completions arrive, reset goes over the tree.

use super::*;

impl System {
    /// Delivers line and clock changes until none wait. Nothing happens inside a device call: the outermost call settles.
    #[inline]
    pub fn settle(&mut self) {
        if self.depth == 0 && !(self.nets.settled() && self.clock_changes.is_empty()) {
            self.deliver_changes();
        }
    }

    fn deliver_changes(&mut self) {
        self.depth += 1;
        for _ in 0..MAX_SETTLE {
            if let Some((net, level)) = self.nets.pop() {
                for (sink, invert) in self.nets.sinks(net) {
                    self.deliver(sink, level != invert);
                }
            } else if let Some(node) = self.clock_changes.pop() {
                if self.probes.contains(Probes::REST) {
                    self.trace_clock(node.0, self.clocks[node.0 as usize].hz);
                }
                let c = &self.clocks[node.0 as usize];
                let hz = c.hz;
                for (device, input) in c.listeners.clone() {
                    self.with_device(device, |d, cx| d.on_clock(input, hz, cx));
                }
            } else {
                self.depth -= 1;
                return;
            }
        }
        self.depth -= 1;
        self.nets.drop_pending();
        self.guest_error(
            "board",
            format_args!("lines did not settle after {MAX_SETTLE} changes; the rest is dropped"),
        );
    }

    pub(super) fn deliver(&mut self, sink: Sink, level: bool) {
        if self.tapped.tap != Tap::Off {
            self.tapped.sink(sink, level);
        }
        match sink {
            Sink::Device(id, input) => {
                self.with_device(id, |d, cx| d.on_line(input, level, cx));
            }
            Sink::Cpu(cpu, input) => {
                if let Some(p) = self.cpu_ports.get_mut(usize::from(cpu.0)) {
                    p.lines.push((input, level));
                    p.wake = true;
                    if cpu == self.running {
                        self.news = true;
                    } else {
                        self.passed_on = true;
                        self.attention = true;
                    }
                }
            }
        }
    }

    /// Fires every timer that is due now.
    pub(crate) fn fire_timers(&mut self) {
        let now = self.clock.now();
        while self.fire_deferred(now) {}
        while let Some((device, timer)) = self.timers.pop_due(now) {
            if self.probes.contains(Probes::TIMER) {
                self.probed_timer(device, timer);
            } else {
                self.with_device(device, |d, cx| d.on_timer(timer, cx));
            }
            self.settle();
        }
    }

    /// Lets virtual time pass without a CPU: every timer fires at its own moment.
    pub fn advance_to(&mut self, end: VirtualTime) {
        self.advance_at_most(end, u64::MAX);
    }

    /// The same, but gives up after so many timer stops: for fuzzing, where a device may be set to a period of one tick.
    pub fn advance_at_most(&mut self, end: VirtualTime, stops: u64) {
        for _ in 0..stops {
            match self.next_deadline() {
                Some(next) if next <= end => {
                    self.clock.sleep_until(next);
                    self.fire_timers();
                }
                _ => break,
            }
        }
        self.clock.sleep_until(end);
        self.fire_timers();
    }

    /// The earliest timer deadline of any device, or moment of something that a fault rule delayed.
    pub fn next_deadline(&self) -> Option<VirtualTime> {
        [self.timers.next(), self.faults.queue.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The rules of fault injection; see [`System::add_fault`].
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(super) fn declare_events(&mut self, table: &'static [crate::trace::Event]) {
        if !table.is_empty() {
            self.trace.declare(table);
            self.refresh_probes();
        }
    }

    #[inline]
    pub(crate) fn traces_devices(&self) -> bool {
        self.probes.contains(Probes::DEVICE)
    }

    /// Whether a CPU should report what [`crate::trace::events::cpu`] declares.
    pub fn traces_cpus(&self) -> bool {
        self.probes.contains(Probes::CPU)
    }

    /// Has the run loop look at deadlines again.
    pub(crate) fn raise_attention(&mut self) {
        self.attention = true;
    }

    /// Sets an output; its net follows when the machine settles.
    #[inline]
    pub(crate) fn drive_output(&mut self, device: DeviceId, output: LineId, level: bool) {
        let Some(o) = self
            .slot_mut(device)
            .and_then(|s| s.outputs.get_mut(usize::from(output)))
        else {
            return;
        };
        if o.1 != level {
            o.1 = level;
            let net = o.0;
            if self.tapped.tap != Tap::Off {
                self.tapped.output(device, output, level);
            }
            if let Some(net) = net {
                self.nets.drive(net, level);
            }
        }
    }

    /// Where the run is.
    pub fn moment(&self) -> Moment {
        Moment {
            executed: self.clock.executed(),
            ticks: self.clock.ticks(),
        }
    }

    /// Hands waiting completions to their devices. While the tape plays they wait for the present.
    pub fn deliver_completions(&mut self) {
        if self.tape.plays() {
            return self.hold_completions();
        }
        while let Some((device, completion)) = self.tape.take_held().or_else(|| self.host.next_completion()) {
            self.tape.hear_completion(self.moment(), device, &completion);
            self.deliver_completion(device, completion);
        }
    }

    /// Lets waiting completions wait further, for the next [`System::deliver_completions`].
    pub(crate) fn hold_completions(&mut self) {
        while let Some((device, completion)) = self.host.next_completion() {
            self.tape.hold(device, completion);
        }
    }

    /// Hands one to its device.
    pub(crate) fn deliver_completion(&mut self, device: DeviceId, completion: Completion) {
        if self.probes.contains(Probes::COMPLETION) {
            self.probed_completion(device, completion);
        } else {
            self.with_device(device, |d, cx| d.on_completion(completion, cx));
        }
        self.settle();
    }

    /// Up and down again on an interrupt input of a CPU, from outside (a monitor's NMI).
    pub fn pulse(&mut self, sink: Sink) {
        self.deliver(sink, true);
        self.deliver(sink, false);
        self.settle();
    }

    /// All phases of reset for one device: one that was plugged into a running machine.
    pub fn reset_device(&mut self, id: DeviceId) {
        for phase in [ResetPhase::Enter, ResetPhase::Hold, ResetPhase::Exit] {
            self.with_device(id, |d, cx| d.reset(phase, cx));
        }
        self.settle();
    }

    /// One phase of reset over all devices, in the order of creation.
    pub fn reset_phase(&mut self, phase: ResetPhase) {
        if phase == ResetPhase::Enter {
            self.requests.remove(Requests::RESET);
            self.exit_code = 0;
        }
        let probed = self.probes.contains(Probes::REST);
        if probed && phase == ResetPhase::Enter {
            self.trace_reset(None, "");
        }
        for i in 0..self.slots.len() {
            if let Some(id) = self.slots[i].as_ref().map(|s| s.me) {
                if probed {
                    self.trace_reset(Some(id), phase.name());
                }
                self.with_device(id, |d, cx| d.reset(phase, cx));
            }
        }
        self.settle();
    }

    /// All three phases.
    pub fn reset(&mut self) {
        for phase in [ResetPhase::Enter, ResetPhase::Hold, ResetPhase::Exit] {
            self.reset_phase(phase);
        }
    }

    pub(crate) fn output_levels(&self) -> Vec<Vec<bool>> {
        self.slots
            .iter()
            .map(|s| s.iter().flat_map(|s| s.outputs.iter().map(|o| o.1)).collect())
            .collect()
    }

    pub(crate) fn restore_output_levels(&mut self, levels: &[Vec<bool>]) -> bool {
        // Places that devices have left are empty, here or there.
        let outputs = |slot: &Option<Slot>| slot.as_ref().map_or(0, |s| s.outputs.len());
        let here = self.slots.iter().map(outputs).chain(std::iter::repeat(0));
        let there = levels.iter().map(Vec::len).chain(std::iter::repeat(0));
        let places = self.slots.len().max(levels.len());
        if here.zip(there).take(places).any(|(here, there)| here != there) {
            return false;
        }
        for (slot, levels) in self.slots.iter_mut().zip(levels) {
            let outputs = slot.iter_mut().flat_map(|s| &mut s.outputs);
            outputs.zip(levels).for_each(|(o, l)| o.1 = *l);
        }
        true
    }

    pub(crate) fn clock_frequencies(&self) -> Vec<u64> {
        self.clocks.iter().map(|c| c.hz).collect()
    }

    pub(crate) fn restore_clock_frequencies(&mut self, hz: &[u64]) -> bool {
        if hz.len() != self.clocks.len() || hz.iter().any(|hz| *hz > crate::clock::MAX_HZ) {
            return false;
        }
        for (c, hz) in self.clocks.iter_mut().zip(hz) {
            c.hz = *hz;
        }
        self.clock_changes.clear();
        true
    }
}
