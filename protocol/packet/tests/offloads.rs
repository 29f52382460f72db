//! Checksums and segmentation, checked by a receiver's rules.

mod common;
use common::{frame, tcp, udp};
use proptest::prelude::*;
use southbridge_protocol_packet::checksum::{self, Sum};
use southbridge_protocol_packet::{Unfit, VnetHeader, finish};
use std::net::IpAddr;

fn addresses(v6: bool) -> (IpAddr, IpAddr) {
    match v6 {
        false => ("10.0.2.15".parse().unwrap(), "10.0.2.2".parse().unwrap()),
        true => ("fec0::15".parse().unwrap(), "fec0::2".parse().unwrap()),
    }
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn pieces(header: &VnetHeader, frame: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    finish(header, frame, |f| out.push(f.to_vec())).unwrap();
    out
}

/// Length of the headers up to the transport layer.
fn network(v6: bool) -> usize {
    if v6 { 54 } else { 34 }
}

fn gso(kind: u8, size: u16) -> VnetHeader {
    VnetHeader {
        gso_type: kind,
        gso_size: size,
        ..VnetHeader::NONE
    }
}

#[test]
fn the_example_of_rfc_1071_sums_up() {
    let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    assert_eq!(sum.partial(), 0xddf2);
    assert_eq!(sum.finish(), !0xddf2);
    // In pieces, and with an odd end.
    let parts = Sum::default()
        .bytes(&[0x00, 0x01])
        .bytes(&[0xf2, 0x03, 0xf4, 0xf5])
        .bytes(&[0xf6, 0xf7]);
    assert_eq!(parts.partial(), 0xddf2);
    assert_eq!(Sum::default().bytes(&[1, 2, 3]).partial(), 0x0402);
}

#[test]
fn a_checksum_that_a_driver_began_is_completed() {
    for v6 in [false, true] {
        let (from, to) = addresses(v6);
        let mut f = frame(from, to, 6, &tcp(1, 2, b"odd"));
        let at = network(v6);
        let n = southbridge_protocol_packet::Layers::of(&f).unwrap().network.unwrap();
        let partial = checksum::pseudo(&f, n, 6, f.len() - at).unwrap().partial();
        f[at + 16..at + 18].copy_from_slice(&partial.to_be_bytes());
        assert!(!checksum::verify(&f));
        let header = VnetHeader {
            flags: VnetHeader::NEEDS_CSUM,
            csum_start: at as u16,
            csum_offset: 16,
            ..VnetHeader::NONE
        };
        let out = pieces(&header, &f);
        assert_eq!(out.len(), 1);
        assert!(checksum::verify(&out[0]));
    }
}

#[test]
fn a_checksum_outside_of_the_frame_is_refused() {
    for (start, offset) in [(60, 0), (59, 0), (0, 59), (65535, 65535), (14, 65535)] {
        let header = VnetHeader {
            flags: VnetHeader::NEEDS_CSUM,
            csum_start: start,
            csum_offset: offset,
            ..VnetHeader::NONE
        };
        let result = finish(&header, &[0; 60], |_| panic!("emitted"));
        assert_eq!(result, Err(Unfit::Checksum), "{start} {offset}");
    }
}

#[test]
fn tcp_is_cut_into_segments() {
    for v6 in [false, true] {
        let (from, to) = addresses(v6);
        let data = pattern(5000);
        let whole = frame(from, to, 6, &tcp(1, 2, &data));
        let at = network(v6);
        let out = pieces(&gso(if v6 { 4 } else { 1 }, 1448), &whole);
        assert_eq!(out.len(), 4);
        let mut payload = Vec::new();
        for (i, f) in out.iter().enumerate() {
            assert!(checksum::verify(f), "segment {i}");
            let sequence = u32::from_be_bytes(f[at + 4..at + 8].try_into().unwrap());
            assert_eq!(sequence, 0xffff_ff00u32.wrapping_add(1448 * i as u32));
            // Congestion is told once; the end and the push come with the last byte.
            let flags = f[at + 13];
            assert_eq!(flags & 0x80 != 0, i == 0);
            assert_eq!(flags & 0x09 == 0x09, i == 3);
            assert_eq!(flags & 0x10, 0x10);
            if !v6 {
                let id = u16::from_be_bytes([f[18], f[19]]);
                assert_eq!(id, 0x12ff + i as u16);
            }
            payload.extend_from_slice(&f[at + 32..]);
        }
        assert_eq!(payload, data);
    }
}

#[test]
fn udp_is_cut_into_datagrams() {
    for v6 in [false, true] {
        let (from, to) = addresses(v6);
        let data = pattern(3000);
        let mut whole = frame(from, to, 17, &udp(1, 2, &data));
        let at = network(v6);
        whole[at + 6] = 1; // a checksum is wanted
        let out = pieces(&gso(VnetHeader::GSO_UDP_L4, 1400), &whole);
        let lengths: Vec<_> = out.iter().map(|f| f.len() - at - 8).collect();
        assert_eq!(lengths, [1400, 1400, 200]);
        let mut payload = Vec::new();
        for f in &out {
            assert!(checksum::verify(f));
            assert_eq!(usize::from(u16::from_be_bytes([f[at + 4], f[at + 5]])), f.len() - at);
            payload.extend_from_slice(&f[at + 8..]);
        }
        assert_eq!(payload, data);
    }
}

#[test]
fn udp_is_cut_into_fragments() {
    for v6 in [false, true] {
        let (from, to) = addresses(v6);
        let data = pattern(4000);
        let mut whole = frame(from, to, 17, &udp(1, 2, &data));
        let at = network(v6);
        whole[at + 6] = 1;
        let out = pieces(&gso(VnetHeader::GSO_UDP, 1480), &whole);
        assert_eq!(out.len(), 3);
        let mut datagram = Vec::new();
        for (i, f) in out.iter().enumerate() {
            let (place, body) = if v6 {
                assert_eq!(f[20], 44);
                assert_eq!(f[54], 17);
                let word = u16::from_be_bytes([f[56], f[57]]);
                assert_eq!(word & 1 != 0, i < 2);
                assert_eq!(f[58..62], out[0][58..62]);
                (usize::from(word & !7), &f[62..])
            } else {
                let word = u16::from_be_bytes([f[20], f[21]]);
                assert_eq!(word & 0x2000 != 0, i < 2);
                assert_eq!(f[18..20], out[0][18..20]);
                (usize::from(word & 0x1fff) * 8, &f[34..])
            };
            assert!(checksum::verify(f));
            assert_eq!(place, datagram.len());
            datagram.extend_from_slice(body);
        }
        // Put together again it is one whole datagram.
        let joined = frame(from, to, 17, &datagram);
        assert!(checksum::verify(&joined));
        assert_eq!(datagram[8..], data);
    }
}

#[test]
fn headers_that_do_not_fit_are_refused() {
    let (from, to) = addresses(false);
    let tcp4 = frame(from, to, 6, &tcp(1, 2, &pattern(5000)));
    let mut fragment = tcp4.clone();
    fragment[20] = 0x20;
    for (header, f, why) in [
        (gso(1, 0), &tcp4, Unfit::Size),
        (gso(1, 1), &tcp4, Unfit::Size),
        (gso(4, 1448), &tcp4, Unfit::Layers),
        (gso(3, 1448), &tcp4, Unfit::Layers),
        (gso(5, 1448), &tcp4, Unfit::Layers),
        (gso(2, 1448), &tcp4, Unfit::Kind),
        (gso(0x7f, 1448), &tcp4, Unfit::Kind),
        (gso(1, 1448), &fragment, Unfit::Layers),
        (gso(1, 1448), &tcp4[..40].to_vec(), Unfit::Layers),
        (gso(1, 1448), &Vec::new(), Unfit::Layers),
    ] {
        assert_eq!(finish(&header, f, |_| panic!("emitted")), Err(why), "{header:?}");
    }
}

#[test]
fn a_tag_does_not_hide_the_layers() {
    let (from, to) = addresses(false);
    let plain = frame(from, to, 6, &tcp(1, 2, &pattern(3000)));
    let mut tagged = plain[..12].to_vec();
    tagged.extend([0x81, 0x00, 0x60, 0x2a]);
    tagged.extend(&plain[12..]);
    let out = pieces(&gso(1, 1448), &tagged);
    assert_eq!(out.len(), 3);
    assert!(
        out.iter()
            .all(|f| checksum::verify(f) && f[12..16] == [0x81, 0x00, 0x60, 0x2a])
    );
    let vlan = southbridge_protocol_packet::Layers::of(&tagged).unwrap().vlan.unwrap();
    assert_eq!((vlan.id, vlan.priority), (42, 3));
}

proptest! {
    /// Whatever a guest writes: no panic, bounded output, and every complete piece no longer than the frame and its new headers.
    #[test]
    fn nothing_a_guest_writes_ends_badly(
        flags: u8, gso_type in prop::sample::select(vec![0u8, 1, 3, 4, 5, 0x81, 0x84, 9]), gso_size in 0u16..3000,
        csum_start in 0u16..200, csum_offset in 0u16..40,
        mut body in prop::collection::vec(any::<u8>(), 0..600), kind in 0usize..4,
    ) {
        let start: &[u8] = [&[8, 0, 0x45][..], &[0x86, 0xdd, 0x60], &[0x81, 0, 0, 1, 8, 0, 0x46], &[]][kind];
        if body.len() > 12 + start.len() {
            body[12..12 + start.len()].copy_from_slice(start);
        }
        let header = VnetHeader { flags, gso_type, hdr_len: 0, gso_size, csum_start, csum_offset };
        let mut total = 0;
        let _ = finish(&header, &body, |f| {
            assert!(f.len() <= body.len() + 8);
            total += f.len();
        });
        prop_assert!(total <= 4096 * (body.len() + 8));
        checksum::verify(&body);
        checksum::refill(&mut body);
    }

    #[test]
    fn refilled_frames_verify(v6: bool, is_tcp: bool, n in 0usize..300) {
        let (from, to) = addresses(v6);
        let mut f = match is_tcp {
            true => frame(from, to, 6, &tcp(3, 4, &pattern(n))),
            false => frame(from, to, 17, &udp(3, 4, &pattern(n))),
        };
        checksum::refill(&mut f).unwrap();
        prop_assert!(checksum::verify(&f));
        let last = f.len() - 1;
        f[last] ^= 0x10;
        prop_assert!(!checksum::verify(&f));
    }
}
