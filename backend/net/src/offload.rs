//! Who does what a sender left to be done: the taker, if it can, else [`southbridge_protocol_packet::finish`] on the way.

#[cfg(test)]
mod tests;

use southbridge_protocol_packet::{GsoKind, finish};

use crate::packet::{Offloads, Packet, VnetHeader};

/// Whether what a header leaves to be done is what the taker can do.
pub(crate) fn covered(vnet: VnetHeader, takes: Offloads) -> bool {
    let mut needs = Offloads::empty();
    needs.set(Offloads::CSUM, vnet.needs_checksum());
    needs.set(Offloads::ECN, vnet.gso_type & VnetHeader::GSO_ECN != 0);
    needs |= match vnet.gso() {
        None => Offloads::empty(),
        Some(Some(GsoKind::Tcp4)) => Offloads::TSO4,
        Some(Some(GsoKind::Tcp6)) => Offloads::TSO6,
        Some(Some(GsoKind::UdpFragments)) => Offloads::UFO,
        Some(Some(GsoKind::UdpSegments)) => Offloads::USO4 | Offloads::USO6,
        Some(None) => return false,
    };
    takes.contains(needs)
}

/// A packet, to be brought into a form that somebody takes.
pub(crate) struct Fit<'a> {
    packet: Packet<'a>,
    takes: Offloads,
}

/// Brings a packet into a form that leaves nothing to do but what `takes` says.
pub(crate) const fn fit(packet: Packet<'_>, takes: Offloads) -> Fit<'_> {
    Fit { packet, takes }
}

impl Fit<'_> {
    /// Calls `f` with each packet that it becomes; with none if it is not what its header says.
    pub(crate) fn for_each(self, mut f: impl FnMut(Packet<'_>)) {
        let Self { packet, takes } = self;
        if covered(packet.vnet, takes) {
            return f(packet);
        }
        // What cannot be what its header says is dropped, as a card would.
        let _ = finish(&packet.vnet, packet.frame, |whole| f(Packet::plain(whole)));
    }
}
