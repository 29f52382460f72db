use super::*;
use proptest::prelude::*;

fn receive(bytes: &[u8]) -> Vec<Input> {
    let mut r = Receiver::default();
    bytes.iter().filter_map(|b| r.push(*b)).collect()
}

#[test]
fn a_packet_comes_out_of_noise() {
    let seen = receive(b"xx+$qC#b4-\x03");
    let packet = Input::Packet(b"qC".to_vec());
    assert_eq!(seen, [Input::Ack, packet, Input::Nack, Input::Interrupt]);
    assert_eq!(receive(b"$qC#b5"), [Input::Damaged]);
    assert_eq!(receive(b"$qC#zz"), [Input::Damaged]);
    assert_eq!(receive(b"$lost$qC#b4"), [Input::Packet(b"qC".to_vec())]);
}

#[test]
fn a_packet_that_is_too_long_is_damaged_and_bounded() {
    let mut long = vec![b'$'];
    long.extend(std::iter::repeat_n(b'a', MAX_PACKET + 1));
    long.extend(b"#00$qC#b4");
    assert_eq!(receive(&long), [Input::Damaged, Input::Packet(b"qC".to_vec())]);
}

#[test]
fn commands_are_read() {
    let action = |a, t| Command::Continue(vec![(a, t)]);
    let cases: &[(&[u8], Command)] = &[
        (
            b"m20000000,40",
            Command::ReadMemory {
                address: 0x2000_0000,
                len: 0x40,
            },
        ),
        (
            b"M10,2:abcd",
            Command::WriteMemory {
                address: 0x10,
                data: vec![0xab, 0xcd],
            },
        ),
        (b"M10,3:abcd", Command::Malformed),
        (
            b"X10,2:#}",
            Command::WriteMemory {
                address: 0x10,
                data: b"#}".to_vec(),
            },
        ),
        (b"P19=01000000", Command::WriteRegister(0x19, vec![1, 0, 0, 0])),
        (
            b"vCont;s:1;c",
            Command::Continue(vec![(Action::Step, Thread::One(1)), (Action::Continue, Thread::All)]),
        ),
        (
            b"vCont;r8000,8010:-1",
            action(
                Action::Range {
                    start: 0x8000,
                    end: 0x8010,
                },
                Thread::All,
            ),
        ),
        (b"vCont;q", Command::Malformed),
        (b"vCont?", Command::CanContinue),
        (
            b"Z4,20000000,4",
            Command::Stop {
                on: true,
                kind: StopKind::Access,
                address: 0x2000_0000,
                len: 4,
            },
        ),
        (
            b"z0,100,2",
            Command::Stop {
                on: false,
                kind: StopKind::Software,
                address: 0x100,
                len: 2,
            },
        ),
        (b"Hg-1", Command::Select(WhichThread::General, Thread::All)),
        (b"Hg0", Command::Select(WhichThread::General, Thread::Any)),
        (
            b"qXfer:features:read:target.xml:0,ffb",
            Command::Transfer {
                object: "features".into(),
                annex: "target.xml".into(),
                offset: 0,
                len: 0xffb,
            },
        ),
        (b"qRcmd,68656c70", Command::Monitor("help".into())),
        (b"C05;1000", Command::Resume(Action::Continue, Some(0x1000))),
        (b"Qqemu.sstep=1", Command::SetStepMode(1)),
        (b"bs", Command::ReverseStep),
        (b"vMustReplyEmpty", Command::Unknown),
        (b"m1ffffffffffffffff,1", Command::Malformed),
        (b"", Command::Unknown),
    ];
    for (packet, expected) in cases {
        assert_eq!(parse(packet), *expected, "{}", String::from_utf8_lossy(packet));
    }
}

#[test]
fn transfers_are_cut() {
    assert_eq!(slice_of(b"abcdef", 0, 4), b"mabcd");
    assert_eq!(slice_of(b"abcdef", 4, 4), b"lef");
    assert_eq!(slice_of(b"abcdef", u64::MAX, u64::MAX), b"l");
}

proptest! {
    #[test]
    fn any_payload_survives_its_frame(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(receive(&frame(&payload)), [Input::Packet(payload)]);
    }

    #[test]
    fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&data);
    }
}
