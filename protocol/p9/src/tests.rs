use crate::record::Counted;
use crate::*;
use proptest::prelude::*;

#[test]
fn the_layout_is_that_of_the_wire() {
    let version = Request::Version {
        msize: 8192,
        version: Text(VERSION_L),
    };
    let bytes = [
        21, 0, 0, 0, 100, 0xff, 0xff, 0, 0x20, 0, 0, 8, 0, b'9', b'P', b'2', b'0', b'0', b'0', b'.', b'L',
    ];
    assert_eq!(version.to_bytes(NO_TAG), bytes);
    assert_eq!(Request::read(&bytes), Ok((NO_TAG, version)));

    let walk = Request::Walk {
        fid: 1,
        new_fid: 2,
        names: vec![Text(b"a"), Text(b"bc")],
    };
    let bytes = [
        24, 0, 0, 0, 110, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0, b'a', 2, 0, b'b', b'c',
    ];
    assert_eq!(walk.to_bytes(3), bytes);

    let qid = Qid {
        kind: QidType::DIRECTORY,
        version: 1,
        path: 2,
    };
    let attach = Reply::Attach { qid }.to_bytes(0);
    assert_eq!(
        attach,
        [20, 0, 0, 0, 105, 0, 0, 0x80, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        Reply::Lerror { errno: 2 }.to_bytes(9),
        [11, 0, 0, 0, 7, 9, 0, 2, 0, 0, 0]
    );
}

/// Sizes as `net/9p/protocol.c` and the manual have them.
#[test]
fn sizes() {
    let len = |r: Reply<'_>| r.to_bytes(0).len() - HEADER_LEN;
    assert_eq!(
        len(Reply::Getattr {
            attributes: Attributes::default()
        }),
        8 + 13 + 3 * 4 + 15 * 8
    );
    assert_eq!(
        len(Reply::Statfs {
            statfs: Statfs::default()
        }),
        60
    );
    assert_eq!(
        len(Reply::Stat {
            stat: Counted::default()
        }),
        2 + 2 + 39 + 5 * 2 + 3 * 4
    );
    let set = Request::Setattr {
        fid: 0,
        set: SetAttributes::default(),
    };
    assert_eq!(set.to_bytes(0).len(), HEADER_LEN + 4 + 4 * 4 + 5 * 8);
    assert_eq!(DirEntry::wire_len(3), {
        let mut bytes = Vec::new();
        let entry = DirEntry {
            name: Text(b"abc"),
            ..DirEntry::default()
        };
        entry.append(&mut bytes);
        assert_eq!(DirEntry::read_all(&bytes), Ok(vec![entry]));
        assert_eq!(DirEntry::read_all(&bytes[1..]).ok(), None);
        bytes.len()
    });
}

#[test]
fn what_is_no_message() {
    let clunk = Request::Clunk { fid: 7 }.to_bytes(1);
    assert_eq!(Request::read(&[]), Err(Malformed::Short));
    assert_eq!(Request::read(&clunk[..6]), Err(Malformed::Short));
    assert_eq!(Request::read(&clunk[..8]), Err(Malformed::Size { size: 11, have: 8 }));
    let with_size = |size: u8| {
        let mut bytes = clunk.clone();
        bytes[0] = size;
        bytes
    };
    assert_eq!(Request::read(&with_size(6)), Err(Malformed::Size { size: 6, have: 11 }));
    assert_eq!(Request::read(&with_size(9)), Err(Malformed::Short));
    let mut huge = clunk.clone();
    huge[3] = 0xff;
    assert!(matches!(Request::read(&huge), Err(Malformed::Size { .. })));
    let reply = Reply::Clunk {}.to_bytes(1);
    assert_eq!(Request::read(&reply), Err(Malformed::Type(121)));
    assert_eq!(Reply::read(&clunk), Err(Malformed::Type(120)));

    let mut walk = Request::Walk {
        fid: 1,
        new_fid: 2,
        names: vec![Text(b"x"); 16],
    }
    .to_bytes(0);
    assert!(Request::read(&walk).is_ok());
    walk[HEADER_LEN + 8] = 17;
    assert_eq!(Request::read(&walk), Err(Malformed::LongWalk(17)));

    let mut write = Request::Write {
        fid: 1,
        offset: 0,
        data: Data(b"abcd"),
    }
    .to_bytes(0);
    write[HEADER_LEN + 12] = 5;
    assert_eq!(Request::read(&write), Err(Malformed::Short), "data beyond the message");
    write[HEADER_LEN + 15] = 0xff;
    assert_eq!(Request::read(&write), Err(Malformed::Short), "four gigabytes");

    let mut wstat = Request::Wstat {
        fid: 1,
        stat: Counted::default(),
    }
    .to_bytes(0);
    wstat[HEADER_LEN + 6] = 3;
    assert_eq!(
        Request::read(&wstat),
        Err(Malformed::Short),
        "a stat record that is shorter than itself"
    );
}

/// Zeroes, but for the record that has its own length in it.
fn fields_of(name: &str) -> Vec<u8> {
    let stat = Counted::default();
    match name {
        "Wstat" => Request::Wstat { fid: 0, stat }.to_bytes(0)[HEADER_LEN..].to_vec(),
        "Stat" => [&Reply::Stat { stat }.to_bytes(0)[HEADER_LEN..], &[0; 8]].concat(),
        _ => vec![0; 256],
    }
}

#[test]
fn every_type_is_read_from_zeroes_and_cut_anywhere() {
    for (name, kind) in Request::TYPES {
        let fields = fields_of(name);
        let request = Request::read_fields(*kind, &fields).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((request.code(), request.name()), (*kind, *name));
        let bytes = request.to_bytes(5);
        assert_eq!(Request::read(&bytes), Ok((5, request)), "{name}");
        for n in 0..bytes.len() {
            assert!(Request::read(&bytes[..n]).is_err(), "{name} of {n} bytes");
            let mut short = bytes[..n].to_vec();
            if n >= HEADER_LEN {
                short[..4].copy_from_slice(&u32::try_from(n).unwrap().to_le_bytes());
                assert!(Request::read(&short).is_err(), "{name} cut to {n} bytes");
            }
        }
    }
    for (name, kind) in Reply::TYPES {
        let fields = fields_of(name);
        let reply = Reply::read_fields(*kind, &fields).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((reply.code(), reply.name()), (*kind, *name));
        let bytes = reply.to_bytes(5);
        assert_eq!(Reply::read(&bytes), Ok((5, reply)), "{name}");
    }
}

#[test]
fn data_comes_in_place() {
    let read = message::data_reply(117, 4, 10, |to| {
        to[..3].copy_from_slice(b"abc");
        Ok::<_, ()>(3)
    });
    assert_eq!(read, Ok(Reply::Read { data: Data(b"abc") }.to_bytes(4)));
    assert_eq!(message::data_reply(117, 4, 10, |_| Err(1)), Err(1));
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(kind in any::<u8>(), fields in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = Request::read_fields(kind, &fields) {
            let bytes = request.to_bytes(1);
            prop_assert_eq!(Request::read(&bytes), Ok((1, request)));
        }
        if let Ok(reply) = Reply::read_fields(kind, &fields) {
            let bytes = reply.to_bytes(1);
            prop_assert_eq!(Reply::read(&bytes), Ok((1, reply)));
        }
        let _ = Request::read(&fields);
    }
}
