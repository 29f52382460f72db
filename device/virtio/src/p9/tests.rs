//! The device driven as a guest does it: messages through a ring.

use southbridge_backend_fs::Fsdevs;
use southbridge_bus_virtio::VirtioModel;
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::{Guest, system};
use southbridge_core::{LoadError, PropValue, Properties, SavedState};
use southbridge_protocol_p9::{Data, NO_FID, NO_TAG, Reply, Request, Text, VERSION_L};
use tempfile::TempDir;

use super::{P9, TYPES};

fn guest(folder: &TempDir) -> Guest {
    guest_with(folder, &[])
}

fn guest_with(folder: &TempDir, more: &[(&str, &str)]) -> Guest {
    let mut sys = system();
    let path = folder.path().to_str().unwrap();
    let pairs = [("path", path), ("security_model", "none")];
    let pairs = pairs.iter().chain(more).copied();
    let fsdev = Fsdevs::open(&mut sys.host, "local", "f", pairs, false);
    let properties = Properties::default()
        .with("mount_tag", PropValue::Str("tag".into()))
        .with("fsdev", PropValue::Backend("f".into(), fsdev.unwrap()));
    Guest::on(sys, TYPES[3], properties)
}

fn ask(guest: &mut Guest, tag: u16, request: Request<'_>) -> Vec<u8> {
    let used = guest.request(0, &[&request.to_bytes(tag)], &[4096, 4096]);
    let (answered, _) = Reply::read(&used.data).unwrap();
    assert_eq!(answered, tag);
    used.data
}

#[track_caller]
fn ok(guest: &mut Guest, request: Request<'_>) -> Vec<u8> {
    let code = request.code();
    let reply = ask(guest, 1, request);
    assert_eq!(reply[4], code + 1, "{:?}", Reply::read(&reply));
    reply
}

fn mount(guest: &mut Guest) {
    let version = Request::Version {
        msize: 8192,
        version: Text(VERSION_L),
    };
    ask(guest, NO_TAG, version);
    let attach = Request::Attach {
        fid: 0,
        afid: NO_FID,
        uname: Text(b""),
        aname: Text(b""),
        n_uname: 0,
    };
    ok(guest, attach);
}

fn create(guest: &mut Guest, fid: u32, name: &str) {
    let names = Vec::new();
    ok(
        guest,
        Request::Walk {
            fid: 0,
            new_fid: fid,
            names,
        },
    );
    let name = Text(name.as_bytes());
    let request = Request::Lcreate {
        fid,
        name,
        flags: 2,
        mode: 0o644,
        gid: 0,
    };
    ok(guest, request);
}

#[test]
fn a_folder_is_mounted_and_used_over_both_kinds_of_rings() {
    for features in [0, feature::EVENT_IDX, feature::RING_PACKED, feature::IN_ORDER] {
        let folder = TempDir::new().unwrap();
        let mut g = guest(&folder);
        assert_eq!(g.start(features | 1) & 1, 1, "the mount tag is a feature");
        let config = g.drive(|e, _| e.model().config());
        assert_eq!(config, b"\x03\0tag");
        mount(&mut g);
        create(&mut g, 1, "f");
        let data = vec![b'x'; 5000];
        let write = Request::Write {
            fid: 1,
            offset: 0,
            data: Data(&data),
        };
        ok(&mut g, write);
        assert_eq!(std::fs::read(folder.path().join("f")).unwrap(), data);
        let read = Request::Read {
            fid: 1,
            offset: 1000,
            count: 8000,
        };
        let reply = ok(&mut g, read);
        assert_eq!(
            Reply::read(&reply).unwrap().1,
            Reply::Read {
                data: Data(&data[1000..])
            }
        );
    }
}

#[test]
fn many_requests_are_in_flight_at_once() {
    let folder = TempDir::new().unwrap();
    let mut g = guest(&folder);
    g.start(0);
    mount(&mut g);
    for tag in 0..60u16 {
        let name = format!("d{tag}");
        let name = Text(name.as_bytes());
        let request = Request::Mkdir {
            fid: 0,
            name,
            mode: 0o755,
            gid: 0,
        };
        g.add(0, &[&request.to_bytes(tag)], &[100]);
    }
    g.kick(0);
    let mut tags: Vec<u16> = (0..60).map(|_| Reply::read(&g.wait_used(0).data).unwrap().0).collect();
    tags.sort_unstable();
    assert_eq!(tags, (0..60).collect::<Vec<_>>());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 60);
}

#[test]
fn a_limit_holds_up_what_it_is_about_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let mut g = guest_with(&folder, &[("throttling.bps-write", "1")]);
    g.start(0);
    mount(&mut g);
    create(&mut g, 1, "f");
    let write = |offset, data| Request::Write {
        fid: 1,
        offset,
        data: Data(data),
    };
    let len = || std::fs::metadata(folder.path().join("f")).unwrap().len();
    // More than an hour's worth.
    ok(&mut g, write(0, &[1; 4096]));
    g.add(0, &[&write(4096, &[2; 3]).to_bytes(7)], &[100]);
    g.kick(0);
    create(&mut g, 2, "g");
    let read = Request::Read {
        fid: 1,
        offset: 0,
        count: 10,
    };
    ok(&mut g, read);
    assert_eq!(len(), 4096);
    // A machine that is saved does not wait for it, and it is done but once.
    g.save();
    assert_eq!(len(), 4099);
    assert_eq!(Reply::read(&g.wait_used(0).data).unwrap().0, 7);
}

#[test]
fn requests_that_are_none_end_the_device() {
    let folder = TempDir::new().unwrap();
    let clunk = Request::Clunk { fid: 0 }.to_bytes(1);
    let cases: [(&[u8], u32); 3] = [(&clunk[..6], 100), (&clunk, 6), (&clunk, 10)];
    for (message, room) in cases {
        let mut g = guest(&folder);
        g.start(0);
        g.add(0, &[message], &[room]);
        g.kick(0);
        // The reply that has no room is found out when it is there.
        g.wait(|g| g.needs_reset());
        g.start(0);
        mount(&mut g);
    }
    let mut g = guest(&folder);
    g.start(0);
    for message in [&[0xff; 50][..], &[7, 0, 0, 0, 120, 9, 0], &[0; 7]] {
        let used = g.request(0, &[message], &[100]);
        assert!(matches!(Reply::read(&used.data).unwrap().1, Reply::Lerror { .. }));
    }
    assert!(!g.needs_reset());
}

#[test]
fn a_request_can_be_taken_back() {
    let folder = TempDir::new().unwrap();
    let mut g = guest(&folder);
    g.start(0);
    mount(&mut g);
    let flush = |old_tag| Request::Flush { old_tag };
    assert_eq!(
        ok(&mut g, flush(99)),
        Reply::Flush {}.to_bytes(1),
        "of a request that is not there"
    );
    // Many at once, and each is taken back right behind: every chain comes back once, and the answer to a flush never before the
    // answer to its request.
    let data = vec![7; 8000];
    create(&mut g, 1, "f");
    let mut ids = Vec::new();
    for tag in 0..20u16 {
        let write = Request::Write {
            fid: 1,
            offset: 0,
            data: Data(&data),
        };
        let request = g.add(0, &[&write.to_bytes(tag)], &[100]);
        let taken = g.add(0, &[&flush(tag).to_bytes(100 + tag)], &[100]);
        ids.push((request, taken));
    }
    g.kick(0);
    let order: Vec<_> = (0..40).map(|_| g.wait_used(0)).collect();
    for (request, taken) in ids {
        let at = |id| order.iter().position(|u| u.id == id).unwrap();
        assert!(at(request) < at(taken));
        let reply = &order[at(request)].data;
        assert!(reply.is_empty() || reply[4] == 119, "{reply:?}");
        assert_eq!(order[at(taken)].data[4], 109);
    }
}

#[test]
fn a_reset_forgets_everything() {
    let folder = TempDir::new().unwrap();
    let mut g = guest(&folder);
    g.start(0);
    mount(&mut g);
    create(&mut g, 1, "f");
    for tag in 0..10 {
        g.add(0, &[&Request::Statfs { fid: 0 }.to_bytes(tag)], &[100]);
    }
    g.kick(0);
    g.start(0);
    let reply = ask(&mut g, 3, Request::Clunk { fid: 1 });
    assert!(
        matches!(Reply::read(&reply).unwrap().1, Reply::Lerror { errno: 71 }),
        "no session yet"
    );
    mount(&mut g);
    let reply = ask(&mut g, 3, Request::Clunk { fid: 1 });
    assert!(matches!(Reply::read(&reply).unwrap().1, Reply::Lerror { errno: 9 }));
    assert_eq!(g.used(0), None, "nothing of before the reset comes");
}

#[test]
fn a_machine_moves_with_requests_in_flight() {
    for features in [0, feature::RING_PACKED] {
        let folder = TempDir::new().unwrap();
        let mut g = guest(&folder);
        g.start(features);
        mount(&mut g);
        create(&mut g, 1, "f");
        let mut ids = Vec::new();
        for tag in 0..40u16 {
            let name = format!("d{tag}");
            let name = Text(name.as_bytes());
            let request = Request::Mkdir {
                fid: 0,
                name,
                mode: 0o755,
                gid: 0,
            };
            ids.push(g.add(0, &[&request.to_bytes(tag)], &[100]));
        }
        g.kick(0);
        // Some are done now, and some are not; none may be done twice.
        let mut g = g.move_to(guest(&folder));
        for _ in 0..40 {
            let used = g.wait_used(0);
            ids.retain(|id| *id != used.id);
            assert_eq!(used.data[4], 73, "{:?}", Reply::read(&used.data));
        }
        assert!(ids.is_empty());
        let write = Request::Write {
            fid: 1,
            offset: 0,
            data: Data(b"moved"),
        };
        ok(&mut g, write);
        assert_eq!(std::fs::read(folder.path().join("f")).unwrap(), b"moved");
    }
}

#[test]
fn a_removed_file_in_use_holds_the_machine_where_it_is() {
    let folder = TempDir::new().unwrap();
    let mut g = guest(&folder);
    g.start(0);
    mount(&mut g);
    create(&mut g, 1, "f");
    let blocker = |g: &mut Guest| g.drive(|e, _| e.model().migration_blocker());
    assert_eq!(blocker(&mut g), None);
    let unlink = Request::Unlinkat {
        directory: 0,
        name: Text(b"f"),
        flags: 0,
    };
    ok(&mut g, unlink);
    assert!(blocker(&mut g).unwrap().contains("removed"));
    ok(&mut g, Request::Clunk { fid: 1 });
    assert_eq!(blocker(&mut g), None);
}

#[test]
fn states_of_anybody_are_refused_or_taken() {
    let folder = TempDir::new().unwrap();
    let mut g = guest(&folder);
    g.start(0);
    mount(&mut g);
    let mut try_state = |state: &SavedState| g.with_model(|p9: &mut P9, _| VirtioModel::load(p9, state));
    assert!(matches!(
        try_state(&SavedState::of(9, &0)),
        Err(LoadError::Version { .. })
    ));
    assert!(matches!(try_state(&SavedState::of(1, &0)), Err(LoadError::Damaged(_))));
}

#[test]
fn what_is_missing_is_said() {
    let folder = TempDir::new().unwrap();
    let refused = |tag: Option<&str>, named: bool| {
        let mut sys = system();
        let path = folder.path().to_str().unwrap();
        let pairs = [("path", path), ("security_model", "none")];
        let f = Fsdevs::open(&mut sys.host, "local", "f", pairs, false).unwrap();
        let mut properties = Properties::default();
        if let Some(tag) = tag {
            properties.set("mount_tag", PropValue::Str(tag.into()));
        }
        if named {
            properties.set("fsdev", PropValue::Backend("f".into(), f));
        }
        let made = sys.add_device(TYPES[3], None, properties, &[]);
        made.unwrap_err().to_string()
    };
    assert!(refused(None, true).contains("mount_tag=TAG"));
    assert!(refused(Some("t"), false).contains("fsdev=ID"));
    assert!(refused(Some(&"t".repeat(32)), true).contains("at most 31 bytes"));
}
