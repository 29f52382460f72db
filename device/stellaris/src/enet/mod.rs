//! `stellaris_enet`: the Ethernet controller of the LM3S6965, MAC and PHY.
//!
//! Frames cross by a network back end (`netdev`). Its cable is in when one is attached; without one the link is down, and a frame that is
//! transmitted is counted and dropped. When the receive FIFO is full, frames wait at the back end; while the receiver is off, they are
//! lost, as on a wire. When the back end is full, the frame stays in the FIFO and NEWTX set, until there is room.

mod phy;
mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_backend_net::{NetEvent, NetFront, Packet, parse_mac};
use southbridge_core::{
    Access, Build, Category, Completion, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind,
    Properties, Property, Region, ResetPhase, SavedState, role,
};

use state::State;

const STATE_VERSION: u32 = 1;
const IRQ: LineId = 0;

/// The device.
pub struct StellarisEnet {
    // Fixed.
    mac: [u8; 6],
    front: NetFront,
    // Volatile.
    state: State,
    #[cfg(test)]
    sent: Vec<Vec<u8>>,
}

impl StellarisEnet {
    fn create(props: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let text = props.str("mac").unwrap_or(MAC);
        let mac = parse_mac(text).ok_or_else(|| CreateError::BadValue {
            property: "mac",
            value: text.to_owned(),
            expected: "six bytes in hexadecimal, as in 52:54:00:12:34:56".to_owned(),
        })?;
        let front = NetFront::attach(props, "netdev", 0, build)?;
        Ok(Box::new(Self {
            mac,
            state: State::new(mac, front.is_connected()),
            front,
            #[cfg(test)]
            sent: Vec::new(),
        }))
    }

    /// Whether a frame would be taken now; a back end keeps it until then.
    pub fn can_receive(&self) -> bool {
        self.state.can_receive()
    }

    /// A frame from the wire: from the destination address on, without check sequence. Whether it was taken; it is not if the link is
    /// down, the receiver is off, the address filter drops it or the FIFO is full.
    pub fn receive_frame(&mut self, frame: &[u8], cx: &mut Ctx<'_>) -> bool {
        let taken = self.state.link() && self.state.receive(frame);
        self.sync(cx);
        taken
    }

    /// A peer appeared at the other end of the wire, or went.
    pub fn set_link(&mut self, up: bool, cx: &mut Ctx<'_>) {
        self.state.set_cable(up);
        self.sync(cx);
    }

    /// Frames that the guest transmitted since reset.
    pub fn transmitted(&self) -> u64 {
        self.state.transmitted()
    }

    fn transmit(&mut self, cx: &mut Ctx<'_>) {
        let Some(frame) = self.state.outgoing() else { return };
        let looped = self.state.loops_back();
        if !looped && !self.front.send(Packet::plain(&frame), cx) {
            // It stays where it is and goes when the back end says so.
            return;
        }
        self.state.transmitted_it();
        if looped {
            self.state.receive(&frame);
        }
        #[cfg(test)]
        self.sent.push(frame);
    }

    /// What the FIFO has room for. Off, the receiver lets frames pass by.
    fn tell_room(&self, cx: &mut Ctx<'_>) {
        self.front.set_room(self.state.room(), cx);
    }

    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.interrupt());
    }
}

impl Device for StellarisEnet {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(self.mac, self.state.cable()),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => self.tell_room(cx),
        }
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        match NetEvent::from_completion(done) {
            Some(NetEvent::Frames(frames)) => {
                for p in &frames {
                    if self.state.link() {
                        self.state.receive(p.frame);
                    }
                }
                self.tell_room(cx);
            }
            Some(NetEvent::Writable) => self.transmit(cx),
            Some(NetEvent::Link(up)) => self.state.set_cable(up),
            Some(NetEvent::Announce) | None => {}
        }
        self.sync(cx);
    }

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.tell_room(cx);
    }

    fn save(&self) -> SavedState {
        SavedState::of(STATE_VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(STATE_VERSION)?;
        if !state.valid() {
            return Err(LoadError::Impossible("a packet or FIFO is larger than the hardware's"));
        }
        self.state = state;
        Ok(())
    }
}

impl Mmio for StellarisEnet {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        let room = self.state.room();
        let value = self.state.read(access.offset);
        if self.state.room() != room {
            self.tell_room(cx);
        }
        match value {
            Some(value) => value.into(),
            None => {
                cx.guest_error(format_args!("read of MACDATA without a received packet"));
                0
            }
        }
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let room = self.state.room();
        self.state.write(access.offset, value as u32);
        self.transmit(cx);
        if self.state.room() != room {
            self.tell_room(cx);
        }
        self.sync(cx);
    }
}

/// The address of a controller made alone; a machine gives each NIC its own.
const MAC: &str = "52:54:00:12:34:56";

/// `stellaris_enet`.
pub static TYPE: DeviceType = DeviceType {
    name: "stellaris_enet",
    category: Category::Network,
    summary: "Ethernet controller of the LM3S6965",
    properties: &[
        Property {
            name: "mac",
            kind: PropKind::Str,
            default: None,
            help: "MAC address that the controller has after reset",
        },
        Property {
            name: "netdev",
            kind: PropKind::Backend("netdev"),
            default: None,
            help: "network that the cable leads to",
        },
    ],
    regions: &[Region::mmio32("registers", 0x1000, regs::REGISTERS)],
    lines: &[Line::out("irq")],
    roles: &[role!(StellarisEnet as dyn Mmio)],
    create: StellarisEnet::create,
    ..DeviceType::BASE
};
