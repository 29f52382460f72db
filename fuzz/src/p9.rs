//! 9P messages of a client that does what it likes, to a server over a folder that has a way out.
//!
//! An input is a byte that chooses the security model and whether the folder is read-only, and then messages: a byte that chooses the
//! type, a byte of length, and that many bytes of fields. Messages stand for themselves otherwise: the server sees every bit of the
//! fields, true lengths or not.

use southbridge_backend_fs::fuzzing::Bare;
use southbridge_protocol_p9::{Header, Malformed, NO_FID, Reply, Request, Text, VERSION_L, VERSION_U};
use std::path::Path;
use tempfile::TempDir;

/// What is outside the folder, and must stay as it is.
const SECRET: &[u8] = b"outside";
/// Room for replies. As the smallest message size is 4096, some replies are cut.
const ROOM: usize = 4096;

fn message(kind: u8, fields: &[u8], cut: bool) -> Vec<u8> {
    let (_, code) = Request::TYPES[usize::from(kind) % Request::TYPES.len()];
    let size = 7 + fields.len() as u32 - u32::from(cut && !fields.is_empty());
    let mut bytes = size.to_le_bytes().to_vec();
    bytes.extend([code, 1, 0]);
    bytes.extend(fields);
    bytes
}

/// A folder with a file, a directory and two links that lead out.
fn folder() -> std::io::Result<TempDir> {
    let base = TempDir::new()?;
    std::fs::create_dir(base.path().join("outside"))?;
    std::fs::write(base.path().join("outside/s"), SECRET)?;
    let inside = base.path().join("inside");
    std::fs::create_dir_all(inside.join("d"))?;
    std::fs::write(inside.join("f"), b"contents")?;
    std::os::unix::fs::symlink("../outside", inside.join("o"))?;
    std::os::unix::fs::symlink("../../outside/s", inside.join("d/s"))?;
    Ok(base)
}

fn untouched(base: &Path) {
    let all = |dir: &Path| std::fs::read_dir(dir).map(Iterator::count).ok();
    assert_eq!(std::fs::read(base.join("outside/s")).ok().as_deref(), Some(SECRET));
    assert_eq!(
        (all(&base.join("outside")), all(base)),
        (Some(1), Some(2)),
        "something is outside"
    );
}

/// See [`crate::TARGETS`].
///
/// # Panics
/// When something outside the folder changes, a reply is none, or a session does not take back what it has saved.
pub fn p9(data: &[u8]) {
    let Some((choice, mut rest)) = data.split_first() else {
        return;
    };
    let Ok(base) = folder() else { return };
    let mut session = match choice % 8 {
        7 => Bare::synth(),
        model => match Bare::local(&base.path().join("inside"), model, choice & 0x40 != 0) {
            Ok(session) => session,
            Err(_) => return,
        },
    };
    let version = Text(if choice & 0x80 != 0 { VERSION_U } else { VERSION_L });
    session.answer(&Request::Version { msize: 8192, version }.to_bytes(0), ROOM);
    let (afid, empty) = (NO_FID, Text(b""));
    let attach = Request::Attach {
        fid: 0,
        afid,
        uname: empty,
        aname: empty,
        n_uname: 0,
    };
    session.answer(&attach.to_bytes(0), ROOM);
    for _ in 0..200 {
        let Some(([kind, len], after)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let (fields, later) = after.split_at(usize::from(*len).min(after.len()));
        rest = later;
        if *kind == 0xff {
            session = session.saved_and_restored();
            continue;
        }
        let asked = message(*kind, fields, *kind & 0x80 != 0);
        let reply = session.answer(&asked, ROOM);
        check(&asked, &reply);
    }
    drop(session);
    untouched(base.path());
}

fn check(asked: &[u8], reply: &[u8]) {
    let (header, _) = Header::split(reply).expect("a reply is a message");
    let read: Result<_, Malformed> = Reply::read(reply);
    let (tag, reply_is) = read.expect("a reply is one");
    assert_eq!((tag, header.size as usize), (1, reply.len()));
    assert!(reply.len() <= ROOM, "{} bytes", reply.len());
    let error = matches!(reply_is, Reply::Lerror { .. } | Reply::Error { .. });
    assert!(
        error || reply_is.code() == asked[4] + 1,
        "{reply_is:?} answers type {}",
        asked[4]
    );
}
