//! The whole way to a card (PL022, adapter, card) byte by byte against an installed `qemu-system-arm`, and once without it.
//!
//! The two differ on purpose in: CMD58's first byte (QEMU always says idle), CMD0 after initialisation, CMD9, CMD10 and
//! CMD13 (QEMU 10.0 refuses them in SPI mode), the order of bytes in ACMD22, what CMD6
//! says of functions that it was not asked for, and a command that follows a response without a pause.

use southbridge_bus_ssi::ALWAYS_SELECTED;
use southbridge_core::Properties;
use southbridge_device_primecell::pl022;
use southbridge_device_ssi::sd_card::{self, MemoryMedium, SdCard};
use southbridge_device_ssi::ssi_sd;
use southbridge_testing::{Bench, Noise, skip};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const CR0: u64 = 0x00;
const CR1: u64 = 0x04;
const DR: u64 = 0x08;

fn contents() -> Vec<u8> {
    Noise::new(5).bytes(1 << 20)
}

/// Something with a PL022 that a card hangs on.
trait Port {
    fn write(&mut self, offset: u64, value: u32);
    fn read(&mut self, offset: u64) -> u32;

    fn enable(&mut self) {
        self.write(CR0, 7);
        self.write(CR1, 2);
    }

    fn byte(&mut self, byte: u8) -> u8 {
        self.write(DR, byte.into());
        self.read(DR) as u8
    }
}

impl Port for Bench {
    fn write(&mut self, offset: u64, value: u32) {
        self.write32(offset, value);
    }
    fn read(&mut self, offset: u64) -> u32 {
        self.read32(offset)
    }
}

fn ours() -> Bench {
    let mut b = Bench::new(&pl022::TYPE, Properties::default());
    let slot = b
        .sys
        .add_device(&ssi_sd::TYPE, None, Properties::default(), &[])
        .unwrap();
    let card = b
        .sys
        .add_device(&sd_card::TYPE_SPI, None, Properties::default(), &[])
        .unwrap();
    let ssi = b.sys.slot(b.device).unwrap().buses[0];
    let sd = b.sys.slot(slot).unwrap().buses[0];
    b.sys.plug(ssi, slot, ALWAYS_SELECTED);
    b.sys.plug(sd, card, 0);
    b.sys.with_device(card, |d, _| {
        let card: &mut SdCard = (d as &mut dyn std::any::Any).downcast_mut().unwrap();
        card.insert(Some(Box::new(MemoryMedium {
            bytes: contents(),
            read_only: false,
        })));
    });
    b.enable();
    b
}

struct Qemu {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Qemu {
    fn start(image: &std::path::Path) -> Option<Self> {
        let drive = format!("if=sd,format=raw,file={}", image.display());
        let mut child = Command::new("qemu-system-arm")
            .args(["-M", "lm3s6965evb", "-S", "-qtest", "stdio", "-display", "none"])
            .args(["-serial", "null", "-monitor", "none", "-nodefaults", "-drive", &drive])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (input, output) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut q = Self { child, input, output };
        // PD0 low: the card is selected. QEMU's line only follows a change of the pin.
        q.ask(format_args!("writel 0x40007400 1"));
        q.ask(format_args!("writel 0x40007004 1"));
        q.ask(format_args!("writel 0x40007004 0"));
        q.enable();
        Some(q)
    }

    fn ask(&mut self, line: std::fmt::Arguments<'_>) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer
            .trim()
            .strip_prefix("OK")
            .expect("QEMU takes the command")
            .trim()
            .to_owned()
    }
}

impl Port for Qemu {
    fn write(&mut self, offset: u64, value: u32) {
        self.ask(format_args!("writel {:#x} {value:#x}", 0x4000_8000 + offset));
    }
    fn read(&mut self, offset: u64) -> u32 {
        let answer = self.ask(format_args!("readl {:#x}", 0x4000_8000 + offset));
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).unwrap() as u32
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Here QEMU says "illegal" of the command before.
const NOT_COMPARED: &str = "the command after an illegal one";

/// What a driver sends: pieces with a name.
fn conversation() -> Vec<(&'static str, Vec<u8>)> {
    fn frame(index: u8, argument: u32, clocks: usize) -> Vec<u8> {
        let [a, b, c, d] = argument.to_be_bytes();
        let crc = match index {
            0 => 0x95,
            8 => 0x87,
            _ => 0xff,
        };
        [vec![0x40 | index, a, b, c, d, crc], vec![0xff; clocks]].concat()
    }
    fn block(token: u8, fill: u8) -> Vec<u8> {
        [vec![0xff, token], vec![fill; 512], vec![0xff; 6]].concat()
    }
    vec![
        ("clocks", vec![0xff; 10]),
        ("CMD0", frame(0, 0, 6)),
        ("CMD8", frame(8, 0x1aa, 10)),
        ("CMD55", frame(55, 0, 6)),
        ("ACMD41", frame(41, 1 << 30, 6)),
        ("CMD55", frame(55, 0, 6)),
        ("ACMD41 again", frame(41, 1 << 30, 6)),
        ("CMD16", frame(16, 512, 6)),
        ("CMD17", frame(17, 1024, 530)),
        ("CMD2, which SPI does not have", frame(2, 0, 6)),
        (NOT_COMPARED, frame(16, 512, 6)),
        ("CMD17 beyond the end", frame(17, 1 << 20, 6)),
        ("CMD24", frame(24, 2048, 6)),
        ("its block", block(0xfe, 0x5a)),
        ("CMD17 of it", frame(17, 2048, 530)),
        ("CMD55", frame(55, 0, 6)),
        ("ACMD51", frame(51, 0, 24)),
        ("CMD55", frame(55, 0, 6)),
        ("ACMD13", frame(13, 0, 80)),
        // Two whole blocks: QEMU cuts the next block short when CMD12 comes in the middle of one.
        ("CMD18", frame(18, 0, 1034)),
        ("CMD12", frame(12, 0, 8)),
        ("CMD25", frame(25, 4096, 6)),
        ("first block", block(0xfc, 1)),
        ("second block", block(0xfc, 2)),
        ("stop", vec![0xfd, 0xff, 0xff, 0xff]),
        ("CMD17 of the second", frame(17, 4608, 530)),
        ("CMD32", frame(32, 4096, 6)),
        ("CMD33", frame(33, 4096, 6)),
        ("CMD38", frame(38, 0, 10)),
        ("CMD17 of the erased", frame(17, 4096, 530)),
        ("CMD59", frame(59, 0, 6)),
    ]
}

#[test]
fn a_card_answers_as_in_qemu() {
    let image = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(image.path(), contents()).unwrap();
    let Some(mut theirs) = Qemu::start(image.path()) else {
        return skip("a_card_answers_as_in_qemu", "no qemu-system-arm is installed");
    };
    let mut ours = ours();
    for (name, bytes) in conversation() {
        let say = |p: &mut dyn Port| -> Vec<u8> { bytes.iter().map(|b| p.byte(*b)).collect() };
        let (ours, theirs) = (say(&mut ours), say(&mut theirs));
        // QEMU echoes the data of a block; a card leaves the wire at rest.
        let from = if name.ends_with("block") { bytes.len() - 6 } else { 0 };
        let (ours, theirs) = (&ours[from..], &theirs[from..]);
        let differ = ours.iter().zip(theirs).position(|(a, b)| a != b);
        if let Some(at) = differ.filter(|_| name != NOT_COMPARED) {
            let around = at.saturating_sub(8)..(at + 16).min(ours.len());
            panic!(
                "{name}, byte {at}: ours {:x?}, QEMU's {:x?}",
                &ours[around.clone()],
                &theirs[around]
            );
        }
    }
}

#[test]
fn a_block_through_all_parts() {
    let mut b = ours();
    let mut last = Vec::new();
    for (_, bytes) in conversation().into_iter().take(9) {
        last = bytes.into_iter().map(|byte| b.byte(byte)).collect();
    }
    let start = last.iter().position(|byte| *byte == 0xfe).expect("a token") + 1;
    assert_eq!(last[start..start + 512], contents()[1024..1536]);
}
