use super::value::{Unit, parse_bool, parse_i64, parse_size, parse_u64};
use super::*;
use crate::location::Origin;
use proptest::prelude::*;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source {
        origin: Origin::Argument(1),
        option: "-device".into(),
        text: text.into(),
    })
}

const DEVICE: Grammar = Grammar::list("driver").or_json();

fn pairs(text: &str, grammar: Grammar) -> Vec<(String, String)> {
    let props = Props::parse(&source(text), grammar).unwrap_or_else(|e| panic!("{text}: {e}"));
    props
        .entries()
        .iter()
        .map(|e| (e.key.clone(), e.value.clone()))
        .collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.into(), value.into())
}

#[test]
fn lists_follow_the_syntax_of_qemu() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("pl011", &[("driver", "pl011")]),
        ("pl011,", &[("driver", "pl011")]),
        ("driver=pl011,chardev=c", &[("driver", "pl011"), ("chardev", "c")]),
        ("loader,file=a,,b.elf", &[("driver", "loader"), ("file", "a,b.elf")]),
        ("a,,b,c=", &[("driver", "a,b"), ("c", "")]),
        ("d,server,nowait", &[("driver", "d"), ("server", "on"), ("wait", "off")]),
        ("d,v=a=b", &[("driver", "d"), ("v", "a=b")]),
        ("d,v=1,v=2", &[("driver", "d"), ("v", "1"), ("v", "2")]),
        ("d,v=,,,", &[("driver", "d"), ("v", ",")]),
        ("", &[]),
        ("d,no", &[("driver", "d"), ("no", "on")]),
    ];
    for (text, expected) in table {
        let expected: Vec<_> = expected.iter().map(|(k, v)| pair(k, v)).collect();
        assert_eq!(pairs(text, DEVICE), expected, "{text}");
    }
}

#[test]
fn json_flattens_to_the_same_keys() {
    let expected = vec![
        pair("driver", "d"),
        pair("n", "5"),
        pair("b", "on"),
        pair("a.x", "q"),
        pair("a.l.0", "z"),
    ];
    for text in [
        r#"{"driver": "d", "n": 5, "b": true, "a": {"x": "q", "l": ["z"]}}"#,
        r#"'{"driver":"d","n":5,"b":true,"a":{"x":"q","l":["z"]}}'"#,
        r#"{'driver':'d','n':5,'b':true,'a':{'x':'q','l':['z']}}"#,
        r#"  {"driver":"\u0064","n":5,"b":true,"a":{"x":"q","l":["z"]}} "#,
    ] {
        assert_eq!(pairs(text, DEVICE), expected, "{text}");
    }
    assert_eq!(pairs(r#"{"k":"\ud83d\ude00\n"}"#, DEVICE), vec![pair("k", "😀\n")]);
}

#[test]
fn every_word_knows_its_place() {
    let text = "pl011,chardev=a,,b,wait";
    let props = Props::parse(&source(text), DEVICE).unwrap();
    let words: Vec<_> = props
        .entries()
        .iter()
        .map(|e| (e.key_at.word(), e.value_at.word()))
        .collect();
    assert_eq!(words, [("pl011", "pl011"), ("chardev", "a,,b"), ("wait", "wait")]);
    let json = Props::parse(&source(r#"'{"driver": "pl01"}'"#), DEVICE).unwrap();
    assert_eq!(json.get("driver").unwrap().value_at.word(), "pl01");
}

#[test]
fn broken_text_is_refused_at_the_word() {
    for (text, word, message) in [
        ("d,=x", "", "a key is missing"),
        ("d,,e=1,,f", "", ""),
        (r#"{"a":}"#, "}", "JSON needs a value instead of '}'"),
        (r#"{"a":x}"#, "x", "'x' is not a JSON value"),
        (r#"{"a":1"#, "", "the JSON text ends where ',' or '}' should follow"),
        (r#"{"a":"b"#, "\"b", "a JSON string is not closed"),
        (r#"{"a":1} x"#, "x", "text after the end of the JSON object"),
        (r#"{"a":"\q"}"#, "\\q", "not an escape that JSON knows"),
    ] {
        let result = Props::parse(&source(text), DEVICE);
        if message.is_empty() {
            assert!(result.is_ok(), "{text}");
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(
            (error.at().unwrap().word(), error.message().as_str()),
            (word, message),
            "{text}"
        );
    }
}

#[test]
fn strict_lists_want_a_value_for_every_key() {
    let error = Props::parse(&source("virt,usb"), Grammar::strict("type")).unwrap_err();
    assert_eq!(error.at().unwrap().word(), "usb");
    assert_eq!(error.help().unwrap(), "write usb=VALUE, or usb=on for a switch");
}

#[test]
fn help_may_be_asked_anywhere() {
    for (text, driver) in [
        ("help", Some("help")),
        ("pl011,help", Some("pl011")),
        ("pl011,?", Some("pl011")),
    ] {
        let props = Props::parse(&source(text), DEVICE).unwrap();
        assert!(props.help_at().is_some(), "{text}");
        assert_eq!(props.text("driver").map(|v| v.value).as_deref(), driver);
    }
    assert!(
        Props::parse(&source("pl011,x=help"), DEVICE)
            .unwrap()
            .help_at()
            .is_none()
    );
}

#[test]
fn a_switch_that_begins_with_no_by_nature_is_found_either_way() {
    let props = Props::parse(&source("d,nodelay"), DEVICE).unwrap();
    assert!(props.switch("nodelay").unwrap().unwrap().value);
    assert!(!props.switch("delay").unwrap().unwrap().value);
    assert!(props.only("x", &["driver", "nodelay"]).is_ok());
}

#[test]
fn sizes_are_those_of_qemu() {
    let table: &[(&str, Option<u64>)] = &[
        ("0", Some(0)),
        ("12345", Some(12345)),
        ("08", Some(8)),
        ("64k", Some(65536)),
        ("64K", Some(65536)),
        ("5B", Some(5)),
        ("1.5M", Some(1_572_864)),
        (".5k", Some(512)),
        ("1.k", Some(1024)),
        ("1.0B", Some(1)),
        ("1.5", None),
        ("1.5B", None),
        ("0x1000", Some(4096)),
        ("0x1b", Some(27)),
        ("0x20M", None),
        ("0x", None),
        ("1e3", None),
        ("2E", Some(2 << 60)),
        ("15E", Some(15 << 60)),
        ("16E", None),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("+1", None),
        ("", None),
        (".", None),
        ("M", None),
        ("1KB", None),
        ("12é", None),
        ("0.0009765625K", Some(1)),
    ];
    for (text, bytes) in table {
        assert_eq!(parse_size(text, Unit::Byte), *bytes, "{text}");
    }
    assert_eq!(parse_size("64", Unit::Mebibyte), Some(64 << 20));
    assert_eq!(parse_size("64K", Unit::Mebibyte), Some(64 << 10));
    assert_eq!(parse_size("0x10", Unit::Mebibyte), Some(16 << 20));
}

#[test]
fn numbers_and_switches_are_those_of_qemu() {
    for (text, number) in [
        ("10", Some(10)),
        ("0x1F", Some(31)),
        ("010", Some(8)),
        ("0", Some(0)),
        ("09", None),
    ] {
        assert_eq!(parse_u64(text), number, "{text}");
    }
    for text in ["", "x", "0x", "1 ", "+1", "-1", "0x-1", "0-1", "1.0"] {
        assert_eq!(parse_u64(text), None, "{text:?}");
    }
    assert_eq!(parse_i64("-9223372036854775808"), Some(i64::MIN));
    assert_eq!(parse_i64("-0x10"), Some(-16));
    assert_eq!(parse_i64("--1"), None);
    assert_eq!(
        [parse_bool("yes"), parse_bool("n"), parse_bool("1")],
        [Some(true), Some(false), None]
    );
}

#[test]
fn dotted_keys_become_a_tree() {
    let props = Props::parse(&source("d,a.b=1,a.l.1=y,a.l.0=x"), DEVICE).unwrap();
    let tree = props.tree().unwrap();
    let a = tree.get("a").unwrap();
    assert_eq!(a.get("b").unwrap().leaf().unwrap().value, "1");
    assert_eq!(a.get("l").unwrap().get("1").unwrap().leaf().unwrap().value, "y");
    for bad in [
        "d,a=1,a.b=2",
        "d,a.b=2,a=1",
        "d,a.0=1,a.2=2",
        "d,a.0=1,a.x=2",
        "d,a..b=1",
    ] {
        assert!(Props::parse(&source(bad), DEVICE).unwrap().tree().is_err(), "{bad}");
    }
}

#[test]
fn later_lists_win_when_merged() {
    let a = Props::parse(&source("type=virt,x=1,y=2"), Grammar::strict("type")).unwrap();
    let b = Props::parse(&source("x=3"), Grammar::strict("type")).unwrap();
    assert_eq!(a.merged(b).to_list(), "type=virt,y=2,x=3");
}

proptest! {
    #[test]
    fn no_text_makes_a_list_panic(text in any::<String>()) {
        if let Ok(props) = Props::parse(&source(&text), DEVICE) {
            let _ = props.tree();
            for e in props.entries() {
                let _ = (e.key_at.word(), e.value_at.span_in_line());
            }
        }
    }

    #[test]
    fn no_json_like_text_panics(text in r#"['"{}\[\]:,a0-9.\\u truefalsn]{0,40}"#) {
        let _ = Props::parse(&source(&format!("{{{text}")), DEVICE);
    }

    #[test]
    fn no_size_panics(text in "[0-9.xXa-zA-Z+-]{0,30}") {
        let _ = (parse_size(&text, Unit::Byte), parse_u64(&text), parse_i64(&text));
    }

    #[test]
    fn values_survive_escaping(value in "[a-z,=]{0,12}") {
        let mut props = Props::empty("-device");
        props.push("driver", "d", &Location::implied("-device"));
        props.push("k", &value, &Location::implied("-device"));
        let again = Props::parse(&source(&props.to_list()), DEVICE).unwrap();
        prop_assert_eq!(again, props);
    }
}
