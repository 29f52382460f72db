//! `ivshmem-plain` and `ivshmem-doorbell`: shared memory as a BAR of a PCI function, without and with doorbells.
//!
//! Revision 1 of the ivshmem specification: BAR 0 has the registers, BAR 1 of the doorbell kind the MSI-X table, BAR 2 the memory, which
//! is a memory back end's (`memdev=`) or an ivshmem server's (`chardev=`). Interrupt Mask and Status hold what is written and mean nothing.
//!
//! # When the memory comes
//! QEMU's device stands still until its server has greeted it. Here the machine's start waits (two seconds at most), so that a guest
//! finds everything in place as well. Until the memory has come, which a device that is hot-plugged may show for a moment, there is no
//! BAR 2 and IVPosition reads as -1, as in revision 0. A BAR's size is fixed once the guest may have seen it: a later server must have
//! memory of the same size.
//!
//! # Saving
//! One device of a group takes the memory along: the master (`master=on`, or `auto` and first at its server, or without a server). All
//! others say that they cannot be saved, as in QEMU. What is saved is loaded where the memory is or, if that comes later, when it does.
//!
//! Other differences from QEMU's: a doorbell's vector has all 16 bits; memory whose size no BAR can have, a server that dies or lies,
//! and `master=on` with an id other than 0 are warnings and do not end the process; two devices may have the same `memdev`.

mod contents;
#[cfg(test)]
mod tests;
mod types;

pub use types::{DOORBELL, PLAIN};

use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use southbridge_bus_pci::{Bar, Pci, PciFunction, PciState};
use southbridge_core::{Access, Completion, Ctx, Device, LoadError, Mmio, RamBlock, ResetPhase, SavedState};
use southbridge_protocol_ivshmem::regs;

use crate::link::{Heard, Link, Rung};
use contents::Contents;
use types::{IOMEM, events};

const VERSION: u32 = 1;
/// Largest memory of a server, in bytes: what is behind a mapping costs some memory of ours for each byte of it.
const MAX_MEMORY: u64 = 64 << 30;

/// Whether a device takes the memory along when it is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Master {
    Off,
    On,
    /// If it was the first at the server, or has none.
    Auto,
}

/// The same, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Master,
    Peer,
    /// Not before the server has told the id.
    Unknown,
}

/// An `ivshmem-plain` or `ivshmem-doorbell`.
pub struct Ivshmem {
    // Fixed.
    master: Master,
    /// Region of the memory: read-only memory has one of its own.
    shmem: usize,
    // The host's.
    /// `None` without doorbells.
    link: Option<Link>,
    memory: Option<RamBlock>,
    /// Contents that were loaded and wait for their memory.
    arriving: Option<Contents>,
    // Volatile.
    /// Bytes of BAR 2; 0 while unknown.
    size: u64,
    pci: Pci,
    intrmask: u32,
    intrstatus: u32,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    pci: PciState,
    intrmask: u32,
    intrstatus: u32,
    size: u64,
    contents: Option<Contents>,
}

impl Ivshmem {
    fn part(&self) -> Part {
        let id = match &self.link {
            None => Some(0),
            Some(link) => link.own_id(),
        };
        match (self.master, id) {
            (Master::Off, _) => Part::Peer,
            // Without a server there is no id that could be another's.
            (Master::On | Master::Auto, Some(0)) => Part::Master,
            (Master::On | Master::Auto, Some(_)) => Part::Peer,
            (Master::On | Master::Auto, None) => Part::Unknown,
        }
    }

    fn declare_memory(&mut self) {
        self.pci
            .add_bar(regs::PCI_BAR_MEMORY, Bar::mem64_prefetch(self.shmem, self.size));
    }

    /// Whether a saved state can be this device's.
    fn check(&self, saved: &Saved) -> Result<(), LoadError> {
        self.pci.check(&saved.pci)?;
        let both_know = self.link.is_none() || (self.size != 0 && saved.size != 0);
        let fits = if both_know {
            saved.size == self.size
        } else {
            saved.size == 0 || (saved.size.is_power_of_two() && saved.size <= MAX_MEMORY)
        };
        if !fits {
            return Err(LoadError::Impossible("shared memory of another size"));
        }
        match &saved.contents {
            Some(_) if self.part() == Part::Peer => Err(LoadError::Impossible(
                "the contents of a master's shared memory, where this device is a peer",
            )),
            Some(contents) => contents.check(saved.size),
            None => Ok(()),
        }
    }

    // ----- the server ----------------------------------------------------------------------------------------------------------

    fn on_server(&mut self, heard: Heard, cx: &mut Ctx<'_>) {
        match heard {
            Heard::OwnId(id) => {
                events::ivshmem_doorbell_own_id(cx, id.into());
                if self.master == Master::On && id != 0 {
                    cx.warning(format_args!(
                        "'master=on' is for the first at a server, with id 0; this device has id {id} and is a peer"
                    ));
                }
            }
            Heard::Memory(fd) => self.map(fd, cx),
            Heard::PeerJoined { peer, vector } => events::ivshmem_doorbell_peer_joined(cx, peer.into(), vector.into()),
            Heard::PeerLeft(peer) => events::ivshmem_doorbell_peer_left(cx, peer.into()),
            Heard::ServerGone => events::ivshmem_doorbell_server_gone(cx),
        }
    }

    fn map(&mut self, fd: OwnedFd, cx: &mut Ctx<'_>) {
        let have = rustix::fs::fstat(&fd).map_or(0, |s| u64::try_from(s.st_size).unwrap_or(0));
        let block = self
            .suits(have)
            .and_then(|()| RamBlock::from_fd(fd, have).map_err(|e| e.to_string()));
        match block {
            Ok(block) => self.show(block, cx),
            Err(e) => {
                cx.warning(format_args!("the server's memory cannot be used: {e}"));
                // What an earlier server gave is no longer what the peers have.
                self.memory = None;
                cx.back_region(self.shmem, None);
            }
        }
    }

    fn suits(&self, have: u64) -> Result<(), String> {
        let size = self.size;
        if !have.is_power_of_two() {
            Err(format!("it has {have} bytes, and a BAR shows a power of two"))
        } else if have > MAX_MEMORY {
            Err(format!("it has {have} bytes; {MAX_MEMORY} is the most"))
        } else if size != 0 && have != size {
            Err(format!("it has {have} bytes, and the guest knows of {size}"))
        } else {
            Ok(())
        }
    }

    fn show(&mut self, block: RamBlock, cx: &mut Ctx<'_>) {
        events::ivshmem_doorbell_memory(cx, block.len());
        if self.size == 0 {
            self.size = block.len();
            self.declare_memory();
        }
        cx.resize_region(self.shmem, self.size);
        cx.back_region(self.shmem, Some(block.clone()));
        self.memory = Some(block);
        self.arrive(cx);
    }

    /// Puts loaded contents into memory, when both are there.
    fn arrive(&mut self, cx: &mut Ctx<'_>) {
        if self.part() == Part::Peer && self.arriving.take().is_some() {
            cx.warning(format_args!(
                "this device is a peer: the contents of its memory are not taken over"
            ));
        }
        let Some(memory) = &self.memory else { return };
        if let Some(contents) = self.arriving.take() {
            contents.put(memory);
            cx.changed_memory(memory, 0, memory.len());
        }
    }

    // ----- doorbells -----------------------------------------------------------------------------------------------------------

    /// A peer rings us. Without MSI-X nobody hears it.
    fn rung(&mut self, vector: u16, cx: &mut Ctx<'_>) {
        events::ivshmem_doorbell_ring_in(cx, vector.into());
        self.pci.notify(vector, cx);
    }

    /// We ring a peer, perhaps ourselves.
    fn ring(&mut self, doorbell: regs::Doorbell, cx: &mut Ctx<'_>) {
        let Some(link) = &self.link else {
            return cx.guest_error(format_args!("doorbell without interrupts: there is no server"));
        };
        let rung = link.ring(doorbell);
        let (peer, vector) = (doorbell.peer().into(), doorbell.vector().into());
        if rung.is_heard() {
            events::ivshmem_doorbell_ring_out(cx, peer, vector);
        } else {
            events::ivshmem_doorbell_ring_lost(cx, peer, vector);
        }
        rung.log(doorbell, cx);
        if rung == Rung::Myself {
            self.rung(doorbell.vector(), cx);
        }
    }

    fn clear(&mut self, power_on: bool, cx: &mut Ctx<'_>) {
        self.intrmask = 0;
        self.intrstatus = 0;
        self.pci.reset(power_on, cx);
    }
}

impl PciFunction for Ivshmem {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        self.clear(false, cx);
    }
}

impl Mmio for Ivshmem {
    fn read(&mut self, access: Access, _cx: &mut Ctx<'_>) -> u64 {
        if access.region != IOMEM {
            return self.pci.msix_read(access).unwrap_or(0);
        }
        let value = match access.offset as u32 {
            regs::INTRMASK => self.intrmask,
            regs::INTRSTATUS => std::mem::take(&mut self.intrstatus),
            regs::IVPOSITION => match &self.link {
                None => 0,
                Some(link) => link.own_id().map_or(u32::MAX, u32::from),
            },
            _ => 0,
        };
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if access.region != IOMEM {
            self.pci.msix_write(access, value, cx);
            return;
        }
        match access.offset as u32 {
            regs::INTRMASK => self.intrmask = value as u32,
            regs::INTRSTATUS => self.intrstatus = value as u32,
            regs::DOORBELL => self.ring(regs::Doorbell::from_bits(value as u32), cx),
            _ => {}
        }
    }
}

impl Device for Ivshmem {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match (phase, &mut self.link) {
            (ResetPhase::Enter, _) => self.clear(true, cx),
            (ResetPhase::Exit, Some(link)) => link.listen(cx),
            _ => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            master: _,
            shmem: _,
            link: _,
            memory,
            arriving,
            size,
            pci,
            intrmask,
            intrstatus,
        } = self;
        let contents = match self.part() {
            Part::Peer => None,
            _ => arriving.clone().or_else(|| Contents::of(memory.as_ref()?)),
        };
        let saved = Saved {
            pci: pci.save(),
            intrmask: *intrmask,
            intrstatus: *intrstatus,
            size: *size,
            contents,
        };
        SavedState::of(VERSION, &saved)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let saved: Saved = state.read(VERSION)?;
        self.check(&saved)?;
        // The size may be news to either side.
        if self.size == 0 && saved.size != 0 {
            self.size = saved.size;
            self.declare_memory();
        }
        self.pci.load(saved.pci)?;
        if self.size != 0 && saved.size == 0 {
            self.declare_memory();
        }
        self.intrmask = saved.intrmask;
        self.intrstatus = saved.intrstatus;
        self.arriving = saved.contents;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        if self.link.is_some() && self.size != 0 {
            cx.resize_region(self.shmem, self.size);
        }
        self.arrive(cx);
    }

    fn migration_blocker(&self) -> Option<String> {
        let peer_mode = "peer mode: the shared memory is not this device's to take along";
        match (self.part(), &self.memory) {
            (Part::Peer, _) if self.master == Master::On => Some(format!(
                "{peer_mode} ('master=on' is for id 0, the first at its server)"
            )),
            (Part::Peer, _) => Some(format!(
                "{peer_mode}; 'master=on' makes it so, for one device of a group"
            )),
            (Part::Unknown, _) => Some("the ivshmem server has not told this device's id".into()),
            (Part::Master, Some(memory)) if Contents::exceed(memory) => {
                let mib = contents::LIMIT >> 20;
                Some(format!("more than {mib} MiB of the shared memory are not zero"))
            }
            (Part::Master, _) => None,
        }
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        let Some(link) = &mut self.link else { return };
        if let Some(vector) = link.vector(&done) {
            return self.rung(vector, cx);
        }
        for heard in link.hear(done, cx) {
            self.on_server(heard, cx);
        }
    }
}
