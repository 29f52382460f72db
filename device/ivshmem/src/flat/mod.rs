//! `ivshmem-flat`: shared memory and doorbells for boards without PCI.
//!
//! Region 0 has the four registers of the ivshmem specification ("PCI device registers"), region 1 the memory that an ivshmem server
//! hands out. The server is reached through a socket chardev; what it says is understood by the protocol crate and it can at worst
//! make this device useless: it never blocks the machine, and each failure is said once.
//!
//! # The interrupt
//! QEMU's device of this name pulses its line for each doorbell and has neither mask nor status (both read as 0), which is revision 1
//! of the specification without MSI-X. Revision 0 defines both registers. Here a guest gets what it was written for:
//! - it never touches INTRMASK: each doorbell pulses the line, as in QEMU;
//! - it sets bit 0 of INTRMASK: the line is the level `INTRSTATUS & INTRMASK`, and reading INTRSTATUS takes it back.
//!
//! Other differences from QEMU's: IVPOSITION reads as -1 until the server has told the id (revision 0 of the specification; QEMU stops
//! the whole process until then); a doorbell for a vector that a peer lacks is ignored, as specified (QEMU writes to descriptor 0 of
//! an unset notifier); memory of the wrong size, a wrong protocol version or a dying server do not end the process.

mod placement;
mod state;
#[cfg(test)]
mod tests;

use rustix::fd::OwnedFd;
use southbridge_core::{
    Access, Build, Category, Completion, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind,
    Properties, Property, RamBlock, Region, Register, ResetPhase, SavedState, role,
};
use southbridge_protocol_ivshmem::{regs, wire};

use crate::link::{CHARDEV, Heard, Link, Rung};
use state::{Ring, State};

const VERSION: u32 = 1;
/// Regions and the only line, by number.
const SHMEM: usize = 1;
const IRQ: LineId = 0;

const REGISTERS: &[Register] = &[
    Register::rw(regs::INTRMASK as u64, "INTRMASK"),
    Register::rw(regs::INTRSTATUS as u64, "INTRSTATUS"),
    Register::ro(regs::IVPOSITION as u64, "IVPOSITION"),
    Register::wo(regs::DOORBELL as u64, "DOORBELL"),
];

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "ivshmem-flat",
    category: Category::Misc,
    summary: "Inter-VM shared memory and doorbells for boards without PCI",
    user_creatable: true,
    properties: PROPERTIES,
    regions: &[
        Region::mmio32("iomem", regs::FLAT_REGS_LEN as u64, REGISTERS),
        Region::ram("shmem", regs::DEFAULT_SHMEM_SIZE),
    ],
    lines: &[Line::out("irq")],
    roles: &[role!(IvshmemFlat as dyn Mmio)],
    events: &events::EVENTS,
    create: IvshmemFlat::create,
    ..DeviceType::BASE
};

southbridge_core::trace_events! {
    /// What happens between this device, its peers and the server.
    mod events {
        ivshmem_flat_doorbell_out(peer: uint, vector: uint) "a doorbell of a peer was rung";
        ivshmem_flat_doorbell_lost(peer: uint, vector: uint) "a doorbell was written for a peer or vector that is not there";
        ivshmem_flat_doorbell_in() "somebody rang this device";
        ivshmem_flat_own_id(id: uint) "the server told the device its id";
        ivshmem_flat_memory(bytes: uint) "the server handed out the shared memory";
        ivshmem_flat_peer_joined(peer: uint, vector: uint) "a peer introduced one of its vectors";
        ivshmem_flat_peer_left(peer: uint) "a peer is gone";
        ivshmem_flat_server_gone() "the connection to the server ended";
    }
}

const fn property(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

const PROPERTIES: &[Property] = &[
    CHARDEV,
    property("shmem-size", PropKind::Size, Some("4M"), "size of the server's memory"),
    property(
        "irq",
        PropKind::Str,
        Some("auto"),
        "interrupt input: its number, 'auto' for a free one, or 'off'",
    ),
    property(
        "address",
        PropKind::Uint(64),
        None,
        "where the registers are (16 bytes); a free place if not given",
    ),
    property(
        "shmem-address",
        PropKind::Uint(64),
        None,
        "where the shared memory is; a free place if not given",
    ),
    property(
        "x-irq-qompath",
        PropKind::Str,
        None,
        "the same as irq=N, as a path that ends in [N]",
    ),
    property("x-bus-qompath", PropKind::Str, None, "accepted if it is '/sysbus'"),
    property("x-bus-address-iomem", PropKind::Uint(64), None, "the same as address"),
    property(
        "x-bus-address-shmem",
        PropKind::Uint(64),
        None,
        "the same as shmem-address",
    ),
];

/// An `ivshmem-flat`.
pub struct IvshmemFlat {
    // Fixed.
    size: u64,
    // The server's.
    link: Link,
    // Volatile.
    state: State,
}

impl IvshmemFlat {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        build.place_wish(placement::wish(p)?);
        let size = p.uint("shmem-size");
        if size == 0 || size > u64::from(u32::MAX) {
            return Err(CreateError::BadValue {
                property: "shmem-size",
                value: size.to_string(),
                expected: "a size from 1 byte to less than 4G".into(),
            });
        }
        let link = Link::attach(p, wire::MAX_VECTORS, build)?;
        build.region_size(SHMEM, size);
        Ok(Box::new(Self {
            size,
            link,
            state: State::new(),
        }))
    }

    fn sync(&mut self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.line());
    }

    /// A peer rings us.
    fn rung(&mut self, cx: &mut Ctx<'_>) {
        events::ivshmem_flat_doorbell_in(cx);
        match self.state.ring() {
            Ring::Pulse => cx.pulse_line(IRQ),
            Ring::Level => self.sync(cx),
        }
    }

    /// We ring a peer, perhaps ourselves.
    fn ring(&mut self, doorbell: regs::Doorbell, cx: &mut Ctx<'_>) {
        let rung = self.link.ring(doorbell);
        let (peer, vector) = (doorbell.peer().into(), doorbell.vector().into());
        if rung.is_heard() {
            events::ivshmem_flat_doorbell_out(cx, peer, vector);
        } else {
            events::ivshmem_flat_doorbell_lost(cx, peer, vector);
        }
        rung.log(doorbell, cx);
        if rung == Rung::Myself {
            self.rung(cx);
        }
    }

    fn on_server(&mut self, heard: Heard, cx: &mut Ctx<'_>) {
        match heard {
            Heard::OwnId(id) => events::ivshmem_flat_own_id(cx, id.into()),
            Heard::Memory(fd) => self.map(fd, cx),
            Heard::PeerJoined { peer, vector } => events::ivshmem_flat_peer_joined(cx, peer.into(), vector.into()),
            Heard::PeerLeft(peer) => events::ivshmem_flat_peer_left(cx, peer.into()),
            Heard::ServerGone => events::ivshmem_flat_server_gone(cx),
        }
    }

    fn map(&mut self, fd: OwnedFd, cx: &mut Ctx<'_>) {
        let need = self.size;
        let have = rustix::fs::fstat(&fd).map_or(0, |s| u64::try_from(s.st_size).unwrap_or(0));
        let block = match have == need {
            true => RamBlock::from_fd(fd, need).map_err(|e| e.to_string()),
            false => Err(format!(
                "it has {have} bytes, this device shmem-size={need}; give server and device the same size"
            )),
        };
        if let Err(e) = &block {
            cx.warning(format_args!("the server's memory cannot be used: {e}"));
        }
        if block.is_ok() {
            events::ivshmem_flat_memory(cx, need);
        }
        cx.back_region(SHMEM, block.ok());
    }
}

impl Mmio for IvshmemFlat {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        let value = match access.offset as u32 {
            regs::INTRMASK => self.state.mask(),
            regs::INTRSTATUS => {
                let status = self.state.take_status();
                self.sync(cx);
                status
            }
            regs::IVPOSITION => self.link.own_id().map_or(u32::MAX, u32::from),
            _ => 0,
        };
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        match access.offset as u32 {
            regs::DOORBELL => return self.ring(regs::Doorbell::from_bits(value as u32), cx),
            regs::INTRMASK => self.state.set_mask(value as u32),
            regs::INTRSTATUS => self.state.set_status(value as u32),
            _ => {}
        }
        self.sync(cx);
    }
}

impl Device for IvshmemFlat {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => self.link.listen(cx),
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            size: _,
            link: _,
            state,
        } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        state.check()?;
        self.state = state;
        Ok(())
    }

    fn migration_blocker(&self) -> Option<String> {
        Some("the shared memory, the own id and the peers live in the ivshmem server".into())
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        if self.link.vector(&done).is_some() {
            return self.rung(cx);
        }
        for heard in self.link.hear(done, cx) {
            self.on_server(heard, cx);
        }
    }
}
