//! The qtest protocol over a socket, as test programs written for QEMU speak it: they listen, the program connects.

mod common;
use common::{Guard, program};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

struct Client {
    _machine: Guard,
    reader: BufReader<UnixStream>,
}

impl Client {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qtest");
        let listener = UnixListener::bind(&path).unwrap();
        let device = format!("unix:{}", path.display());
        let machine = program()
            .args(args)
            .args(["-qtest", &device, "-qtest-log", "/dev/null", "-display", "none"])
            .spawn()
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        Self {
            _machine: Guard(machine),
            reader: BufReader::new(stream),
        }
    }

    fn ask(&mut self, request: &str) -> Vec<String> {
        writeln!(self.reader.get_ref(), "{request}").unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(
                self.reader.read_line(&mut line).unwrap() > 0,
                "the machine hung up after {request}"
            );
            let line = line.trim_end().to_owned();
            let event = line.starts_with("IRQ ");
            lines.push(line);
            if !event {
                return lines;
            }
        }
    }
}

#[test]
fn a_test_program_drives_a_uart_interrupt() {
    let mut c = Client::start(&["-M", "lm3s6965evb", "-accel", "qtest"]);
    assert_eq!(c.ask("irq_intercept_in /machine/soc/v7m/nvic"), ["OK"]);
    assert_eq!(c.ask("writel 0x4000c038 0x20"), ["OK"]);
    assert_eq!(c.ask("writel 0x4000c030 0x301"), ["OK"]);
    assert_eq!(
        c.ask("writel 0x4000c000 0x41"),
        ["IRQ raise 5", "OK"],
        "the event comes before the answer"
    );
    assert_eq!(c.ask("writel 0x4000c044 0x20"), ["IRQ lower 5", "OK"]);
}

#[test]
fn a_line_of_megabytes_and_hundreds_of_requests_at_once() {
    let mut c = Client::start(&["-machine", "mps2-an385,accel=qtest"]);
    let size = 2 << 20;
    let data: String = (0..size).map(|i| format!("{:02x}", i % 251)).collect();
    assert_eq!(c.ask(&format!("write 0x21000000 {size} 0x{data}")), ["OK"]);
    assert_eq!(c.ask(&format!("read 0x21000000 {size}")), [format!("OK 0x{data}")]);
    let many = "readb 0x21000001\n".repeat(500);
    c.reader.get_ref().write_all(many.as_bytes()).unwrap();
    for _ in 0..500 {
        let mut line = String::new();
        c.reader.read_line(&mut line).unwrap();
        assert_eq!(line, "OK 0x0000000000000001\n");
    }
}

#[test]
fn the_machine_ends_when_told_and_survives_a_client_that_vanishes() {
    let c = Client::start(&["-M", "mps2-an385", "-accel", "qtest"]);
    let Client {
        _machine: mut machine,
        reader,
    } = c;
    drop(reader);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(machine.0.try_wait().unwrap().is_none(), "it still runs");
    assert!(machine.terminate().success());
}
