use super::*;
use proptest::prelude::*;

#[test]
fn requests() {
    assert_eq!(
        parse("readl 0x400fe000"),
        Ok(Request::Read {
            address: 0x400f_e000,
            width: 4
        })
    );
    assert_eq!(
        parse("writeq 010 -1"),
        Ok(Request::Write {
            address: 8,
            width: 8,
            value: u64::MAX
        })
    );
    assert_eq!(
        parse("write 0 3 0x0102"),
        Ok(Request::WriteBytes {
            address: 0,
            data: vec![1, 2, 0]
        })
    );
    assert_eq!(
        parse("b64write 0 2 AQI="),
        Ok(Request::WriteBytes {
            address: 0,
            data: vec![1, 2]
        })
    );
    assert_eq!(
        parse("memset 16 0 0xff"),
        Ok(Request::Fill {
            address: 16,
            len: 0,
            value: 0xff
        })
    );
    assert_eq!(parse("clock_step"), Ok(Request::ClockStep(None)));
    assert_eq!(parse("clock_step 1000"), Ok(Request::ClockStep(Some(1000))));
    let intercept = Request::Intercept {
        path: "/machine/x".into(),
        outputs: true,
        name: Some("sysbus-irq".into()),
    };
    assert_eq!(parse("irq_intercept_out /machine/x sysbus-irq"), Ok(intercept));
}

#[test]
fn refusals() {
    for (line, answer) in [
        ("frobnicate", "FAIL Unknown command 'frobnicate'"),
        ("", "FAIL Unknown command ''"),
        ("readl", "FAIL 'readl' needs 1 arguments or more"),
        ("readl x", "FAIL 'x' is not a number"),
        ("read 0 0", "FAIL read of no bytes"),
        ("write 0 1 0x", "ERR invalid argument size"),
        (
            "irq_intercept_in a b",
            "FAIL Interception of named in-GPIOs not yet supported",
        ),
        ("outb 0x10000 1", "FAIL 65536 is more than 65535"),
    ] {
        assert_eq!(parse(line), Err(Refusal(answer.into())), "{line}");
    }
    assert!(parse(&format!("read 0 {}", u64::MAX)).is_err());
}

#[test]
fn answers_have_the_widths_of_qemu() {
    assert_eq!(answer::memory(0x10), "OK 0x0000000000000010");
    assert_eq!(answer::port(0x10), "OK 0x0010");
    assert_eq!(answer::port(0xffff_ffff), "OK 0xffffffff");
    assert_eq!(answer::bytes(&[1, 0xab]), "OK 0x01ab");
    assert_eq!(answer::irq(3, true), "IRQ raise 3");
}

#[test]
fn lines_of_any_chunking_and_length() {
    let mut lines = Lines::default();
    assert_eq!(lines.feed(b"read"), Vec::<String>::new());
    assert_eq!(lines.feed(b"l 1\nreadl 2\nre"), ["readl 1", "readl 2"]);
    let long = vec![b'x'; MAX_LINE];
    assert!(lines.feed(&long).is_empty());
    assert_eq!(
        lines.feed(b"\nreadl 3\n"),
        ["", "readl 3"],
        "the line that was too long is dropped whole"
    );
}

proptest! {
    #[test]
    fn base64_round_trip(data in proptest::collection::vec(any::<u8>(), 0..50)) {
        prop_assert_eq!(unbase64(&base64(&data)), Some(data.clone()));
        prop_assert_eq!(unhex(&hex(&data)), Some(data));
    }

    #[test]
    fn no_line_panics(line in ".{0,60}", word in "(read|write|b64write|memset|clock_step|set_irq_in)[bwlq]?", rest in "[ 0-9a-fx=-]{0,40}") {
        let _ = parse(&line);
        let _ = parse(&format!("{word} {rest}"));
    }
}
