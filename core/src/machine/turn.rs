//! One turn of the loop: what the host did, timers, requests, a slice of a CPU; and the time that passes when all idle.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Cause, Machine, MachineEvent, Outcome, Pacing, RunState};
use crate::clock::VirtualTime;
use crate::cpu::{Cpu, Exit, FirmwareDone, SemihostingCall, SemihostingDone};
use crate::system::Requests;
use crate::tape::Input;

/// Instructions in one slice while the host is looked at between slices.
const SHORT_SLICE: u64 = 20_000;
/// Instructions in one slice when the watcher thread looks at the host.
const LONG_SLICE: u64 = 1_000_000;
/// Instructions without idling before the watcher thread takes over.
const BUSY_AFTER: u64 = 4 * SHORT_SLICE;
/// Turns of the loop that a guest of many short slices gets between two looks at the host.
const TURNS_UNLOOKED: u32 = 16;

/// When the host was looked at. A look is a system call, and what ends a slice is mostly not the host: a wake-up by a doorbell must not
/// be paid three times.
#[derive(Default)]
pub(super) struct Look {
    /// Executed instructions at the last look.
    at: u64,
    /// Executed instructions when the CPU last idled.
    idle_at: u64,
    /// Turns left until the next look.
    turns_left: u32,
}

impl Look {
    pub(super) fn looked(&mut self, executed: u64) {
        self.at = executed;
        self.turns_left = TURNS_UNLOOKED;
    }

    fn is_busy(&self, executed: u64) -> bool {
        executed.saturating_sub(self.idle_at) >= BUSY_AFTER
    }

    /// Whether it is time for a look, if nobody watches meanwhile.
    fn is_due(&mut self, executed: u64) -> bool {
        self.turns_left = self.turns_left.saturating_sub(1);
        self.turns_left == 0 || executed.saturating_sub(self.at) >= SHORT_SLICE
    }
}

impl Machine {
    pub(super) fn turn(&mut self, deadline: VirtualTime) -> Option<Outcome> {
        // Before what the host did, running or not: the order of what happens at one moment is a fact of the machine.
        self.sys.fire_timers();
        self.take_host_events();
        if self.call.swap(false, Ordering::AcqRel) {
            self.each_attendant(|a, machine| a.attend(machine));
        }
        self.sys.clear_attention();
        self.look_at_tape();
        if let Some(outcome) = self.requests() {
            return Some(outcome);
        }
        if self.sys.clock.now() >= deadline {
            return Some(Outcome::Deadline);
        }
        if !self.is_running() || !self.executes {
            if !self.call.load(Ordering::Acquire) && self.stop.load(Ordering::Acquire) == 0 {
                let _ = self.sys.host.wait(None);
            }
            return None;
        }
        if self.has_to_halt() {
            return Some(Outcome::Debug);
        }
        let next = self.sys.next_deadline().map_or(deadline, |d| d.min(deadline));
        let stretch = self.stretch();
        let Some(chosen) = self.choose() else {
            self.look.idle_at = self.sys.clock.executed();
            let wake = self.turns.next_wake();
            self.idle(wake.map_or(next, |w| w.min(next)));
            return None;
        };
        let slice = if self.look.is_busy(self.sys.clock.executed()) && self.pacing != Pacing::Wall {
            LONG_SLICE
        } else {
            SHORT_SLICE
        };
        let most = slice.min(stretch).min(self.share());
        let budget = self.sys.clock.ticks_until(next).clamp(1, most);
        if self.step.is_some_and(|s| usize::from(s.0) == chosen) {
            return self.step_one(chosen, deadline);
        }
        let exit = self.cpus.get_mut(chosen)?.run(&mut self.sys, budget);
        self.after(chosen, exit, deadline)
    }

    fn step_one(&mut self, chosen: usize, deadline: VirtualTime) -> Option<Outcome> {
        let before = self.sys.clock.executed();
        let exit = self.cpus.get_mut(chosen)?.run(&mut self.sys, 1);
        let outcome = self.after(chosen, exit, deadline);
        let stepped = self.sys.clock.executed() > before;
        outcome.or_else(|| stepped.then_some(Outcome::Debug))
    }

    pub(super) fn take_host_events(&mut self) {
        let executed = self.sys.clock.executed();
        let reactor = &self.sys.host.reactor;
        let busy = self.look.is_busy(executed);
        let due = if busy && reactor.is_watched() {
            reactor.wake_up_is_due()
        } else {
            self.look.is_due(executed)
        };
        if due || reactor.attention() {
            // A reactor that cannot wait has lost its epoll descriptor; the run goes on without host events.
            let _ = self.sys.host.wait(Some(Duration::ZERO));
            self.look.looked(executed);
        }
        if busy {
            self.sys.host.reactor.watch_while_busy();
        }
        match self.state {
            // Its state is on its way: what its devices did now would be done once more by those that take their place. If it goes on
            // after all, they hear of it then.
            RunState::FinishMigrate | RunState::Postmigrate => self.sys.hold_completions(),
            _ => self.deliver_completions(),
        }
    }

    /// Hands waiting completions to their devices. A machine whose state is yet to come keeps them: what is typed meanwhile is for the
    /// guest that comes.
    pub(super) fn deliver_completions(&mut self) {
        if self.state == RunState::Inmigrate {
            self.sys.hold_completions();
        } else {
            self.sys.deliver_completions();
        }
    }

    pub(super) fn requests(&mut self) -> Option<Outcome> {
        if let Some(cause) = Cause::of_number(self.stop.swap(0, Ordering::AcqRel)) {
            self.emit(&MachineEvent::Shutdown { cause });
            return Some(Outcome::Stopped);
        }
        if let Some(cause) = self.off.take() {
            return self.power_off(cause);
        }
        if self.sys.requests.contains(Requests::SHUTDOWN) {
            return self.guest_shutdown();
        }
        if self.sys.requests.contains(Requests::PAUSE) {
            self.sys.requests.remove(Requests::PAUSE);
            self.pause(RunState::Watchdog);
        }
        if self.sys.requests.contains(Requests::PANIC) {
            self.sys.requests.remove(Requests::PANIC);
            return self.guest_panicked();
        }
        if self.sys.has_unplugs() {
            self.let_devices_go();
        }
        let notices = if self.is_running() {
            self.sys.due_notices()
        } else {
            self.sys.take_notices()
        };
        for notice in notices {
            self.emit(&MachineEvent::Notice(notice));
        }
        // After the notice that says which disk it is.
        if self.sys.requests.contains(Requests::IO_ERROR) {
            self.sys.requests.remove(Requests::IO_ERROR);
            self.pause(RunState::IoError);
        }
        if self.sys.requests.contains(Requests::RESET) {
            return self.guest_reset();
        }
        None
    }

    /// Takes devices out that their slots let go, with all that sits on their buses.
    fn let_devices_go(&mut self) {
        let mut leaving = self.sys.take_unplugs();
        let mut i = 0;
        while let Some(device) = leaving.get(i).copied() {
            let below = self.sys.buses().filter(|(_, b)| b.owner == device);
            leaving.extend(
                below
                    .flat_map(|(_, b)| b.children.iter().map(|c| c.0))
                    .collect::<Vec<_>>(),
            );
            i += 1;
        }
        for device in leaving.into_iter().rev() {
            let Some(slot) = self.sys.slot(device) else { continue };
            let id = slot.id.clone();
            let path = match &id {
                Some(id) => format!("/machine/peripheral/{id}"),
                None => format!("/machine/peripheral-anon/device[{}]", device.index()),
            };
            self.sys.remove_device(device);
            self.emit(&MachineEvent::DeviceDeleted { id, path });
        }
    }

    fn after(&mut self, chosen: usize, exit: Exit, deadline: VirtualTime) -> Option<Outcome> {
        match exit {
            Exit::Budget => {
                self.follow_wall();
                None
            }
            Exit::Idle { until } if self.cpus.len() > 1 => {
                self.turns.sleep(chosen, until);
                // Who spins until some time has passed comes here again and again.
                self.follow_wall();
                self.has_to_halt().then_some(Outcome::Debug)
            }
            Exit::Idle { until } => {
                if self.has_to_halt() {
                    return Some(Outcome::Debug);
                }
                self.look.idle_at = self.sys.clock.executed();
                let next = [until, self.sys.next_deadline()].into_iter().flatten().min();
                self.idle(next.map_or(deadline, |n| n.min(deadline)));
                self.follow_wall();
                None
            }
            Exit::Reset => self.guest_reset(),
            Exit::Lockup(text) => self.locked_up(&text),
            Exit::Debug => Some(Outcome::Debug),
            Exit::Semihosting { op, arg } => {
                let cpu = self.current_cpu();
                self.semihosting(SemihostingCall { cpu, op, arg })
            }
            Exit::FirmwareCall => self.call_firmware(),
        }
    }

    fn call_firmware(&mut self) -> Option<Outcome> {
        let cpu = self.current_cpu();
        let Some(firmware) = &mut self.firmware else {
            let at = self.cpu(cpu).map_or(0, Cpu::pc);
            return Some(Outcome::Lockup(format!(
                "CPU {} calls firmware at {at:#x}, but there is none",
                cpu.0
            )));
        };
        let done = firmware.call(cpu, &mut self.cpus, &mut self.sys);
        if self.cpus.len() > 1 {
            self.sys.wake_cpus();
        }
        match done {
            FirmwareDone::Continue => None,
            FirmwareDone::Reset => self.guest_reset(),
            FirmwareDone::Shutdown => self.guest_shutdown(),
        }
    }

    fn semihosting(&mut self, call: SemihostingCall) -> Option<Outcome> {
        if self.sys.tape.plays() {
            return self.replay_semihosting(call);
        }
        let Some(host) = &mut self.semihosting else {
            let (op, at) = (call.op, self.cpu(call.cpu).map_or(0, Cpu::pc));
            return Some(Outcome::Lockup(format!(
                "semihosting call {op:#x} at {at:#010x}, but semihosting is off (switch it on with -semihosting)"
            )));
        };
        self.sys.tape.begin_call();
        match host.call(call, &mut self.sys) {
            SemihostingDone::Exit(status) => {
                self.emit(&MachineEvent::Shutdown {
                    cause: Cause::GuestShutdown,
                });
                Some(Outcome::GuestExit(status))
            }
            SemihostingDone::Result(result) => {
                self.sys.tape.end_call(self.sys.moment(), result);
                if let Some(cpu) = self.cpu_mut(call.cpu) {
                    cpu.finish_semihosting(result);
                }
                None
            }
        }
    }

    /// Lets time pass until `next`, or until the host has something.
    fn idle(&mut self, next: VirtualTime) {
        let now = self.sys.clock.now();
        if self.sys.tape.plays() {
            return self.replay_idle(next);
        }
        if next <= now || self.sys.host.has_completions() {
            return;
        }
        let endless = next.0 == u64::MAX;
        if self.pacing == Pacing::SkipIdle && !endless {
            self.sys.clock.sleep_until(next);
            return;
        }
        let span = Duration::from_nanos(next.0 - now.0);
        let begin = Instant::now();
        let timeout = if endless {
            None
        } else {
            Some(span.saturating_sub(self.oversleep))
        };
        let _ = self.sys.host.wait(timeout);
        self.look.looked(self.sys.clock.executed());
        let slept = begin.elapsed() + std::mem::take(&mut self.oversleep);
        if slept >= span && !endless {
            // What the host overslept is taken off the next idle span, so that lateness does not add up.
            self.oversleep = (slept - span).min(Duration::from_millis(10));
            self.sys.clock.sleep_until(next);
        } else {
            self.sys.clock.sleep_until(now.after(slept).min(next));
        }
    }

    /// Under `Wall`, pulls virtual time and the wall together after each slice.
    fn follow_wall(&mut self) {
        if self.pacing != Pacing::Wall || self.sys.tape.plays() {
            return;
        }
        let before = self.sys.moment();
        let now = self.sys.clock.now();
        let (begin, origin) = *self.wall.get_or_insert((Instant::now(), now));
        let wall = origin.after(begin.elapsed());
        if wall > now {
            let next = self.sys.next_deadline().unwrap_or(wall);
            self.sys.clock.sleep_until(wall.min(next.max(now)));
            self.sys.tape.hear(before, Input::Ticks(self.sys.clock.ticks()));
        } else if now.0 - wall.0 > 1_000_000 {
            let _ = self.sys.host.wait(Some(Duration::from_nanos(now.0 - wall.0)));
        }
    }
}
