//! Interrupt lines and other wires.
//!
//! A *net* is a wire: any number of device outputs drive it, their levels OR together, and every change of the result goes to the
//! sinks. Polarity is the board's: a connection may invert. Levels are set at once but delivered when the machine settles.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::VecDeque;

use crate::cpu::CpuId;
use crate::device::DeviceId;

/// A device's line by its own numbering: outputs and inputs are counted apart, in the order of `DeviceType::lines`.
pub type LineId = u16;

/// A wire of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetId(pub(crate) u32);

/// What hangs on the receiving end of a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// A device's input line.
    Device(DeviceId, LineId),
    /// A CPU's interrupt input, by the engine's numbering.
    Cpu(CpuId, u32),
}

/// Which lines somebody outside listens in on; what they carry goes where it always goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tap {
    /// None.
    #[default]
    Off,
    /// Outputs of a device, from the first, so many.
    Outputs(DeviceId, LineId, LineId),
    /// All inputs of a device.
    Inputs(DeviceId),
    /// All interrupt inputs of a CPU.
    Cpu(CpuId),
}

/// A tap and the changes it heard: line by the numbering of what is tapped, and level.
#[derive(Debug, Default)]
pub struct Tapped {
    /// What is tapped.
    pub tap: Tap,
    /// Changes, oldest first.
    pub heard: Vec<(u32, bool)>,
}

impl Tapped {
    pub(crate) fn output(&mut self, device: DeviceId, line: LineId, level: bool) {
        if let Tap::Outputs(d, first, count) = self.tap
            && d == device
            && line >= first
            && line - first < count
        {
            self.heard.push((u32::from(line - first), level));
        }
    }

    pub(crate) fn sink(&mut self, sink: Sink, level: bool) {
        match (self.tap, sink) {
            (Tap::Inputs(d), Sink::Device(device, line)) if d == device => self.heard.push((line.into(), level)),
            (Tap::Cpu(c), Sink::Cpu(cpu, line)) if c == cpu => self.heard.push((line, level)),
            _ => {}
        }
    }
}

#[derive(Debug, Default)]
struct Net {
    drivers_high: u32,
    sinks: SmallVec<[(Sink, bool); 2]>,
}

/// All wires, and the changes that wait to be delivered.
#[derive(Debug, Default)]
pub struct Nets {
    nets: Vec<Net>,
    /// Wires that nothing hangs on any more.
    free: Vec<NetId>,
    changed: VecDeque<(NetId, bool)>,
}

impl Nets {
    /// A new wire with nothing on it.
    pub fn add(&mut self) -> NetId {
        if let Some(free) = self.free.pop() {
            return free;
        }
        self.nets.push(Net::default());
        NetId(self.nets.len() as u32 - 1)
    }

    /// Attaches a receiver; `invert` hands it the opposite level.
    pub fn connect(&mut self, net: NetId, sink: Sink, invert: bool) {
        self.nets[net.0 as usize].sinks.push((sink, invert));
    }

    /// Detaches every receiver of a device that is unplugged.
    pub fn disconnect_device(&mut self, device: DeviceId) {
        for net in &mut self.nets {
            net.sinks
                .retain(|(s, _)| !matches!(s, Sink::Device(d, _) if *d == device));
        }
    }

    /// Takes a wire away, with all receivers. The caller has checked that nothing drives it.
    pub(crate) fn remove(&mut self, net: NetId) {
        if let Some(n) = self.nets.get_mut(net.0 as usize) {
            *n = Net::default();
            self.free.push(net);
        }
        // Wires at the end go altogether, so that a machine is wired as before when a device has come and gone.
        while let Some(last) = self.nets.len().checked_sub(1) {
            let Some(at) = self.free.iter().position(|f| f.0 as usize == last) else {
                break;
            };
            self.free.swap_remove(at);
            self.nets.pop();
        }
    }

    /// One driver of the wire changed to `level`. The caller has checked that it is a change.
    pub fn drive(&mut self, net: NetId, level: bool) {
        let n = &mut self.nets[net.0 as usize];
        let before = n.drivers_high > 0;
        n.drivers_high = if level {
            n.drivers_high + 1
        } else {
            n.drivers_high.saturating_sub(1)
        };
        let after = n.drivers_high > 0;
        if before != after {
            self.changed.push_back((net, after));
        }
    }

    /// The wire's level.
    pub fn level(&self, net: NetId) -> bool {
        self.nets[net.0 as usize].drivers_high > 0
    }

    /// Whether changes wait.
    #[inline]
    pub fn settled(&self) -> bool {
        self.changed.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<(NetId, bool)> {
        self.changed.pop_front()
    }

    pub(crate) fn drop_pending(&mut self) {
        self.changed.clear();
    }

    pub(crate) fn sinks(&self, net: NetId) -> SmallVec<[(Sink, bool); 2]> {
        self.nets[net.0 as usize].sinks.clone()
    }

    /// How many drivers hold each wire high, for save.
    pub(crate) fn levels(&self) -> Vec<u32> {
        self.nets.iter().map(|n| n.drivers_high).collect()
    }

    /// Restores what `levels` gave, without telling any sink: each part restores its own view.
    pub(crate) fn restore(&mut self, levels: &[u32]) -> bool {
        if levels.len() != self.nets.len() {
            return false;
        }
        for (net, level) in self.nets.iter_mut().zip(levels) {
            net.drivers_high = *level;
        }
        self.changed.clear();
        true
    }
}
