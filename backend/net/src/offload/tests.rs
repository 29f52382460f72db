use super::*;

fn tcp4(payload: usize) -> Vec<u8> {
    let mut f = vec![2; 12];
    f.extend([
        8, 0, 0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2,
    ]);
    f.extend([
        0x10, 0, 0, 80, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
    ]);
    f.extend((0..payload).map(|i| i as u8));
    f
}

fn all(frame: &[u8], gso_type: u8, gso_size: u16, takes: Offloads) -> Vec<(VnetHeader, Vec<u8>)> {
    let vnet = VnetHeader {
        flags: VnetHeader::NEEDS_CSUM,
        gso_type,
        gso_size,
        csum_start: 34,
        csum_offset: 16,
        ..VnetHeader::NONE
    };
    let mut out = Vec::new();
    fit(Packet { vnet, frame }, takes).for_each(|p| out.push((p.vnet, p.frame.to_vec())));
    out
}

#[test]
fn what_the_taker_can_do_is_left() {
    let frame = tcp4(3000);
    let both = Offloads::CSUM | Offloads::TSO4;
    let left = all(&frame, VnetHeader::GSO_TCPV4, 1460, both);
    assert!(matches!(&left[..], [(vnet, f)] if *f == frame && vnet.gso_size == 1460));
    for takes in [
        Offloads::TSO4,
        Offloads::CSUM,
        both & !Offloads::TSO4,
        Offloads::empty(),
    ] {
        let cut = all(&frame, VnetHeader::GSO_TCPV4, 1460, takes);
        assert_eq!(cut.len(), 3, "{takes:?}");
        assert!(
            cut.iter().all(|(vnet, _)| *vnet == VnetHeader::NONE),
            "nothing is left of it"
        );
    }
    let with_ecn = VnetHeader::GSO_TCPV4 | VnetHeader::GSO_ECN;
    assert_eq!(all(&frame, with_ecn, 1460, both).len(), 3);
    assert_eq!(all(&frame, with_ecn, 1460, both | Offloads::ECN).len(), 1);
    assert_eq!(all(&frame, VnetHeader::GSO_NONE, 0, Offloads::empty()).len(), 1);
}

#[test]
fn what_cannot_be_is_dropped() {
    let frame = tcp4(3000);
    for (kind, size) in [
        (VnetHeader::GSO_TCPV4, 0),
        (VnetHeader::GSO_TCPV6, 1460),
        (VnetHeader::GSO_UDP, 1480),
        (7, 100),
    ] {
        assert!(all(&frame, kind, size, Offloads::empty()).is_empty(), "{kind}");
    }
    // A kind that nobody knows is nothing that anybody takes.
    assert!(all(&frame, 7, 100, Offloads::all()).is_empty());
    for kind in [0, 1, 3, 4, 5] {
        (0..60).for_each(|len| drop(all(&frame[..len], kind, 8, Offloads::empty())));
    }
}
