//! The entry for fuzzing.

use crate::{Incoming, Session, compact};

/// Plays any bytes as a client. The first one cuts the rest into chunks: what comes out must not depend on that.
pub fn client(data: &[u8]) {
    let Some((chunk, data)) = data.split_first() else {
        return;
    };
    let whole = play(data, data.len().max(1));
    let cut = play(data, usize::from(*chunk).max(1));
    assert_eq!(whole, cut, "chunking changes the meaning");
}

fn play(data: &[u8], chunk: usize) -> Vec<String> {
    let mut session = Session::new(false);
    for bytes in data.chunks(chunk) {
        session.feed(bytes);
    }
    let mut out = Vec::new();
    while let Some(incoming) = session.next() {
        out.push(match incoming {
            Incoming::Reply(value) => compact(&value),
            Incoming::Call(call) => {
                let text = session.print(&session.answer(call.id, Ok(call.arguments.into())));
                assert!(text.is_ascii() && text.ends_with("\r\n"));
                format!("{}{text}", call.name)
            }
        });
    }
    out
}
