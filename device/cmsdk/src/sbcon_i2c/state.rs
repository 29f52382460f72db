//! Two wires as a guest moves them, turned into what happens on an I2C bus (NXP UM10204, 3.1).

use serde::{Deserialize, Serialize};

/// What the wires lead to.
pub(super) trait Targets {
    /// Start with a 7-bit address; whether anybody acknowledges.
    fn start(&mut self, address: u8, read: bool) -> bool;
    /// A byte to the target; whether it acknowledges.
    fn send(&mut self, address: u8, byte: u8) -> bool;
    /// A byte from the target.
    fn receive(&mut self, address: u8) -> u8;
    /// The byte just received was the last one.
    fn nack(&mut self, address: u8);
    /// The transfer is over.
    fn stop(&mut self, address: u8);
}

/// What the next clock pulse means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Nothing: no transfer, or nobody listens.
    Idle,
    /// A bit from the controller; `count` of the byte are there.
    Send { byte: u8, count: u8, addressing: bool },
    /// The target acknowledges `byte`.
    TargetAck { byte: u8, addressing: bool },
    /// A bit from the target; `count` of the byte are out.
    Receive { byte: u8, count: u8 },
    /// The controller acknowledges.
    ControllerAck,
}

/// The controller's two open-drain outputs, and the bus behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    scl: bool,
    sda: bool,
    /// What the target does with SDA: false pulls it down.
    target_sda: bool,
    phase: Phase,
    /// Whom the transfer is with: address and direction as on the wire.
    address: Option<u8>,
}

impl State {
    /// Both wires released.
    pub(super) const fn new() -> Self {
        Self {
            scl: true,
            sda: true,
            target_sda: true,
            phase: Phase::Idle,
            address: None,
        }
    }

    pub(super) fn valid(&self) -> bool {
        match self.phase {
            Phase::Send { count, .. } | Phase::Receive { count, .. } => count < 8,
            _ => true,
        }
    }

    pub(super) fn scl(&self) -> bool {
        self.scl
    }

    /// What the controller drives.
    pub(super) fn sda_out(&self) -> bool {
        self.sda
    }

    /// The wire.
    pub(super) fn sda(&self) -> bool {
        self.sda && self.target_sda
    }

    /// The guest sets its outputs. If both change at once, the clock is first.
    pub(super) fn set(&mut self, scl: bool, sda: bool, targets: &mut dyn Targets) {
        if scl != self.scl {
            self.scl = scl;
            self.target_sda = true;
            if scl {
                self.pulse(targets);
            }
        }
        if sda != self.sda {
            self.sda = sda;
            if self.scl {
                self.target_sda = true;
                if sda { self.stop(targets) } else { self.start() }
            }
        }
    }

    fn start(&mut self) {
        self.phase = Phase::Send {
            byte: 0,
            count: 0,
            addressing: true,
        };
    }

    fn stop(&mut self, targets: &mut dyn Targets) {
        self.phase = Phase::Idle;
        if let Some(a) = self.address.take() {
            targets.stop(a >> 1);
        }
    }

    /// The clock goes up: whoever's turn it is shows a bit, the other takes it.
    fn pulse(&mut self, targets: &mut dyn Targets) {
        match self.phase {
            Phase::Idle => {}
            Phase::Send {
                byte,
                count,
                addressing,
            } => {
                let byte = byte << 1 | u8::from(self.sda);
                self.phase = if count >= 7 {
                    Phase::TargetAck { byte, addressing }
                } else {
                    Phase::Send {
                        byte,
                        count: count + 1,
                        addressing,
                    }
                };
            }
            Phase::TargetAck { byte, addressing } => self.target_ack(byte, addressing, targets),
            Phase::Receive { byte, count } => {
                let byte = match (count, self.address) {
                    (0, Some(a)) => targets.receive(a >> 1),
                    _ => byte,
                };
                self.target_sda = byte & 0x80 != 0;
                self.phase = if count >= 7 {
                    Phase::ControllerAck
                } else {
                    Phase::Receive {
                        byte: byte << 1,
                        count: count + 1,
                    }
                };
            }
            Phase::ControllerAck => self.controller_ack(targets),
        }
    }

    fn target_ack(&mut self, byte: u8, addressing: bool, targets: &mut dyn Targets) {
        let acknowledged = if addressing {
            // A repeated start with another target ends the transfer with the one before.
            if let Some(old) = self.address.filter(|old| old >> 1 != byte >> 1) {
                targets.stop(old >> 1);
            }
            self.address = Some(byte);
            targets.start(byte >> 1, byte & 1 != 0)
        } else {
            self.address.is_some_and(|a| targets.send(a >> 1, byte))
        };
        if !acknowledged {
            self.stop(targets);
            return;
        }
        self.target_sda = false;
        self.phase = if self.address.is_some_and(|a| a & 1 != 0) {
            Phase::Receive { byte: 0, count: 0 }
        } else {
            Phase::Send {
                byte: 0,
                count: 0,
                addressing: false,
            }
        };
    }

    fn controller_ack(&mut self, targets: &mut dyn Targets) {
        if !self.sda {
            self.phase = Phase::Receive { byte: 0, count: 0 };
            return;
        }
        self.phase = Phase::Idle;
        if let Some(a) = self.address {
            targets.nack(a >> 1);
        }
    }
}
