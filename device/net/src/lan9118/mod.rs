//! `lan9118`: the SMSC LAN9118 Ethernet controller (data sheet revision 1.5), one MAC and PHY behind 256 bytes of registers.
//!
//! Frames cross by a network back end (`netdev`); without one, frames that leave are counted and dropped. A frame for which the FIFOs
//! have no room is lost and counted in RX_DROP, as on the wire, and so is one that a back end has no room for. Not modelled: the
//! deassertion interval of the interrupt, flow control,
//! wake-up, GPIO interrupts, VLAN tags. Where QEMU differs: FIFO sizes follow HW_CFG, end alignment of transmit buffers works, the
//! transmit status FIFO has 128 entries, RX_DROP counts, a system reset resets IRQ_CFG too, the checksum in the FIFO is right.

mod csr;
mod eeprom;
mod gpt;
mod halves;
mod mac;
mod phy;
mod regs;
mod rx;
mod state;
#[cfg(test)]
mod tests;
mod tx;

use halves::Halves;
use serde::{Deserialize, Serialize};
use southbridge_backend_net::{NetEvent, NetFront, Packet, parse_mac};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, Category, Completion, CreateError, Ctx, Device, DeviceType, Endian, Line, LineId, LoadError, Mmio,
    PropKind, Properties, Property, Region, RegionKind, ResetPhase, SavedState, VirtualTime, role,
};
use state::{Complaint, Effect, State};

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "lan9118",
    summary: "SMSC LAN9118 Ethernet controller",
    category: Category::Network,
    properties: &[
        Property {
            name: "mac",
            kind: PropKind::Str,
            default: None,
            help: "MAC address in the EEPROM",
        },
        Property {
            name: "netdev",
            kind: PropKind::Backend("netdev"),
            default: None,
            help: "network that the cable leads to",
        },
        Property {
            name: "mode_16bit",
            kind: PropKind::Uint(32),
            default: Some("0"),
            help: "1: the host's bus has 16 bits and reaches registers by halves",
        },
    ],
    regions: &[Region {
        name: "lan9118-mmio",
        kind: RegionKind::Mmio,
        size: regs::SIZE,
        valid: (1, 4),
        native: (2, 4),
        endian: Endian::Little,
        registers: &regs::TABLE,
    }],
    lines: &[Line::out("irq")],
    roles: &[role!(Lan9118 as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
const IRQ: LineId = 0;
const GPT_ZERO: TimerIndex = 0;
/// The address of a controller made alone; a machine gives each NIC its own.
const MAC: &str = "52:54:00:12:34:56";
/// Frames that may come at once. The FIFOs take what they have room for, and the rest is lost.
const BURST: usize = 64;

/// The device.
pub struct Lan9118 {
    bus_16: bool,
    front: NetFront,
    frames_sent: u64,
    state: State,
    halves: Halves,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    state: State,
    halves: Halves,
}

fn create(props: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let text = props.str("mac").unwrap_or(MAC);
    let mac = parse_mac(text).ok_or_else(|| CreateError::BadValue {
        property: "mac",
        value: text.to_owned(),
        expected: "six bytes in hexadecimal like 52:54:00:12:34:56, the first one even".to_owned(),
    })?;
    let bus_16 = props.uint("mode_16bit") != 0;
    Ok(Box::new(Lan9118 {
        bus_16,
        front: NetFront::attach(props, "netdev", 0, build)?,
        frames_sent: 0,
        state: State::new(!bus_16, mac, VirtualTime(0)),
        halves: Halves::default(),
    }))
}

impl Lan9118 {
    /// A frame arrives on the wire: destination, source, type and data, without checksum. Gives false if it was lost (receiver off,
    /// no room, no legal length).
    pub fn receive_frame(&mut self, frame: &[u8], cx: &mut Ctx<'_>) -> bool {
        self.state.advance(cx.now());
        let taken = self.state.receive(frame);
        self.sync(cx);
        taken
    }

    /// The cable is plugged or pulled.
    pub fn set_link(&mut self, up: bool, cx: &mut Ctx<'_>) {
        self.state.advance(cx.now());
        self.state.set_link(up);
        self.sync(cx);
    }

    /// Frames that left since the device was made.
    pub fn frames_sent(&self) -> u64 {
        self.frames_sent
    }

    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.irq());
        match self.state.deadline() {
            Some(t) => cx.set_timer(GPT_ZERO, t),
            None => cx.cancel_timer(GPT_ZERO),
        }
    }

    fn apply(&mut self, effect: Effect, cx: &mut Ctx<'_>) {
        if let Some(frame) = effect.sent.filter(|_| !self.state.loopback()) {
            self.frames_sent = self.frames_sent.wrapping_add(1);
            // A back end that is full loses it, as a crowded wire does.
            self.front.send(Packet::plain(&frame), cx);
        }
        match effect.complaint {
            None => {}
            Some(Complaint::NoMacRegister(n)) => cx.guest_error(format_args!("the MAC has no register {n}")),
            Some(Complaint::NoPhyRegister(n)) => cx.guest_error(format_args!("the PHY has no register {n} to use so")),
            Some(Complaint::PhyRegisterNotModelled(n)) => cx.unimplemented(format_args!("PHY register {n}")),
            Some(Complaint::FrameTooLong) => {
                cx.guest_error(format_args!("a frame longer than {} bytes is cut off", tx::MAX_FRAME))
            }
            Some(Complaint::TxFifoOverrun) => cx.guest_error(format_args!("TX data FIFO overrun")),
            Some(Complaint::BadTxFifoSize) => cx.guest_error(format_args!("TX_FIF_SZ is from 2 to 14; it stays")),
        }
    }

    /// The upper half of a register on a host with a 32-bit bus is out of reach of halfword accesses.
    fn out_of_reach(&self, access: Access, cx: &mut Ctx<'_>) -> bool {
        let upper = access.size == 2 && access.offset & 2 != 0 && !self.bus_16;
        if upper {
            cx.guest_error(format_args!("halfword at offset {:#x} on a 32-bit bus", access.offset));
        }
        upper
    }
}

impl Mmio for Lan9118 {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        if self.out_of_reach(access, cx) {
            return 0;
        }
        let (now, word) = (cx.now(), access.offset & !3);
        self.state.advance(now);
        let value = if access.size == 2 && self.bus_16 {
            let upper = access.offset & 2 != 0;
            self.halves.read(word, upper, || self.state.read(word, now)).into()
        } else {
            self.state.read(word, now)
        };
        self.sync(cx);
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if self.out_of_reach(access, cx) {
            return;
        }
        let (now, word) = (cx.now(), access.offset & !3);
        self.state.advance(now);
        let value = if access.size == 2 && self.bus_16 {
            self.halves.write(word, access.offset & 2 != 0, value as u16)
        } else {
            Some(value as u32)
        };
        if let Some(value) = value {
            let effect = self.state.write(word, value, now);
            self.apply(effect, cx);
        }
        self.sync(cx);
    }
}

impl Device for Lan9118 {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => {
                self.state.reset(cx.now());
                self.halves = Halves::default();
            }
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => self.front.set_room(BURST, cx),
        }
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        match NetEvent::from_completion(done) {
            Some(NetEvent::Frames(frames)) => {
                for p in &frames {
                    self.receive_frame(p.frame, cx);
                }
                self.front.set_room(BURST, cx);
            }
            Some(NetEvent::Link(up)) => self.set_link(up, cx),
            Some(NetEvent::Writable | NetEvent::Announce) | None => {}
        }
    }

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.front.set_room(BURST, cx);
    }

    fn save(&self) -> SavedState {
        let saved = Saved {
            state: self.state.clone(),
            halves: self.halves.clone(),
        };
        SavedState::of(VERSION, &saved)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let Saved { state, halves } = saved.read(VERSION)?;
        if !state.valid(!self.bus_16) {
            return Err(LoadError::Impossible("bus width, FIFO levels or EEPROM size"));
        }
        self.state = state;
        self.halves = halves;
        Ok(())
    }

    fn on_timer(&mut self, _: TimerIndex, cx: &mut Ctx<'_>) {
        self.state.advance(cx.now());
        self.sync(cx);
    }
}
