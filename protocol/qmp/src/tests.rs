use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(text: &str) -> Vec<Result<Value, String>> {
    let mut stream = Stream::default();
    stream.feed(text.as_bytes());
    std::iter::from_fn(|| stream.next()).collect()
}

fn one(text: &str) -> Value {
    let mut all = read(text);
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all.remove(0).unwrap()
}

#[test]
fn values() {
    assert_eq!(
        one("{'a': \"it's\", \"b\": [1, -2.5e1, true, null]}"),
        json!({"a": "it's", "b": [1, -25.0, true, null]})
    );
    assert_eq!(one(r#"["\u00e4\ud83d\ude00\n\'"]"#), json!(["ä😀\n'"]));
    assert_eq!(
        one("[18446744073709551615, -9223372036854775808]"),
        json!([u64::MAX, i64::MIN])
    );
    assert_eq!(one("[99999999999999999999]"), json!([1e20]));
    assert_eq!(read("{}{}\n[]").len(), 3);
    assert_eq!(read("{\"a\":").len(), 0, "not complete yet");
}

#[test]
fn what_is_no_json_is_said_once_and_reading_goes_on() {
    for bad in [
        "{'a' 1}",
        "{'a':1,}",
        "[1 2]",
        "{1:2}",
        "{'a':1,'a':2}",
        "[nonsense]",
        "]",
        "[\"\\ud800\"]",
        "[\"\\x\"]",
        "{]",
        "[1e999]",
    ] {
        let all = read(&format!("{bad}{{}}"));
        assert!(all[0].is_err(), "{bad}: {all:?}");
        assert_eq!(all.last(), Some(&Ok(json!({}))), "{bad}: {all:?}");
    }
    for garbage in ["#x y\n", "[01]", "[-]", "[1.]", "\"a\nb\"\n", "@ "] {
        let all = read(&format!("{garbage}{{'a':1}}"));
        assert!(all[0].is_err(), "{garbage}: {all:?}");
        assert_eq!(all.last(), Some(&Ok(json!({"a": 1}))), "{garbage}: {all:?}");
    }
    let mut stream = Stream::default();
    stream.feed(b"{'half': \"\xff{'whole': 1}");
    assert!(
        stream.next().unwrap().is_err(),
        "0xff brings the reader back from anywhere"
    );
    assert_eq!(stream.next(), Some(Ok(json!({"whole": 1}))));
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = "[".repeat(MAX_DEPTH as usize) + &"]".repeat(MAX_DEPTH as usize);
    assert!(read(&deep)[0].is_ok());
    assert!(read(&"[".repeat(MAX_DEPTH as usize + 1))[0].is_err());
    let mut stream = Stream::default();
    stream.feed(b"[\"");
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..20 {
        stream.feed(&chunk);
    }
    assert!(stream.next().unwrap().is_err());
    stream.feed(b"\n{}");
    assert_eq!(stream.next(), Some(Ok(json!({}))));
}

fn talk(session: &mut Session, text: &str) -> Vec<String> {
    session.feed(text.as_bytes());
    let mut out = Vec::new();
    while let Some(incoming) = session.next() {
        out.push(match incoming {
            Incoming::Reply(v) => compact(&v),
            Incoming::Call(c) => format!(
                "{}{} {}",
                c.name,
                if c.out_of_band { "!" } else { "" },
                compact(&c.arguments.into())
            ),
        });
    }
    out
}

#[test]
fn negotiation_comes_first() {
    let mut s = Session::new(false);
    let early = talk(&mut s, "{'execute':'query-status','id':7}");
    assert!(
        early[0].contains("CommandNotFound") && early[0].contains("\"id\": 7"),
        "{early:?}"
    );
    assert!(!s.is_negotiated());
    assert!(talk(&mut s, "{'execute':'qmp_capabilities','arguments':{'enable':['x']}}")[0].contains("GenericError"));
    let both = talk(
        &mut s,
        "{'execute':'qmp_capabilities','id':{'a':[1]}} {'execute':'stop'}",
    );
    assert_eq!(both, [r#"{"id": {"a": [1]}, "return": {}}"#, "stop {}"]);
    assert!(talk(&mut s, "{'execute':'qmp_capabilities'}")[0].contains("CommandNotFound"));
    assert!(talk(&mut s, "{'exec-oob':'stop'}")[0].contains("no member 'exec-oob'"));
}

#[test]
fn out_of_band_overtakes() {
    let mut s = Session::new(false);
    talk(&mut s, "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}");
    let order = talk(
        &mut s,
        "{'execute':'a','arguments':{'x':1}}{'execute':'b'}{'exec-oob':'c'}",
    );
    assert_eq!(order, ["c! {}", "a {\"x\": 1}", "b {}"]);
    assert!(talk(&mut s, "{'exec-oob':'c','execute':'d'}")[0].contains("either"));
}

#[test]
fn envelopes() {
    let mut s = Session::new(false);
    talk(&mut s, "{'execute':'qmp_capabilities'}");
    for bad in [
        "[1]",
        "{}",
        "{'execute':1}",
        "{'execute':'x','arguments':[]}",
        "{'execute':'x','control':{}}",
        "1 ",
        "#\n",
    ] {
        let answer = talk(&mut s, bad);
        assert!(answer[0].contains("GenericError"), "{bad}: {answer:?}");
    }
}

#[test]
fn text_is_ascii_and_spaced_as_qemu_does() {
    let v = json!({"a": [1, "ä😀\u{7f}\n"], "b": {}});
    assert_eq!(compact(&v), r#"{"a": [1, "\u00E4\uD83D\uDE00\u007F\n"], "b": {}}"#);
    assert_eq!(pretty(&json!({"a": [1]})), "{\n    \"a\": [\n        1\n    ]\n}");
    let at = std::time::Duration::new(5, 7_000);
    let event = event("STOP", None, at);
    assert_eq!(
        compact(&event),
        r#"{"event": "STOP", "timestamp": {"microseconds": 7, "seconds": 5}}"#
    );
}

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzzing::client(&data);
    }

    #[test]
    fn any_words(words in proptest::collection::vec(
        proptest::sample::select(vec!["{", "}", "[", "]", ":", ",", "'execute'", "\"id\"", "1", "-2.5", "true", "'qmp_capabilities'", "\n", "#", "\"a"]), 0..60), chunk: u8) {
        let mut data = vec![chunk];
        data.extend(words.concat().bytes());
        fuzzing::client(&data);
    }
}
