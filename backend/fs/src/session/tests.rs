//! A client that says one thing after the other, and looks at every answer.

use super::*;
use crate::local::{Local, Model};
use crate::synth::Synth;
use rustix::fs::{CWD, Mode, OFlags};
use southbridge_protocol_p9::record::Counted;
use southbridge_protocol_p9::{Attributes, Data, DirEntry, Lock, LockType, SetAttributes, SetMask, Stat, mode_u};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

const MODELS: [Model; 4] = [Model::MappedXattr, Model::MappedFile, Model::Passthrough, Model::None];

struct Client {
    session: Session,
    folder: TempDir,
}

fn session_of(folder: &TempDir, model: Model, readonly: bool) -> Session {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, folder.path(), flags, Mode::empty()).unwrap();
    Session::new(Arc::new(Export {
        fs: Box::new(Local::new(root, model, 0o600, 0o700)),
        readonly,
        multidevs: MultiDevices::Remap,
        most_open: 8,
    }))
}

impl Client {
    /// With `.L`, and the root as fid 0.
    fn new(model: Model) -> Self {
        Self::with(model, false, VERSION_L)
    }

    fn with(model: Model, readonly: bool, version: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        let session = session_of(&folder, model, readonly);
        let client = Self { session, folder };
        client.begin(version);
        client
    }

    fn begin(&self, version: &[u8]) {
        let version = Text(version);
        let reply = self.ask(Request::Version { msize: 8192, version });
        assert_eq!(reply, Reply::Version { msize: 8192, version }.to_bytes(7));
        let (uname, aname) = (Text(b"u"), Text(b""));
        self.ok(Request::Attach {
            fid: 0,
            afid: NO_FID,
            uname,
            aname,
            n_uname: 1000,
        });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ask(&self, request: Request<'_>) -> Vec<u8> {
        let reply = self.session.answer(&request.to_bytes(7), 8192);
        let (tag, _) = Reply::read(&reply).unwrap();
        assert_eq!(tag, 7);
        reply
    }

    /// The reply is the one of the request.
    #[track_caller]
    fn ok(&self, request: Request<'_>) -> Vec<u8> {
        let (code, name) = (request.code(), request.name());
        let reply = self.ask(request);
        assert_eq!(reply[4], code + 1, "{name}: {:?}", Reply::read(&reply));
        reply
    }

    #[track_caller]
    fn fails(&self, request: Request<'_>, errno: Errno) {
        let (name, reply) = (request.name(), self.ask(request));
        let number = match Reply::read(&reply).unwrap().1 {
            Reply::Lerror { errno } | Reply::Error { errno, .. } => errno,
            other => panic!("{name} succeeded: {other:?}"),
        };
        assert_eq!(Errno::from_raw_os_error(number as i32), errno, "{name}");
    }

    fn walk(&self, fid: u32, new_fid: u32, path: &str) {
        let names: Vec<_> = path
            .split('/')
            .filter(|n| !n.is_empty())
            .map(|n| Text(n.as_bytes()))
            .collect();
        let count = names.len();
        let reply = self.ok(Request::Walk { fid, new_fid, names });
        let Ok((_, Reply::Walk { qids })) = Reply::read(&reply) else {
            panic!()
        };
        assert_eq!(qids.len(), count, "{path}");
    }

    fn clunk(&self, fid: u32) {
        self.ok(Request::Clunk { fid });
    }

    /// Makes and opens a file as `fid`.
    fn create(&self, dir: u32, fid: u32, name: &str, data: &[u8]) {
        self.walk(dir, fid, "");
        let name = Text(name.as_bytes());
        self.ok(Request::Lcreate {
            fid,
            name,
            flags: 0o102,
            mode: 0o640,
            gid: 100,
        });
        self.write(fid, 0, data);
    }

    fn open(&self, dir: u32, fid: u32, path: &str, flags: u32) {
        self.walk(dir, fid, path);
        self.ok(Request::Lopen { fid, flags });
    }

    fn write(&self, fid: u32, offset: u64, data: &[u8]) {
        let reply = self.ok(Request::Write {
            fid,
            offset,
            data: Data(data),
        });
        assert_eq!(
            Reply::read(&reply).unwrap().1,
            Reply::Write {
                count: data.len() as u32
            }
        );
    }

    fn read(&self, fid: u32, offset: u64, count: u32) -> Vec<u8> {
        let reply = self.ok(Request::Read { fid, offset, count });
        let Ok((_, Reply::Read { data })) = Reply::read(&reply) else {
            panic!()
        };
        data.0.to_vec()
    }

    fn attributes(&self, fid: u32) -> Attributes {
        let reply = self.ok(Request::Getattr {
            fid,
            mask: Attributes::BASIC,
        });
        let Ok((_, Reply::Getattr { attributes })) = Reply::read(&reply) else {
            panic!()
        };
        attributes
    }

    fn attributes_of(&self, path: &str) -> Attributes {
        self.walk(0, 99, path);
        let attributes = self.attributes(99);
        self.clunk(99);
        attributes
    }

    fn set(&self, fid: u32, set: SetAttributes) {
        self.ok(Request::Setattr { fid, set });
    }

    /// All names of a directory, read in small pieces.
    fn list(&self, path: &str) -> Vec<String> {
        self.open(0, 98, path, 0);
        let (mut names, mut offset) = (Vec::new(), 0);
        loop {
            let reply = self.ok(Request::Readdir {
                fid: 98,
                offset,
                count: 120,
            });
            let Ok((_, Reply::Readdir { data })) = Reply::read(&reply) else {
                panic!()
            };
            let entries = DirEntry::read_all(data.0).unwrap();
            let Some(last) = entries.last() else { break };
            offset = last.offset;
            names.extend(entries.iter().map(|e| String::from_utf8(e.name.0.to_vec()).unwrap()));
        }
        self.clunk(98);
        names.sort();
        assert_eq!(names[..2], [".", ".."]);
        names.split_off(2)
    }

    fn mkdir(&self, fid: u32, name: &str) {
        self.ok(Request::Mkdir {
            fid,
            name: Text(name.as_bytes()),
            mode: 0o755,
            gid: 100,
        });
    }

    /// The same client, its session saved and brought to life again.
    fn moved(self) -> Self {
        let saved = self.session.save();
        assert!(saved.is_possible());
        let fresh = Session::new(self.session.export());
        assert_eq!(fresh.restore(&saved), 0);
        assert_eq!(fresh.save(), saved);
        Self {
            session: fresh,
            folder: self.folder,
        }
    }
}

fn for_each_model(test: fn(Client)) {
    for model in MODELS {
        println!("{model:?}");
        test(Client::new(model));
    }
}

#[test]
fn versions() {
    let c = Client::new(Model::None);
    let say = |msize, version| {
        c.ask(Request::Version {
            msize,
            version: Text(version),
        })
    };
    let hear = |msize, version| {
        Reply::Version {
            msize,
            version: Text(version),
        }
        .to_bytes(7)
    };
    assert_eq!(say(u32::MAX, VERSION_U), hear(MOST_MSIZE, VERSION_U));
    c.fails(Request::Getattr { fid: 0, mask: 0 }, Errno::OPNOTSUPP);
    c.fails(Request::Statfs { fid: 0 }, Errno::BADF);
    assert_eq!(say(8192, b"9P2000"), hear(8192, VERSION_UNKNOWN));
    c.fails(Request::Statfs { fid: 0 }, Errno::PROTO);
    c.fails(
        Request::Version {
            msize: 4095,
            version: Text(VERSION_L),
        },
        Errno::MSGSIZE,
    );
    assert_eq!(say(4096, VERSION_L), hear(4096, VERSION_L));
    c.fails(
        Request::Auth {
            afid: 1,
            uname: Text(b""),
            aname: Text(b""),
            n_uname: 0,
        },
        Errno::OPNOTSUPP,
    );
}

#[test]
fn malformed_messages_are_answered() {
    let c = Client::new(Model::None);
    let errno = |message: &[u8]| match Reply::read(&c.session.answer(message, 8192)).unwrap() {
        (tag, Reply::Lerror { errno }) => (tag, errno),
        other => panic!("{other:?}"),
    };
    assert_eq!(errno(&[]), (0xffff, 22));
    assert_eq!(errno(&[1, 2, 3]), (0xffff, 22));
    assert_eq!(errno(&[7, 0, 0, 0, 200, 5, 0]), (5, 95), "no such type");
    assert_eq!(errno(&[7, 0, 0, 0, 121, 5, 0]), (5, 95), "a reply");
    assert_eq!(errno(&[7, 0, 0, 0, 120, 5, 0]), (5, 22), "no fields");
    assert_eq!(errno(&[6, 0, 0, 0, 120, 5, 0]), (5, 22), "too small");
    assert_eq!(errno(&[0xff, 0xff, 0xff, 0xff, 120, 5, 0]), (5, 22), "too large");
    for (_, kind) in Request::TYPES {
        let mut message = vec![7, 0, 0, 0, *kind, 5, 0];
        assert_eq!(errno(&message).0, 5);
        message.extend([0xff; 300]);
        message[..4].copy_from_slice(&307u32.to_le_bytes());
        assert_eq!(errno(&message).0, 5, "type {kind}");
    }
}

#[test]
fn walks() {
    let c = Client::new(Model::None);
    std::fs::create_dir_all(c.path("a/b/c")).unwrap();
    c.walk(0, 1, "a/b/c");
    c.walk(1, 2, "../../..");
    assert_eq!(c.attributes(2).qid, c.attributes(0).qid);
    c.walk(0, 3, "../../..");
    assert_eq!(c.attributes(3).qid, c.attributes(0).qid, "nothing is above the root");
    c.walk(1, 4, "");
    assert_eq!(c.attributes(4).qid, c.attributes(1).qid);
    let walk = |fid, new_fid, names: &[&'static [u8]]| Request::Walk {
        fid,
        new_fid,
        names: names.iter().map(|n| Text(n)).collect(),
    };
    c.fails(walk(0, 5, &[b"x"]), Errno::NOENT);
    let reply = c.ok(walk(0, 5, &[b"a", b"x", b"y"]));
    assert!(matches!(Reply::read(&reply).unwrap().1, Reply::Walk { qids } if qids.len() == 1));
    c.fails(Request::Statfs { fid: 5 }, Errno::BADF);
    c.fails(walk(0, 1, &[b"a"]), Errno::INVAL);
    c.fails(walk(0, NO_FID, &[b"a"]), Errno::INVAL);
    c.fails(walk(77, 5, &[]), Errno::BADF);
    for name in [&b""[..], b"a/b", b"/", b"a\0b"] {
        c.fails(walk(0, 5, &[name]), Errno::NOENT);
    }
    c.fails(walk(0, 5, &[&[b'n'; 256]]), Errno::NAMETOOLONG);
    c.walk(1, 1, "..");
    assert_eq!(c.attributes(1).qid, c.attributes_of("a/b").qid);
    c.ok(Request::Lopen { fid: 1, flags: 0 });
    c.fails(walk(1, 6, &[b"c"]), Errno::INVAL);
    c.walk(1, 6, "");
    c.walk(6, 7, "c");
}

#[test]
fn files_are_written_and_read() {
    for_each_model(|c| {
        c.create(0, 1, "f", b"hello");
        c.write(1, 5, b" world");
        assert_eq!(c.read(1, 6, 100), b"world");
        assert_eq!(c.read(1, 100, 100), b"");
        c.clunk(1);
        assert_eq!(std::fs::read(c.path("f")).unwrap(), b"hello world");
        c.open(0, 1, "f", 0);
        c.fails(
            Request::Write {
                fid: 1,
                offset: 0,
                data: Data(b"x"),
            },
            Errno::BADF,
        );
        c.fails(Request::Lopen { fid: 1, flags: 0 }, Errno::INVAL);
        c.ok(Request::Fsync { fid: 1, data_only: 1 });
        c.open(0, 2, "f", 0o1001);
        assert_eq!(c.attributes(1).size, 0, "truncated");
        c.fails(
            Request::Read {
                fid: 2,
                offset: 0,
                count: 9,
            },
            Errno::BADF,
        );
        c.open(0, 3, "f", 0o2001);
        c.write(3, 0, b"ab");
        c.write(3, 0, b"cd");
        assert_eq!(c.read(1, 0, 10), b"abcd", "appended");
        let big = Request::Read {
            fid: 1,
            offset: 0,
            count: u32::MAX,
        };
        assert!(c.ok(big).len() <= 8192);
        c.fails(
            Request::Read {
                fid: 0,
                offset: 0,
                count: 1,
            },
            Errno::INVAL,
        );
        c.fails(
            Request::Read {
                fid: 50,
                offset: 0,
                count: 1,
            },
            Errno::BADF,
        );
        c.fails(Request::Fsync { fid: 0, data_only: 0 }, Errno::INVAL);
        c.walk(0, 4, "");
        c.fails(
            Request::Lcreate {
                fid: 4,
                name: Text(b"f"),
                flags: 0o302,
                mode: 0,
                gid: 0,
            },
            Errno::EXIST,
        );
        c.ok(Request::Lcreate {
            fid: 4,
            name: Text(b"f"),
            flags: 0o102,
            mode: 0,
            gid: 0,
        });
        assert_eq!(c.read(4, 0, 10), b"abcd");
        for (name, errno) in [("..", Errno::EXIST), ("", Errno::NOENT), ("a/b", Errno::NOENT)] {
            let name = Text(name.as_bytes());
            c.fails(
                Request::Lcreate {
                    fid: 0,
                    name,
                    flags: 2,
                    mode: 0,
                    gid: 0,
                },
                errno,
            );
        }
    });
}

#[test]
fn directories_are_listed_in_pieces() {
    for_each_model(|c| {
        let mut names: Vec<_> = (0..60).map(|i| format!("name-{i}-{}", "x".repeat(i))).collect();
        c.mkdir(0, "d");
        c.walk(0, 1, "d");
        for name in &names {
            c.create(1, 2, name, b"");
            c.clunk(2);
        }
        names.sort();
        assert_eq!(c.list("d"), names);
        assert_eq!(c.list(""), ["d"]);
        c.open(0, 3, "d", 0o200000);
        c.fails(
            Request::Readdir {
                fid: 3,
                offset: 0,
                count: 20,
            },
            Errno::INVAL,
        );
        c.fails(
            Request::Readdir {
                fid: 3,
                offset: u64::MAX,
                count: 200,
            },
            Errno::INVAL,
        );
        c.fails(
            Request::Read {
                fid: 3,
                offset: 0,
                count: 200,
            },
            Errno::ISDIR,
        );
        c.fails(
            Request::Readdir {
                fid: 1,
                offset: 0,
                count: 200,
            },
            Errno::INVAL,
        );
        c.walk(0, 4, "d");
        c.fails(Request::Lopen { fid: 4, flags: 1 }, Errno::ISDIR);
        let reply = c.ok(Request::Readdir {
            fid: 3,
            offset: 0,
            count: 8000,
        });
        let Ok((_, Reply::Readdir { data })) = Reply::read(&reply) else {
            panic!()
        };
        let dots = DirEntry::read_all(data.0).unwrap();
        let root = c.attributes(0).qid;
        assert_eq!(
            dots.iter().find(|e| e.name.0 == b"..").map(|e| e.qid.path),
            Some(root.path)
        );
    });
}

#[test]
fn the_root_has_itself_above() {
    let c = Client::new(Model::None);
    c.open(0, 1, "", 0);
    let reply = c.ok(Request::Readdir {
        fid: 1,
        offset: 0,
        count: 100,
    });
    let Ok((_, Reply::Readdir { data })) = Reply::read(&reply) else {
        panic!()
    };
    let root = c.attributes(0).qid.path;
    assert!(DirEntry::read_all(data.0).unwrap().iter().all(|e| e.qid.path == root));
}

#[test]
fn owners_and_permissions_of_each_model() {
    for model in MODELS {
        let c = Client::new(model);
        let root = rustix::process::geteuid().is_root();
        if model == Model::Passthrough && !root {
            continue;
        }
        c.create(0, 1, "f", b"x");
        let a = c.attributes(1);
        assert_eq!(a.mode, 0o100_640, "{model:?}");
        let mine = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let expected = if model == Model::None && !root {
            mine
        } else {
            (1000, 100)
        };
        assert_eq!((a.uid, a.gid), expected, "{model:?}");
        let host = std::fs::metadata(c.path("f")).unwrap();
        match model {
            Model::MappedXattr | Model::MappedFile => {
                assert_eq!((host.mode(), (host.uid(), host.gid())), (0o100_600, mine), "{model:?}");
            }
            _ => assert_eq!(host.mode(), 0o100_640),
        }
        let valid = SetMask::MODE | SetMask::UID | SetMask::GID;
        if root || model.is_mapped() {
            c.set(
                1,
                SetAttributes {
                    valid,
                    mode: 0o104_755,
                    uid: 5,
                    gid: 6,
                    ..SetAttributes::default()
                },
            );
            let a = c.attributes_of("f");
            // A real change of owner takes the set-user-id bit away.
            let mode = if model.is_mapped() { 0o104_755 } else { 0o100_755 };
            assert_eq!((a.mode, a.uid, a.gid), (mode, 5, 6), "{model:?}");
        }
        c.mkdir(0, "d");
        let a = c.attributes_of("d");
        assert_eq!(a.mode, 0o040_755, "{model:?}");
        let host = std::fs::metadata(c.path("d")).unwrap();
        assert_eq!(host.mode() & 0o777, if model.is_mapped() { 0o700 } else { 0o755 });
    }
}

#[test]
fn special_files() {
    for_each_model(|c| {
        let node = |name, mode| Request::Mknod {
            fid: 0,
            name: Text(name),
            mode,
            major: 1,
            minor: 3,
            gid: 0,
        };
        c.ok(node(b"p", 0o010_644));
        assert_eq!(c.attributes_of("p").mode, 0o010_644);
        c.walk(0, 1, "p");
        c.fails(Request::Lopen { fid: 1, flags: 0 }, Errno::NXIO);
        if rustix::process::geteuid().is_root() || c.path("p").metadata().unwrap().is_file() {
            c.ok(node(b"c", 0o020_600));
            let a = c.attributes_of("c");
            assert_eq!((a.mode, a.rdev), (0o020_600, rustix::fs::makedev(1, 3)));
            c.walk(0, 2, "c");
            c.fails(Request::Lopen { fid: 2, flags: 2 }, Errno::NXIO);
        }
        c.fails(node(b"p", 0o010_644), Errno::EXIST);
        c.ok(Request::Symlink {
            fid: 0,
            name: Text(b"l"),
            target: Text(b"/etc/passwd"),
            gid: 0,
        });
        let a = c.attributes_of("l");
        assert_eq!(a.mode & 0o170_000, 0o120_000);
        assert_eq!(a.qid.kind, southbridge_protocol_p9::QidType::SYMLINK);
        c.walk(0, 3, "l");
        let reply = c.ok(Request::Readlink { fid: 3 });
        assert_eq!(
            Reply::read(&reply).unwrap().1,
            Reply::Readlink {
                target: Text(b"/etc/passwd")
            }
        );
        c.fails(Request::Lopen { fid: 3, flags: 0 }, Errno::LOOP);
        c.fails(Request::Readlink { fid: 0 }, Errno::INVAL);
        let walk = Request::Walk {
            fid: 0,
            new_fid: 9,
            names: vec![Text(b"l"), Text(b"x")],
        };
        let reply = c.ok(walk);
        assert!(matches!(Reply::read(&reply).unwrap().1, Reply::Walk { qids } if qids.len() == 1));
        for target in [&b""[..], b"a\0b"] {
            let request = Request::Symlink {
                fid: 0,
                name: Text(b"m"),
                target: Text(target),
                gid: 0,
            };
            c.fails(request, Errno::INVAL);
        }
    });
}

#[test]
fn a_folder_of_another_program_is_read() {
    let c = Client::new(Model::MappedXattr);
    std::fs::write(c.path("f"), b"x").unwrap();
    let set = |name: &str, value: &[u8]| {
        rustix::fs::setxattr(c.path("f"), name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    set("user.virtfs.uid", &[0x39, 5, 0, 0]);
    set("user.virtfs.mode", &0o020_640u32.to_le_bytes());
    set("user.virtfs.rdev", &[3, 1, 0, 0, 0, 0, 0, 0]);
    let a = c.attributes_of("f");
    assert_eq!((a.uid, a.mode, a.rdev), (1337, 0o020_640, 0x103));

    let c = Client::new(Model::MappedFile);
    std::fs::write(c.path("f"), b"x").unwrap();
    std::fs::create_dir(c.path(".virtfs_metadata")).unwrap();
    std::fs::write(
        c.path(".virtfs_metadata/f"),
        "virtfs.uid=1337\nvirtfs.gid=2\nvirtfs.mode=33152\n",
    )
    .unwrap();
    std::fs::write(c.path(".virtfs_metadata_root"), "virtfs.uid=7\nvirtfs.mode=16877\n").unwrap();
    let a = c.attributes_of("f");
    assert_eq!((a.uid, a.gid, a.mode), (1337, 2, 0o100_600));
    let a = c.attributes(0);
    assert_eq!((a.uid, a.mode), (7, 0o040_755));
    assert_eq!(c.list(""), ["f"], "the guest sees no metadata");
    for name in [&b".virtfs_metadata"[..], b".virtfs_metadata_root"] {
        c.fails(
            Request::Walk {
                fid: 0,
                new_fid: 1,
                names: vec![Text(name)],
            },
            Errno::INVAL,
        );
        c.fails(
            Request::Mkdir {
                fid: 0,
                name: Text(name),
                mode: 0,
                gid: 0,
            },
            Errno::INVAL,
        );
        c.fails(
            Request::Unlinkat {
                directory: 0,
                name: Text(name),
                flags: 0,
            },
            Errno::INVAL,
        );
    }
    c.set(
        0,
        SetAttributes {
            valid: SetMask::UID,
            uid: 8,
            ..SetAttributes::default()
        },
    );
    let text = std::fs::read_to_string(c.path(".virtfs_metadata_root")).unwrap();
    assert_eq!(text, "virtfs.uid=8\nvirtfs.mode=16877\n");
}

#[test]
fn metadata_goes_where_its_file_goes() {
    let c = Client::new(Model::MappedFile);
    c.mkdir(0, "d");
    c.walk(0, 1, "d");
    c.create(1, 2, "f", b"x");
    let (dir, meta) = (c.path("d"), |name: &str| c.path(name).exists());
    assert!(meta("d/.virtfs_metadata/f"));
    c.ok(Request::Link {
        directory: 0,
        fid: 2,
        name: Text(b"g"),
    });
    assert_eq!(c.attributes_of("g").uid, 1000);
    c.set(
        2,
        SetAttributes {
            valid: SetMask::UID,
            uid: 9,
            ..SetAttributes::default()
        },
    );
    assert_eq!(c.attributes_of("g").uid, 9, "two names of one file");
    c.ok(Request::Renameat {
        old_directory: 1,
        old_name: Text(b"f"),
        new_directory: 0,
        new_name: Text(b"h"),
    });
    assert_eq!((c.attributes_of("h").uid, c.attributes(2).uid), (9, 9));
    assert!(!meta("d/.virtfs_metadata/f") && meta(".virtfs_metadata/h"));
    c.ok(Request::Unlinkat {
        directory: 0,
        name: Text(b"h"),
        flags: 0,
    });
    assert!(!meta(".virtfs_metadata/h"));
    c.create(1, 3, "z", b"");
    c.fails(
        Request::Unlinkat {
            directory: 0,
            name: Text(b"d"),
            flags: 0x200,
        },
        Errno::NOTEMPTY,
    );
    c.ok(Request::Unlinkat {
        directory: 1,
        name: Text(b"z"),
        flags: 0,
    });
    c.ok(Request::Unlinkat {
        directory: 0,
        name: Text(b"d"),
        flags: 0x200,
    });
    assert!(!dir.exists());
}

#[test]
fn setting_attributes() {
    for_each_model(|c| {
        c.create(0, 1, "f", b"0123456789");
        let none = SetAttributes::default();
        c.set(
            1,
            SetAttributes {
                valid: SetMask::SIZE,
                size: 3,
                ..none
            },
        );
        assert_eq!(c.read(1, 0, 10), b"012");
        c.walk(0, 2, "f");
        c.set(
            2,
            SetAttributes {
                valid: SetMask::SIZE,
                size: 5,
                ..none
            },
        );
        assert_eq!(c.read(1, 0, 10), b"012\0\0");
        let valid = SetMask::ATIME | SetMask::ATIME_SET | SetMask::MTIME | SetMask::MTIME_SET;
        c.set(
            2,
            SetAttributes {
                valid,
                atime: 10,
                atime_ns: 5,
                mtime: 20,
                mtime_ns: 6,
                ..none
            },
        );
        let a = c.attributes(2);
        assert_eq!((a.atime, a.atime_ns, a.mtime, a.mtime_ns), (10, 5, 20, 6));
        c.set(
            2,
            SetAttributes {
                valid: SetMask::MTIME,
                ..none
            },
        );
        let a = c.attributes(2);
        assert_eq!((a.atime, a.mtime > 1_000_000_000), (10, true));
        c.set(
            2,
            SetAttributes {
                valid: SetMask::CTIME,
                ..none
            },
        );
        let bad = SetAttributes {
            valid,
            atime_ns: u64::MAX,
            ..none
        };
        c.fails(Request::Setattr { fid: 2, set: bad }, Errno::INVAL);
        let far = SetAttributes {
            valid: SetMask::SIZE,
            size: u64::MAX,
            ..none
        };
        c.fails(Request::Setattr { fid: 2, set: far }, Errno::FBIG);
        c.fails(Request::Setattr { fid: 40, set: far }, Errno::BADF);
    });
}

#[test]
fn renaming_moves_all_that_is_below() {
    for_each_model(|c| {
        c.mkdir(0, "a");
        c.walk(0, 1, "a");
        c.mkdir(1, "b");
        c.walk(1, 2, "b");
        c.create(2, 3, "f", b"deep");
        c.walk(0, 4, "a/b/f");
        c.ok(Request::Renameat {
            old_directory: 0,
            old_name: Text(b"a"),
            new_directory: 0,
            new_name: Text(b"x"),
        });
        assert_eq!(
            c.attributes(4).size,
            4,
            "a fid of a file in a directory that was renamed"
        );
        c.ok(Request::Lopen { fid: 4, flags: 0 });
        assert_eq!(c.read(4, 0, 9), b"deep");
        c.ok(Request::Rename {
            fid: 2,
            directory: 0,
            name: Text(b"y"),
        });
        assert_eq!(
            (c.list(""), c.list("y"), c.list("x").len()),
            (vec!["x".into(), "y".into()], vec!["f".into()], 0)
        );
        let up = Request::Renameat {
            old_directory: 0,
            old_name: Text(b"x"),
            new_directory: 1,
            new_name: Text(b"z"),
        };
        c.fails(up, Errno::INVAL);
        c.fails(
            Request::Rename {
                fid: 0,
                directory: 1,
                name: Text(b"r"),
            },
            Errno::BUSY,
        );
        for name in [&b".."[..], b"."] {
            let name = Text(name);
            c.fails(
                Request::Rename {
                    fid: 2,
                    directory: 0,
                    name,
                },
                Errno::EXIST,
            );
            let old_name = Text(b"x");
            c.fails(
                Request::Renameat {
                    old_directory: 0,
                    old_name,
                    new_directory: 0,
                    new_name: name,
                },
                Errno::EXIST,
            );
        }
    });
}

#[test]
fn what_is_open_outlives_its_name() {
    for_each_model(|c| {
        c.create(0, 1, "f", b"still here");
        c.walk(0, 2, "f");
        c.ok(Request::Unlinkat {
            directory: 0,
            name: Text(b"f"),
            flags: 0,
        });
        assert_eq!(c.list("").len(), 0);
        assert_eq!(c.read(1, 0, 20), b"still here");
        c.write(1, 10, b"!");
        assert_eq!((c.attributes(1).size, c.attributes(1).links), (11, 0));
        assert_eq!(c.attributes(2).size, 11, "a fid that was not open");
        c.set(
            2,
            SetAttributes {
                valid: SetMask::SIZE,
                size: 5,
                ..SetAttributes::default()
            },
        );
        c.ok(Request::Lopen { fid: 2, flags: 0 });
        assert_eq!(c.read(2, 0, 20), b"still");
        assert!(c.session.blocker().unwrap().contains("2 file(s)"));

        c.create(0, 3, "f", b"another");
        assert_eq!(c.read(1, 0, 20), b"still");
        assert_ne!(c.attributes(3).qid.path, c.attributes(1).qid.path);
        c.create(0, 4, "g", b"third");
        let new_name = Text(b"f");
        c.ok(Request::Renameat {
            old_directory: 0,
            old_name: Text(b"g"),
            new_directory: 0,
            new_name,
        });
        assert_eq!((c.read(3, 0, 20), c.attributes(3).size), (b"another".to_vec(), 7));
        assert_eq!(c.attributes_of("f").size, 5);
        for fid in 1..=4 {
            c.clunk(fid);
        }
        assert_eq!(c.session.blocker(), None);
        assert_eq!(c.session.load(), (0, 1));
        assert_eq!(lock(&c.session.tree).len(), 0);
    });
}

#[test]
fn removing() {
    for_each_model(|c| {
        c.mkdir(0, "d");
        c.create(0, 1, "f", b"");
        let unlink = |name: &'static [u8], flags| Request::Unlinkat {
            directory: 0,
            name: Text(name),
            flags,
        };
        c.fails(unlink(b"d", 0), Errno::ISDIR);
        c.fails(unlink(b"f", 0x200), Errno::NOTDIR);
        c.fails(unlink(b"f", 1), Errno::INVAL);
        c.fails(unlink(b".", 0x200), Errno::INVAL);
        c.fails(unlink(b"..", 0x200), Errno::NOTEMPTY);
        c.fails(unlink(b"x", 0), Errno::NOENT);
        c.ok(Request::Remove { fid: 1 });
        c.fails(Request::Clunk { fid: 1 }, Errno::BADF);
        c.walk(0, 2, "d");
        c.walk(0, 3, "d");
        c.ok(Request::Remove { fid: 2 });
        c.fails(
            Request::Mkdir {
                fid: 3,
                name: Text(b"x"),
                mode: 0,
                gid: 0,
            },
            Errno::NOENT,
        );
        c.fails(
            Request::Walk {
                fid: 3,
                new_fid: 4,
                names: vec![Text(b"..")],
            },
            Errno::NOENT,
        );
        c.walk(0, 5, "");
        c.fails(Request::Remove { fid: 5 }, Errno::BUSY);
        c.fails(Request::Clunk { fid: 5 }, Errno::BADF);
        assert_eq!(c.list("").len(), 0);
    });
}

#[test]
fn extended_attributes() {
    for model in MODELS {
        let c = Client::new(model);
        c.create(0, 1, "f", b"");
        let put = |name: &'static [u8], value: &[u8]| {
            c.walk(0, 2, "f");
            let size = value.len() as u64;
            c.ok(Request::Xattrcreate {
                fid: 2,
                name: Text(name),
                size,
                flags: 0,
            });
            if !value.is_empty() {
                c.write(2, 0, value);
            }
            c.ask(Request::Clunk { fid: 2 })
        };
        let get = |name: &'static [u8]| {
            let reply = c.ask(Request::Xattrwalk {
                fid: 1,
                new_fid: 3,
                name: Text(name),
            });
            let Ok((_, Reply::Xattrwalk { size })) = Reply::read(&reply) else {
                return None;
            };
            let value = c.read(3, 0, 8000);
            c.clunk(3);
            assert_eq!(value.len() as u64, size);
            Some(value)
        };
        let clunked = Reply::Clunk {}.to_bytes(7);
        assert_eq!(put(b"user.mine", b"value"), clunked);
        assert_eq!(get(b"user.mine").as_deref(), Some(&b"value"[..]));
        assert_eq!(get(b"").as_deref(), Some(&b"user.mine\0"[..]), "{model:?}");
        assert_eq!(put(b"user.mine", b""), clunked);
        assert_eq!(get(b"user.mine"), None);
        let ours = put(b"user.virtfs.uid", &[0; 4]);
        assert_eq!(ours == clunked, model != Model::MappedXattr);
        assert_ne!(put(b"trusted.x", b"v"), clunked);
        assert_eq!(
            c.attributes(1).uid,
            if model == Model::None && !rustix::process::geteuid().is_root() {
                rustix::process::geteuid().as_raw()
            } else {
                1000
            }
        );
        if model == Model::MappedXattr {
            let acl = [2, 0, 0, 0];
            assert_eq!(put(b"system.posix_acl_access", &acl), clunked);
            assert_eq!(get(b"system.posix_acl_access").as_deref(), Some(&acl[..]));
            assert_eq!(get(b"").as_deref(), Some(&b"system.posix_acl_access\0"[..]));
        }
        let create = |name: &'static [u8], size, flags| Request::Xattrcreate {
            fid: 4,
            name: Text(name),
            size,
            flags,
        };
        c.walk(0, 4, "f");
        c.fails(create(b"user.x", 65537, 0), Errno::TOOBIG);
        c.fails(create(b"", 1, 0), Errno::INVAL);
        c.fails(create(b"user.x", 1, 4), Errno::INVAL);
        c.ok(create(b"user.x", 4, 0));
        c.fails(
            Request::Write {
                fid: 4,
                offset: 1,
                data: Data(b"a"),
            },
            Errno::NOSPC,
        );
        c.write(4, 0, b"ab");
        c.fails(
            Request::Write {
                fid: 4,
                offset: 2,
                data: Data(b"abc"),
            },
            Errno::NOSPC,
        );
        c.fails(
            Request::Walk {
                fid: 4,
                new_fid: 9,
                names: vec![],
            },
            Errno::INVAL,
        );
        c.fails(Request::Clunk { fid: 4 }, Errno::INVAL);
        c.fails(
            Request::Xattrwalk {
                fid: 1,
                new_fid: 0,
                name: Text(b""),
            },
            Errno::INVAL,
        );
    }
}

#[test]
fn what_all_fids_hold_together_is_bounded() {
    let c = Client::new(Model::None);
    c.create(0, 1, "f", b"");
    for fid in 10..17 {
        c.open(0, fid, "f", 0);
    }
    c.walk(0, 17, "f");
    c.fails(Request::Lopen { fid: 17, flags: 0 }, Errno::NFILE);
    c.clunk(10);
    c.ok(Request::Lopen { fid: 17, flags: 0 });
    let mut refused = false;
    for fid in 1000..1300 {
        c.walk(0, fid, "f");
        let request = Request::Xattrcreate {
            fid,
            name: Text(b"user.x"),
            size: 65536,
            flags: 0,
        };
        refused |= c.ask(request)[4] == 7;
    }
    assert!(refused, "attributes of 300 fids are more than 16 MiB");
}

#[test]
fn read_only_exports_change_nothing() {
    let c = Client::with(Model::None, true, VERSION_L);
    std::fs::write(c.path("f"), b"x").unwrap();
    c.walk(0, 1, "f");
    let name = Text(b"n");
    let set = SetAttributes {
        valid: SetMask::MODE,
        ..SetAttributes::default()
    };
    for request in [
        Request::Lopen { fid: 1, flags: 1 },
        Request::Lopen { fid: 1, flags: 2 },
        Request::Lopen { fid: 1, flags: 0o1000 },
        Request::Lcreate {
            fid: 0,
            name,
            flags: 0,
            mode: 0,
            gid: 0,
        },
        Request::Symlink {
            fid: 0,
            name,
            target: name,
            gid: 0,
        },
        Request::Mknod {
            fid: 0,
            name,
            mode: 0,
            major: 0,
            minor: 0,
            gid: 0,
        },
        Request::Mkdir {
            fid: 0,
            name,
            mode: 0,
            gid: 0,
        },
        Request::Setattr { fid: 1, set },
        Request::Xattrcreate {
            fid: 1,
            name,
            size: 1,
            flags: 0,
        },
        Request::Link {
            directory: 0,
            fid: 1,
            name,
        },
        Request::Rename {
            fid: 1,
            directory: 0,
            name,
        },
        Request::Renameat {
            old_directory: 0,
            old_name: Text(b"f"),
            new_directory: 0,
            new_name: name,
        },
        Request::Unlinkat {
            directory: 0,
            name: Text(b"f"),
            flags: 0,
        },
        Request::Remove { fid: 1 },
        Request::Write {
            fid: 1,
            offset: 0,
            data: Data(b"y"),
        },
    ] {
        c.fails(request, Errno::ROFS);
    }
    c.ok(Request::Lopen { fid: 1, flags: 0 });
    assert_eq!(c.read(1, 0, 9), b"x");
    assert_eq!(c.list(""), ["f"]);
}

#[test]
fn locks_and_file_systems() {
    let c = Client::new(Model::None);
    c.create(0, 1, "f", b"");
    let (kind, client) = (LockType::WRITE, Text(b"c"));
    let lock = |flags| Request::Lock {
        fid: 1,
        kind,
        flags,
        start: 0,
        length: 0,
        pid: 1,
        client,
    };
    assert_eq!(Reply::read(&c.ok(lock(1))).unwrap().1, Reply::Lock { status: 0 });
    c.fails(lock(8), Errno::INVAL);
    let asked = Lock {
        kind,
        start: 1,
        length: 2,
        pid: 3,
        client,
    };
    let reply = c.ok(Request::Getlock { fid: 1, lock: asked });
    let free = Lock {
        kind: LockType::UNLOCK,
        ..asked
    };
    assert_eq!(Reply::read(&reply).unwrap().1, Reply::Getlock { lock: free });
    let reply = c.ok(Request::Statfs { fid: 1 });
    let Ok((_, Reply::Statfs { statfs })) = Reply::read(&reply) else {
        panic!()
    };
    assert!(
        statfs.blocks > 0 && statfs.block_size >= 512 && statfs.name_max >= 255,
        "{statfs:?}"
    );
}

#[test]
fn sessions_move() {
    for model in MODELS {
        let c = Client::new(model);
        c.mkdir(0, "d");
        c.walk(0, 1, "d");
        c.create(1, 2, "f", b"contents");
        c.open(0, 3, "d", 0);
        c.walk(0, 4, "d/f");
        c.ok(Request::Xattrcreate {
            fid: 4,
            name: Text(b"user.x"),
            size: 4,
            flags: 0,
        });
        c.write(4, 0, b"ab");
        let qid = c.attributes(2).qid;
        let c = c.moved();
        assert_eq!(c.attributes(2).qid, qid);
        assert_eq!(c.read(2, 0, 20), b"contents");
        c.write(2, 8, b"!");
        c.write(4, 2, b"cd");
        c.clunk(4);
        let reply = c.ok(Request::Xattrwalk {
            fid: 2,
            new_fid: 5,
            name: Text(b"user.x"),
        });
        assert_eq!(Reply::read(&reply).unwrap().1, Reply::Xattrwalk { size: 4 });
        let c = c.moved();
        assert_eq!(c.read(5, 0, 9), b"abcd");
        c.ok(Request::Readdir {
            fid: 3,
            offset: 0,
            count: 100,
        });
        assert_eq!(std::fs::read(c.path("d/f")).unwrap(), b"contents!");
    }
}

#[test]
fn what_is_not_there_on_the_other_side_is_lost_and_said_so() {
    let c = Client::new(Model::None);
    c.create(0, 1, "f", b"x");
    c.create(0, 2, "g", b"y");
    let saved = c.session.save();
    std::fs::remove_file(c.path("f")).unwrap();
    let there = Client {
        session: Session::new(c.session.export()),
        folder: c.folder,
    };
    assert_eq!(there.session.restore(&saved), 1);
    there.fails(
        Request::Read {
            fid: 1,
            offset: 0,
            count: 1,
        },
        Errno::STALE,
    );
    there.fails(Request::Getattr { fid: 1, mask: 0 }, Errno::NOENT);
    there.clunk(1);
    assert_eq!(there.read(2, 0, 9), b"y");
}

#[test]
fn the_unix_dialect() {
    for model in MODELS {
        let c = Client::with(model, false, VERSION_U);
        let create = |fid, name: &'static [u8], permissions, extension: &'static [u8]| Request::Create {
            fid,
            name: Text(name),
            permissions,
            mode: 2,
            extension: Text(extension),
        };
        c.walk(0, 1, "");
        c.ok(create(1, b"f", 0o644, b""));
        c.write(1, 0, b"text");
        c.walk(0, 2, "");
        c.ok(create(2, b"d", mode_u::DIRECTORY | 0o755, b""));
        c.walk(0, 3, "");
        c.ok(create(3, b"l", mode_u::SYMLINK | 0o777, b"target"));
        c.walk(0, 4, "");
        c.ok(create(4, b"p", mode_u::PIPE | 0o600, b""));
        c.walk(0, 5, "");
        c.ok(create(5, b"again", mode_u::LINK, b"1"));
        c.walk(0, 6, "");
        c.fails(create(6, b"dev", mode_u::DEVICE, b"x 1 2"), Errno::INVAL);
        c.fails(create(6, b"f", 0o644, b""), Errno::EXIST);
        if model.is_mapped() {
            c.ok(create(6, b"dev", mode_u::DEVICE | 0o600, b"b 8 1"));
        }
        let stat = |fid| {
            let reply = c.ok(Request::Stat { fid });
            let Ok((_, Reply::Stat { stat })) = Reply::read(&reply) else {
                panic!()
            };
            let s = stat.0;
            (s.mode, s.length, s.name.0.to_vec(), s.extension.0.to_vec())
        };
        assert_eq!(stat(1), (0o644, 4, b"f".to_vec(), vec![]));
        assert_eq!((stat(2).0, stat(2).1), (mode_u::DIRECTORY | 0o755, 0));
        assert_eq!(
            (stat(3).0 & mode_u::SYMLINK, stat(3).3),
            (mode_u::SYMLINK, b"target".to_vec())
        );
        assert_eq!(stat(4).0, mode_u::PIPE | 0o600);
        if model.is_mapped() {
            assert_eq!((stat(6).0, stat(6).3), (mode_u::DEVICE | 0o600, b"b 8 1".to_vec()));
        }
        let leave = Stat {
            kind: u16::MAX,
            device: u32::MAX,
            mode: u32::MAX,
            atime: u32::MAX,
            mtime: u32::MAX,
            length: u64::MAX,
            n_uid: u32::MAX,
            n_gid: u32::MAX,
            n_muid: u32::MAX,
            ..Stat::default()
        };
        let wstat = |fid, stat| Request::Wstat {
            fid,
            stat: Counted(stat),
        };
        c.ok(wstat(1, leave));
        c.ok(wstat(
            1,
            Stat {
                name: Text(b"renamed"),
                length: 2,
                mode: 0o600,
                mtime: 77,
                ..leave
            },
        ));
        assert_eq!(stat(1), (0o600, 2, b"renamed".to_vec(), vec![]));
        c.fails(
            wstat(
                1,
                Stat {
                    mode: mode_u::DIRECTORY,
                    ..leave
                },
            ),
            Errno::INVAL,
        );

        c.walk(0, 7, "");
        c.ok(Request::Open { fid: 7, mode: 0 });
        let (mut names, mut offset) = (Vec::new(), 0);
        loop {
            let data = c.read(7, offset, 150);
            if data.is_empty() {
                break;
            }
            offset += data.len() as u64;
            let mut rest = &data[..];
            while !rest.is_empty() {
                let len = usize::from(u16::from_le_bytes([rest[0], rest[1]])) + 2;
                let name = usize::from(u16::from_le_bytes([rest[41], rest[42]]));
                names.push(String::from_utf8(rest[43..43 + name].to_vec()).unwrap());
                rest = &rest[len..];
            }
        }
        names.sort();
        let mut expected = vec!["again", "d", "l", "p", "renamed"];
        if model.is_mapped() {
            expected.insert(2, "dev");
        }
        assert_eq!(names, expected, "{model:?}");
        c.fails(
            Request::Read {
                fid: 7,
                offset: 3,
                count: 100,
            },
            Errno::INVAL,
        );
        c.fails(Request::Getattr { fid: 0, mask: 0 }, Errno::OPNOTSUPP);
        c.fails(Request::Open { fid: 50, mode: 0 }, Errno::BADF);
        c.ok(Request::Remove { fid: 1 });
    }
}

/// Links of the host lead nowhere, wherever they stand, and whenever they come.
#[test]
fn nothing_outside_is_reached() {
    let outside = TempDir::new().unwrap();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    for_each_model_with(&outside, |c, outside| {
        symlink(outside.path(), c.path("link")).unwrap();
        symlink(outside.path().join("secret"), c.path("file")).unwrap();
        symlink("..", c.path("up")).unwrap();
        c.walk(0, 1, "link");
        c.walk(0, 2, "file");
        for fid in [1, 2] {
            c.fails(Request::Lopen { fid, flags: 0 }, Errno::LOOP);
            c.fails(Request::Lopen { fid, flags: 1 }, Errno::LOOP);
        }
        for (link, inner) in [("link", "secret"), ("up", "x")] {
            let names = vec![Text(link.as_bytes()), Text(inner.as_bytes())];
            let reply = c.ok(Request::Walk {
                fid: 0,
                new_fid: 5,
                names,
            });
            assert!(matches!(Reply::read(&reply).unwrap().1, Reply::Walk { qids } if qids.len() == 1));
        }
        let name = Text(b"new");
        for request in [
            Request::Mkdir {
                fid: 1,
                name,
                mode: 0o777,
                gid: 0,
            },
            Request::Lcreate {
                fid: 1,
                name,
                flags: 0o102,
                mode: 0o666,
                gid: 0,
            },
            Request::Symlink {
                fid: 1,
                name,
                target: name,
                gid: 0,
            },
            Request::Unlinkat {
                directory: 1,
                name: Text(b"secret"),
                flags: 0,
            },
            Request::Link {
                directory: 1,
                fid: 2,
                name,
            },
            Request::Renameat {
                old_directory: 1,
                old_name: Text(b"secret"),
                new_directory: 0,
                new_name: name,
            },
        ] {
            let reply = c.ask(request);
            assert_eq!(reply[4], 7, "{:?}", Reply::read(&reply));
        }
        let set = SetAttributes {
            valid: SetMask::SIZE,
            size: 0,
            ..SetAttributes::default()
        };
        c.fails(Request::Setattr { fid: 2, set }, Errno::LOOP);
        let set = SetAttributes {
            valid: SetMask::MODE,
            mode: 0o777,
            ..SetAttributes::default()
        };
        let _ = c.ask(Request::Setattr { fid: 2, set });
        // An existing link in the way of a new file is not followed.
        c.walk(0, 6, "");
        let request = Request::Lcreate {
            fid: 6,
            name: Text(b"file"),
            flags: 0o1102,
            mode: 0o666,
            gid: 0,
        };
        c.fails(request, Errno::LOOP);
    });
    assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"secret");
    let mode = std::fs::metadata(outside.path().join("secret"))
        .unwrap()
        .permissions()
        .mode();
    assert_ne!(mode & 0o777, 0o777);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

fn for_each_model_with(outside: &TempDir, test: fn(Client, &TempDir)) {
    for model in MODELS {
        println!("{model:?}");
        test(Client::new(model), outside);
    }
}

/// Somebody on the host swaps a directory for a link all the time, while the guest works in it.
#[test]
fn races_with_links_are_lost_by_the_guest() {
    let outside = TempDir::new().unwrap();
    std::fs::write(outside.path().join("f"), b"secret").unwrap();
    for model in MODELS {
        let c = Client::new(model);
        std::fs::create_dir(c.path("real")).unwrap();
        std::fs::write(c.path("real/f"), b"inside").unwrap();
        symlink(outside.path(), c.path("link")).unwrap();
        std::fs::create_dir(c.path("d")).unwrap();
        std::fs::write(c.path("d/f"), b"inside").unwrap();
        let (dir, link) = (c.path("d"), c.path("link"));
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        let swapper = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(CWD, &dir, CWD, &link, flags).unwrap();
            }
        });
        let mut reached = 0;
        for i in 0..2000 {
            let names = vec![Text(b"d"), Text(b"f")];
            let reply = c.ask(Request::Walk {
                fid: 0,
                new_fid: 1,
                names,
            });
            if !matches!(Reply::read(&reply), Ok((_, Reply::Walk { qids })) if qids.len() == 2) {
                continue;
            }
            if c.ask(Request::Lopen { fid: 1, flags: 2 })[4] == 13 {
                reached += 1;
                assert_eq!(c.read(1, 0, 20), b"inside");
                c.write(1, 0, b"inside");
            }
            c.clunk(1);
            let name = format!("n{i}");
            c.walk(0, 2, "d");
            c.ask(Request::Mkdir {
                fid: 2,
                name: Text(name.as_bytes()),
                mode: 0o755,
                gid: 0,
            });
            c.ask(Request::Unlinkat {
                directory: 2,
                name: Text(name.as_bytes()),
                flags: 0x200,
            });
            c.clunk(2);
        }
        stop.store(true, Ordering::Relaxed);
        swapper.join().unwrap();
        assert_eq!(std::fs::read(outside.path().join("f")).unwrap(), b"secret");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1, "{model:?}");
        println!("{model:?}: {reached} of 2000 got through");
    }
}

#[test]
fn the_tree_without_files() {
    let session = Session::new(Arc::new(Export {
        fs: Box::new(Synth::new(true)),
        readonly: false,
        multidevs: MultiDevices::Remap,
        most_open: 8,
    }));
    let c = Client {
        session,
        folder: TempDir::new().unwrap(),
    };
    c.begin(VERSION_L);
    assert_eq!(c.list("").len(), 20);
    assert_eq!(c.list("ReadDirDir").len(), 100);
    c.open(0, 1, "WRITE", 1);
    c.write(1, 0, b"anything");
    c.open(0, 2, "LOPEN", 0);
    assert_eq!(c.read(2, 0, 10), b"");
    c.fails(
        Request::Mkdir {
            fid: 0,
            name: Text(b"x"),
            mode: 0,
            gid: 0,
        },
        Errno::PERM,
    );
    c.fails(
        Request::Walk {
            fid: 0,
            new_fid: 3,
            names: vec![Text(b"none")],
        },
        Errno::NOENT,
    );
    let c = c.moved();
    c.write(1, 0, b"more");
}
