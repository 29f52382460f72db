//! What is said about wrong options. Texts are golden: they are what people see.

mod common;

use common::Bench;
use southbridge_backend_chardev::{KINDS, find, help, kind_help, parse};
use southbridge_core::PropKind;

/// Kind, options, and what is said.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn wrong_options_say_what_would_be_right() {
    let cases: &[Case] = &[
        (
            "sockt",
            &[],
            "[backend] 'sockt' is not a chardev back end, did you mean 'socket'?",
        ),
        ("teletype", &[], "[backend] 'teletype' is not a chardev back end"),
        (
            "vc",
            &[("width", "80")],
            "[backend] chardev back end 'vc': there is no window with text consoles yet; use stdio, pty or socket",
        ),
        (
            "parport",
            &[],
            "[backend] chardev back end 'parallel': parallel ports of the host are not supported yet; use file for a printer",
        ),
        ("file", &[], "[-] 'file' needs 'path=FILE'"),
        (
            "file",
            &[("pth", "x")],
            "[pth] 'file' has no option 'pth', did you mean 'path'?",
        ),
        (
            "file",
            &[("path", "x"), ("append", "maybe")],
            "[append] append=maybe: expected on or off",
        ),
        ("null", &[("port", "1")], "[port] 'null' has no option 'port'"),
        (
            "null",
            &[("logappend", "on")],
            "[logappend] 'logappend' has no meaning without 'logfile=FILE'",
        ),
        (
            "null",
            &[("logfile", "/nonexistent/log")],
            "[logfile] cannot open '/nonexistent/log': No such file or directory (os error 2)",
        ),
        (
            "ringbuf",
            &[("size", "100")],
            "[size] size=100: expected a power of two of at most 1G",
        ),
        (
            "ringbuf",
            &[("size", "0")],
            "[size] size=0: expected a power of two of at most 1G",
        ),
        (
            "ringbuf",
            &[("size", "lots")],
            "[size] size=lots: expected a size in bytes, such as 64K or 4M",
        ),
        (
            "pipe",
            &[("path", "/nonexistent/p")],
            "[path] cannot open '/nonexistent/p.in' and '/nonexistent/p.out' (No such file or directory (os error 2)), nor '/nonexistent/p': No such file or directory (os error 2)",
        ),
        (
            "socket",
            &[],
            "[-] 'socket' needs 'path=FILE' or 'host=NAME,port=N' or 'fd=N'",
        ),
        (
            "socket",
            &[("path", "x"), ("host", "y")],
            "[host] 'host' does not go with 'path': give one of path, host and fd",
        ),
        ("socket", &[("host", "localhost")], "[-] 'socket' needs 'port=NUMBER'"),
        (
            "socket",
            &[("host", "localhost"), ("port", "http")],
            "[port] port=http: expected a port number from 0 to 65535",
        ),
        (
            "socket",
            &[("host", "localhost"), ("port", "70000")],
            "[port] port=70000: expected a port number from 0 to 65535",
        ),
        (
            "socket",
            &[("host", "h"), ("port", "9"), ("ipv4", "off"), ("ipv6", "off")],
            "[ipv6] 'ipv6' and 'ipv4' are both off: no address family is left",
        ),
        (
            "socket",
            &[("host", "h"), ("port", "9"), ("to", "8"), ("server", "on")],
            "[to] to=8: expected a port not below 'port'",
        ),
        (
            "socket",
            &[("host", "h"), ("port", "9"), ("to", "10")],
            "[to] 'to' is a range for servers: add 'server=on'",
        ),
        (
            "socket",
            &[("path", "x"), ("port", "9")],
            "[port] 'port' does not go with 'path': it is for TCP sockets",
        ),
        (
            "socket",
            &[("path", "x"), ("wait", "off")],
            "[wait] 'wait' is for servers: add 'server=on', or for a client 'reconnect-ms=N'",
        ),
        (
            "socket",
            &[("path", "x"), ("server", "on"), ("reconnect", "1")],
            "[reconnect] 'reconnect' is for clients; a server (server=on) waits for the next client anyway",
        ),
        (
            "socket",
            &[("path", "x"), ("reconnect", "1"), ("reconnect-ms", "1")],
            "[reconnect] 'reconnect' and 'reconnect-ms' exclude each other; keep 'reconnect-ms'",
        ),
        (
            "socket",
            &[("fd", "3"), ("reconnect-ms", "1")],
            "[fd] 'fd' cannot be connected again: leave out 'reconnect' and 'reconnect-ms'",
        ),
        (
            "socket",
            &[("fd", "three")],
            "[fd] fd=three: expected the number of an open descriptor",
        ),
        (
            "socket",
            &[("path", "x"), ("server", "on"), ("websocket", "on")],
            "[websocket] 'websocket' is not supported yet; put websockify before the socket",
        ),
        (
            "socket",
            &[("path", "x"), ("tls-creds", "t")],
            "[tls-creds] 'tls-creds' is not supported yet; put stunnel or socat before the socket",
        ),
        (
            "socket",
            &[("path", "x"), ("sever", "on")],
            "[sever] 'socket' has no option 'sever', did you mean 'server'?",
        ),
        ("udp", &[], "[-] 'udp' needs 'port=NUMBER'"),
        (
            "udp",
            &[("port", "9"), ("localport", "x")],
            "[localport] localport=x: expected a port number from 0 to 65535",
        ),
        ("mux", &[], "[-] 'mux' needs 'chardev=ID'"),
        (
            "mux",
            &[("chardev", "c")],
            "[chardev] chardev=c: expected the id of a chardev that stands before this one (there is none)",
        ),
        ("hub", &[], "[-] 'hub' needs 'chardevs.0=ID'"),
        (
            "hub",
            &[("chardevs.7", "c")],
            "[chardevs.7] 'hub' has no option 'chardevs.7', did you mean 'chardevs.0'?",
        ),
    ];
    for (kind, options, expected) in cases {
        assert_eq!(Bench::new().error(kind, options), *expected, "{kind} {options:?}");
    }
}

#[test]
fn paths_that_are_too_long_say_so() {
    let long = "x".repeat(108);
    let e = Bench::new().error("socket", &[("path", &long), ("server", "on")]);
    assert!(
        e.ends_with("expected a path of 1 to 107 bytes (the system's limit for socket names)"),
        "{e}"
    );
}

#[test]
fn one_id_once() {
    let mut b = Bench::new();
    b.open("null", "bad", &[]);
    assert_eq!(b.error("null", &[]), "[id] there is a chardev 'bad' already");
}

#[test]
fn nothing_is_left_behind_by_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let options = [
        ("path", path.to_str().unwrap()),
        ("server", "on"),
        ("logfile", "/nonexistent/log"),
    ];
    Bench::new().error("socket", &options);
    assert!(!path.exists());
}

#[test]
fn bare_words_and_their_opposites() {
    let socket = find("socket").unwrap();
    let p = parse(socket, [("path", "x"), ("server", "on"), ("nowait", "on")]).unwrap();
    assert!(p.bool("server") && p.get("wait").is_some() && !p.bool("wait"));
    let p = parse(socket, [("nodelay", "on")]).unwrap();
    assert!(
        p.bool("nodelay") && p.get("delay").is_none(),
        "a word of its own, not the opposite of delay"
    );
}

#[test]
fn the_table_is_sound() {
    for k in KINDS {
        assert!(!k.summary.is_empty(), "{}", k.name);
        let mut seen = std::collections::BTreeSet::new();
        for o in k.all_options() {
            assert!(!o.help.is_empty(), "{}.{}", k.name, o.name);
            assert!(seen.insert(o.name), "{}.{} twice", k.name, o.name);
            assert!(!matches!(o.kind, PropKind::Backend(_)), "{}.{}", k.name, o.name);
        }
        if k.missing().is_none() {
            parse(k, []).unwrap();
        }
    }
}

#[test]
fn help_lists_what_there_is() {
    let text = help();
    assert!(
        text.starts_with("Available chardev backend types:\n  file       output to a file\n"),
        "{text}"
    );
    assert!(!text.contains("spicevmc"));
    assert_eq!(
        kind_help(find("memory").unwrap()),
        "ringbuf options:\n  \
         size=<size> - bytes, a power of two (default: 65536)\n  \
         mux=<bool> - share it between several front ends, with the Ctrl-a menu (default: off)\n  \
         logfile=<str> - also write all output to this file\n  \
         logappend=<bool> - keep what the log file has already (default: off)\n"
    );
}

#[test]
fn a_short_fuzz_of_every_parser() {
    use southbridge_backend_chardev::fuzzing;
    let mut x = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    // Bytes that mean something are more frequent than chance would have them.
    let words = [
        255, 243, 240, 250, 251, 253, 239, 1, b'h', b't', b'x', b'\n', b',', b'=', b':',
    ];
    for _ in 0..3000 {
        let data: Vec<u8> = (0..next() % 64)
            .map(|_| match next() {
                r if r & 1 == 0 => words[(r >> 8) as usize % words.len()],
                r => (r >> 16) as u8,
            })
            .collect();
        fuzzing::telnet(&data);
        fuzzing::menu(&data);
        let mut text = String::from(["socket,", "file,", "udp,", ""][next() as usize % 4]);
        text.extend(data.iter().map(|b| char::from(b & 0x7f)));
        fuzzing::options(text.as_bytes());
    }
}
