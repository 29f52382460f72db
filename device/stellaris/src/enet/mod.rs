//! `stellaris_enet`: the Ethernet controller of the LM3S6965, MAC and PHY.
//!
//! The guest's side is whole. The host's side is not there yet: no back end is attached, so the link is down, and a frame that is
//! transmitted is counted and dropped. A back end will call [`StellarisEnet::set_link`] and [`StellarisEnet::receive_frame`].

mod phy;
mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, Build, Category, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind, Properties,
    Property, Region, ResetPhase, SavedState, role,
};

use state::State;

const STATE_VERSION: u32 = 1;
const IRQ: LineId = 0;

/// The device.
pub struct StellarisEnet {
    // Fixed.
    mac: [u8; 6],
    // Volatile.
    state: State,
    #[cfg(test)]
    sent: Vec<Vec<u8>>,
}

impl StellarisEnet {
    fn create(props: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let text = props.str("mac").unwrap_or_default();
        let mac = parse_mac(text).ok_or_else(|| CreateError::BadValue {
            property: "mac",
            value: text.to_owned(),
            expected: "six bytes in hexadecimal, as in 52:54:00:12:34:56".to_owned(),
        })?;
        Ok(Box::new(Self {
            mac,
            state: State::new(mac, false),
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

    fn transmit(&mut self) {
        if let Some(frame) = self.state.transmit() {
            if self.state.loops_back() {
                self.state.receive(&frame);
            }
            #[cfg(test)]
            self.sent.push(frame);
            #[cfg(not(test))]
            drop(frame);
        }
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
            ResetPhase::Exit => {}
        }
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
        match self.state.read(access.offset) {
            Some(value) => value.into(),
            None => {
                cx.guest_error(format_args!("read of MACDATA without a received packet"));
                0
            }
        }
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.state.write(access.offset, value as u32);
        self.transmit();
        self.sync(cx);
    }
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|p| p.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// `stellaris_enet`.
pub static TYPE: DeviceType = DeviceType {
    name: "stellaris_enet",
    category: Category::Network,
    summary: "Ethernet controller of the LM3S6965",
    properties: &[Property {
        name: "mac",
        kind: PropKind::Str,
        default: Some("52:54:00:12:34:56"),
        help: "MAC address that the controller has after reset",
    }],
    regions: &[Region::mmio32("registers", 0x1000, regs::REGISTERS)],
    lines: &[Line::out("irq")],
    roles: &[role!(StellarisEnet as dyn Mmio)],
    create: StellarisEnet::create,
    ..DeviceType::BASE
};
