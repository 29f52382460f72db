//! What devices and their back ends say to each other: names for the two ends, and what becomes of a message on its way out.

use std::collections::BTreeMap;

use super::{Deferred, FaultAction, FaultKind, corrupt};
use crate::clock::VirtualTime;
use crate::device::DeviceId;
use crate::host::Completion;
use crate::system::{Ctx, System};

/// Messages of one connection that are held back at most; what else a rule would delay then is lost.
const MOST_HELD: usize = 4096;

/// Where a connection of a device leads.
struct End {
    /// The back end's id.
    backend: String,
    /// Token of the completion by which the device hears that the other side is gone.
    closed: u64,
}

/// The connections of all devices that said where they lead.
#[derive(Default)]
pub(crate) struct Ends(BTreeMap<(DeviceId, u32), End>);

impl Ends {
    pub(crate) fn add(&mut self, device: DeviceId, port: u32, backend: &str, closed: u64) {
        let backend = backend.to_owned();
        self.0.insert((device, port), End { backend, closed });
    }

    /// The back end's id; empty for a connection that leads to no named one.
    pub(super) fn name(&self, device: DeviceId, port: u32) -> String {
        let end = self.0.get(&(device, port));
        end.map_or_else(String::new, |e| e.backend.clone())
    }

    /// What the device hears when the other side fails.
    pub(super) fn failure(&self, device: DeviceId, port: u32) -> Option<Completion> {
        let end = self.0.get(&(device, port))?;
        Some(Completion::plain(port, end.closed, 0))
    }
}

/// What becomes of a message that leaves a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It goes out.
    Now,
    /// It is lost, and the device believes that it went out.
    Lost,
    /// It goes out at that moment.
    At(VirtualTime),
}

impl Ctx<'_> {
    /// Whether a message that leaves a device may have to be shown to [`Ctx::leaves`] first.
    pub fn is_output_watched(&self) -> bool {
        let faults = &self.sys().faults;
        faults.looks_at(&[FaultKind::Output]) || faults.holds_back()
    }

    /// A message leaves this device by one of its connections: the rules count it, may change it, and decide what becomes of it. Those
    /// behind one that is held back stay behind it. The caller does what it is told, with [`Ctx::later`] for what goes out later.
    pub fn leaves(&mut self, port: u32, message: &mut [u8]) -> Passage {
        let me = self.me();
        self.sys_mut().probed_output(me, port, message)
    }

    /// Has something done for a message that [`Ctx::leaves`] holds back.
    pub fn later(&mut self, at: VirtualTime, port: u32, what: impl FnOnce(&mut Ctx<'_>) + Send + Sync + 'static) {
        let what = Deferred::Output(self.me(), port, Box::new(what));
        self.sys_mut().defer_to(at, what);
    }

    /// The same for one that should have gone out now and could not: it stays in front of those behind it.
    pub fn try_again(&mut self, at: VirtualTime, port: u32, what: impl FnOnce(&mut Ctx<'_>) + Send + Sync + 'static) {
        let me = self.me();
        let sys = self.sys_mut();
        sys.faults.queue.put_back(at, me, port, Box::new(what));
        sys.raise_attention();
    }
}

impl System {
    #[cold]
    fn probed_output(&mut self, device: DeviceId, port: u32, message: &mut [u8]) -> Passage {
        let (label, name) = (self.label(device), self.faults.ends.name(device, port));
        let struck = self.fault_in(FaultKind::Output, device, &label, &name, port);
        let now = self.clock.now();
        let (held, last) = self.faults.queue.outputs(device, port);
        let passage = match struck {
            Some((FaultAction::Drop, _)) => return Passage::Lost,
            Some((FaultAction::Fail, _)) => {
                if let Some(gone) = self.faults.ends.failure(device, port) {
                    // The device is in the middle of its own call, so it hears of it as soon as that is over.
                    self.defer(1, Deferred::Completion(device, gone));
                }
                return Passage::Lost;
            }
            Some((FaultAction::Delay(ns), _)) => {
                let at = now.after_ns(ns.max(1));
                Passage::At(last.map_or(at, |last| last.max(at)))
            }
            other => {
                corrupt_byte(message, other);
                last.map_or(Passage::Now, Passage::At)
            }
        };
        match passage {
            Passage::At(_) if held >= MOST_HELD => Passage::Lost,
            other => other,
        }
    }
}

/// Changes the byte that the rule means; a shorter message stays as it is.
pub(super) fn corrupt_byte(message: &mut [u8], struck: Option<(FaultAction, usize)>) {
    if let Some((action, byte)) = struck
        && let Some(byte) = message.get_mut(byte)
    {
        *byte = corrupt((*byte).into(), Some(action)) as u8;
    }
}
