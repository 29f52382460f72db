use super::*;

fn tcp4(payload: usize, flags: u8) -> Vec<u8> {
    let mut f = vec![2; 12];
    f.extend([
        8, 0, 0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, TCP, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2,
    ]);
    f.extend([
        0x10, 0, 0, 80, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0,
    ]);
    f.extend((0..payload).map(|i| i as u8));
    f
}

fn tcp6(payload: usize) -> Vec<u8> {
    let mut f = vec![2; 12];
    f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, TCP, 64]);
    f.extend([0x20; 32]);
    f.extend([0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    f.extend((0..payload).map(|i| i as u8));
    f
}

fn udp4(payload: usize) -> Vec<u8> {
    let mut f = vec![2; 12];
    f.extend([
        8, 0, 0x45, 0, 0, 0, 0, 7, 0, 0, 64, UDP, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2,
    ]);
    f.extend([0x10, 0, 0, 53, 0, 0, 0, 0]);
    f.extend((0..payload).map(|i| i as u8));
    f
}

fn all(frame: &[u8], gso_type: u8, gso_size: u16, takes: Offloads) -> Vec<Vec<u8>> {
    let vnet = VnetHeader {
        flags: VnetHeader::NEEDS_CSUM,
        gso_type,
        gso_size,
        ..VnetHeader::NONE
    };
    let mut out = Vec::new();
    fit(Packet { vnet, frame }, takes).for_each(|p| out.push(p.frame.to_vec()));
    out
}

/// Whether the sums of a frame are right, by adding everything up with the sums in it.
fn check(frame: &[u8], protocol: u8) {
    let h = Headers::read(frame, protocol).expect("headers");
    let addresses = match h.network {
        Network::V4 => {
            let header = &frame[h.ip..h.transport];
            assert_eq!(finish(Sum::default().add(header)), 0, "header of IPv4");
            assert_eq!(
                usize::from(u16::from_be_bytes([header[2], header[3]])),
                frame.len() - h.ip
            );
            &frame[h.ip + 12..h.ip + 20]
        }
        Network::V6 => {
            assert_eq!(
                usize::from(u16::from_be_bytes([frame[h.ip + 4], frame[h.ip + 5]])),
                frame.len() - h.ip - 40
            );
            &frame[h.ip + 8..h.ip + 40]
        }
    };
    let body = &frame[h.transport..];
    let sum = Sum::default()
        .add(addresses)
        .add_word(protocol.into())
        .add_word(body.len() as u16)
        .add(body);
    assert_eq!(finish(sum), 0, "transport");
}

#[test]
fn a_long_packet_of_tcp_becomes_segments() {
    for (frame, kind) in [
        (tcp4(3000, 0x98 | TCP_FIN), VnetHeader::GSO_TCPV4),
        (tcp6(3000), VnetHeader::GSO_TCPV6),
    ] {
        let out = all(&frame, kind, 1460, Offloads::CSUM);
        let head = frame.len() - 3000;
        assert_eq!(out.iter().map(|f| f.len() - head).collect::<Vec<_>>(), [1460, 1460, 80]);
        out.iter().for_each(|f| check(f, TCP));
        let payload: Vec<u8> = out.iter().flat_map(|f| f[head..].to_vec()).collect();
        assert_eq!(payload, frame[head..]);
    }
}

#[test]
fn flags_and_numbers_of_segments() {
    let out = all(
        &tcp4(30, TCP_CWR | TCP_PSH | TCP_FIN | 0x10),
        VnetHeader::GSO_TCPV4,
        10,
        Offloads::empty(),
    );
    assert_eq!(out.iter().map(|f| f[47]).collect::<Vec<_>>(), [0x90, 0x10, 0x19]);
    assert_eq!(out.iter().map(|f| f[19]).collect::<Vec<_>>(), [0x34, 0x35, 0x36]);
    let sequence = |f: &Vec<u8>| u32::from_be_bytes([f[38], f[39], f[40], f[41]]);
    assert_eq!(
        out.iter().map(sequence).collect::<Vec<_>>(),
        [0xffff_fff0, 0xffff_fffa, 4]
    );
}

#[test]
fn udp_is_cut_into_datagrams_or_fragments() {
    let frame = udp4(2000);
    let out = all(&frame, VnetHeader::GSO_UDP_L4, 900, Offloads::empty());
    assert_eq!(out.iter().map(|f| f.len() - 42).collect::<Vec<_>>(), [900, 900, 200]);
    out.iter().for_each(|f| check(f, UDP));
    let out = all(&frame, VnetHeader::GSO_UDP, 1480, Offloads::empty());
    assert_eq!(out.iter().map(|f| f.len() - 34).collect::<Vec<_>>(), [1480, 528]);
    assert_eq!(
        out.iter().map(|f| [f[20], f[21]]).collect::<Vec<_>>(),
        [[0x20, 0], [0, 185]]
    );
    let mut whole = out[0].clone();
    whole.extend_from_slice(&out[1][34..]);
    let body = &whole[34..];
    let sum = Sum::default()
        .add(&whole[26..34])
        .add_word(UDP.into())
        .add_word(body.len() as u16)
        .add(body);
    assert_eq!(finish(sum), 0, "one sum over the whole datagram");
}

#[test]
fn what_the_taker_can_do_is_left() {
    let frame = tcp4(3000, 0x10);
    assert_eq!(
        all(&frame, VnetHeader::GSO_TCPV4, 1460, Offloads::CSUM | Offloads::TSO4),
        std::slice::from_ref(&frame)
    );
    assert_eq!(all(&frame, VnetHeader::GSO_TCPV4, 1460, Offloads::TSO4).len(), 3);
}

#[test]
fn a_checksum_is_filled_in() {
    let mut frame = tcp4(5, 0x10);
    let pseudo = Sum::default().add(&frame[26..34]).add_word(TCP.into()).add_word(25);
    frame[50..52].copy_from_slice(&(!finish(pseudo)).to_be_bytes());
    let vnet = VnetHeader {
        flags: VnetHeader::NEEDS_CSUM,
        csum_start: 34,
        csum_offset: 16,
        ..VnetHeader::NONE
    };
    let mut out = Vec::new();
    fit(Packet { vnet, frame: &frame }, Offloads::empty()).for_each(|p| out.push(p.frame.to_vec()));
    let body = &out[0][34..];
    let sum = Sum::default()
        .add(&out[0][26..34])
        .add_word(TCP.into())
        .add_word(25)
        .add(body);
    assert_eq!(finish(sum), 0);
    for (csum_start, csum_offset) in [(58, 0), (0xffff, 0xffff), (34, 24)] {
        let vnet = VnetHeader {
            csum_start,
            csum_offset,
            ..vnet
        };
        fit(Packet { vnet, frame: &frame }, Offloads::empty()).for_each(|_| panic!("outside of the frame"));
    }
}

#[test]
fn what_cannot_be_is_dropped() {
    let frame = tcp4(3000, 0x10);
    assert!(all(&frame, VnetHeader::GSO_TCPV4, 0, Offloads::empty()).is_empty());
    assert!(
        all(&frame, VnetHeader::GSO_TCPV4, 1, Offloads::empty()).is_empty(),
        "too many segments"
    );
    assert!(all(&frame, 7, 100, Offloads::empty()).is_empty());
    assert!(all(&udp4(2000), VnetHeader::GSO_UDP, 7, Offloads::empty()).is_empty());
    // Any header cut anywhere.
    for whole in [tcp4(20, 0), tcp6(20), udp4(20)] {
        for kind in [1, 3, 4, 5] {
            for len in 0..whole.len() {
                all(&whole[..len], kind, 8, Offloads::empty());
            }
        }
    }
}
