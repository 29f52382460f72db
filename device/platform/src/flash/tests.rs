//! The flash as a driver of Intel's command set uses it, and as memory.

use std::io::Write;

use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use super::*;

const SECTOR: u64 = 0x1000;
const BLOCKS: u64 = 8;

/// Two chips of 16 bits side by side, as on `virt`.
fn properties() -> Properties {
    Properties::default()
        .with("num-blocks", PropValue::Uint(BLOCKS))
        .with("sector-length", PropValue::Uint(SECTOR))
}

fn bench() -> Bench {
    Bench::new(&TYPE, properties())
}

fn file(fill: u8) -> tempfile::NamedTempFile {
    let mut f = tempfile::NamedTempFile::new().unwrap();
    f.write_all(&vec![fill; (SECTOR * BLOCKS) as usize]).unwrap();
    f
}

fn on_file(f: &tempfile::NamedTempFile, readonly: bool) -> Bench {
    let path = f.path().to_str().unwrap().to_owned();
    let p = properties()
        .with("drive", PropValue::Str(path))
        .with("readonly", PropValue::Bool(readonly));
    Bench::new(&TYPE, p)
}

/// A command to both chips.
fn command(b: &mut Bench, offset: u64, command: u32) {
    b.write32(offset, command << 16 | command);
}

fn is_memory(b: &mut Bench) -> bool {
    b.sys.ram_window(0).is_some()
}

#[test]
fn generic() {
    check_device(bench);
    let narrow = || {
        let p = properties()
            .with("width", PropValue::Uint(1))
            .with("device-width", PropValue::Uint(1));
        Bench::new(&TYPE, p)
    };
    check_device(narrow);
}

#[test]
fn it_is_memory_until_commanded() {
    let f = file(0x5a);
    let mut b = on_file(&f, false);
    let window = b.sys.ram_window(0x100).expect("read without asking the device");
    assert!(window.readonly);
    assert_eq!((window.start, window.len), (0, SECTOR * BLOCKS));
    assert_eq!(b.read(0, 0x100, 8), 0x5a5a_5a5a_5a5a_5a5a);
    command(&mut b, 0, 0x70);
    assert!(!is_memory(&mut b));
    assert_eq!(b.read32(0), 0x0080_0080);
    command(&mut b, 0, 0xff);
    assert!(is_memory(&mut b));
    command(&mut b, 0, 0x70);
    b.sys.reset();
    assert!(is_memory(&mut b));
}

#[test]
fn the_query_table() {
    let mut b = Bench::new(&TYPE, Properties::default());
    command(&mut b, 0x55 * 4, 0x98);
    let word = |b: &mut Bench, i: u64| b.read32(i * 4);
    let text: Vec<_> = (0x10..0x13).map(|i| word(&mut b, i)).collect();
    assert_eq!(text, [0x0051_0051, 0x0052_0052, 0x0059_0059]);
    let low: Vec<_> = (0x27..0x31).map(|i| word(&mut b, i) as u8).collect();
    // 16 MiB a chip; x8/x16; 2 KiB of buffer; 128 blocks of 128 KiB.
    assert_eq!(low, [24, 2, 0, 11, 0, 1, 127, 0, 0, 2]);
    assert_eq!((word(&mut b, 0x51), word(&mut b, 0x52), word(&mut b, 0x60)), (0, 0, 0));
    assert_eq!(b.read16(0x40), 0x51);
    assert_eq!(b.read8(0x40), 0x51);
}

#[test]
fn identification() {
    let mut b = bench();
    command(&mut b, 0, 0x90);
    assert_eq!((b.read32(0), b.read32(4), b.read32(8)), (0x0089_0089, 0x0018_0018, 0));
}

#[test]
fn programming_and_erasing() {
    let f = file(0xff);
    let mut b = on_file(&f, false);
    command(&mut b, 0x20, 0x40);
    b.write32(0x20, 0x1234_5678);
    assert_eq!(b.read32(0x20), 0x0080_0080, "status until told otherwise");
    command(&mut b, 0, 0xff);
    assert_eq!((b.read32(0x20), b.read32(0x24)), (0x1234_5678, u32::MAX));
    command(&mut b, SECTOR + 4, 0x10);
    b.write16(SECTOR + 4, 0xabcd);
    command(&mut b, 0x30, 0x20);
    command(&mut b, 0x30, 0xd0);
    assert_eq!(b.read32(0), 0x0080_0080);
    command(&mut b, 0, 0xff);
    assert_eq!((b.read32(0x20), b.read32(SECTOR + 4)), (u32::MAX, 0xffff_abcd));
    let on_disk = std::fs::read(f.path()).unwrap();
    let at = (SECTOR + 4) as usize;
    assert_eq!(on_disk[at..at + 4], [0xcd, 0xab, 0xff, 0xff]);
    assert!(on_disk[..at].iter().all(|b| *b == 0xff));
}

#[test]
fn an_erase_that_is_not_confirmed() {
    let f = file(0x11);
    let mut b = on_file(&f, false);
    command(&mut b, 0, 0x20);
    command(&mut b, 0, 0xff);
    assert!(is_memory(&mut b));
    assert_eq!(b.read32(0), 0x1111_1111);
    command(&mut b, 0, 0x20);
    command(&mut b, 0, 0x77);
    assert_eq!(b.read32(0), 0x1111_1111);
}

#[test]
fn the_write_buffer() {
    let f = file(0xff);
    let mut b = on_file(&f, false);
    command(&mut b, 0x800, 0xe8);
    assert_eq!(b.read32(0x800), 0x0080_0080);
    command(&mut b, 0x800, 3);
    for i in 0..4 {
        b.write32(0x800 + 4 * i, 0x0101_0101 * i as u32);
    }
    command(&mut b, 0x800, 0xd0);
    assert_eq!(b.read32(0x800), 0x0080_0080);
    command(&mut b, 0, 0xff);
    let got: Vec<_> = (0..5).map(|i| b.read32(0x800 + 4 * i)).collect();
    assert_eq!(got, [0, 0x0101_0101, 0x0202_0202, 0x0303_0303, u32::MAX]);
    assert_eq!(std::fs::read(f.path()).unwrap()[0x804..0x80c], [1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn one_word_through_the_buffer() {
    let mut b = bench();
    command(&mut b, 0, 0xe8);
    command(&mut b, 0, 0);
    b.write32(0x10, 0xfeed_beef);
    command(&mut b, 0, 0xd0);
    command(&mut b, 0, 0xff);
    assert_eq!(b.read32(0x10), 0xfeed_beef);
}

#[test]
fn a_buffer_is_for_one_block() {
    let mut b = bench();
    command(&mut b, 0, 0xe8);
    command(&mut b, 0, 1);
    b.write32(0, 1);
    b.write32(0x1000, 2);
    assert_eq!(b.read32(0), 0x0090_0090);
    command(&mut b, 0, 0xd0);
    assert!(is_memory(&mut b));
    assert_eq!(b.read32(0), 0, "nothing was written");
    command(&mut b, 0, 0x70);
    assert_eq!(b.read32(0), 0x0090_0090);
    command(&mut b, 0, 0x50);
    command(&mut b, 0, 0x70);
    assert_eq!(b.read32(0), 0x0080_0080);
}

#[test]
fn locks_are_accepted() {
    let mut b = bench();
    for what in [0x01, 0xd0] {
        command(&mut b, 0, 0x60);
        command(&mut b, 0, what);
        assert_eq!(b.read32(0), 0x0080_0080);
    }
}

#[test]
fn a_read_only_flash_says_so() {
    let f = file(0x22);
    let mut b = on_file(&f, true);
    command(&mut b, 0, 0x40);
    b.write32(0, 0);
    assert_eq!(b.read32(0), 0x0090_0090);
    command(&mut b, 0, 0x20);
    command(&mut b, 0, 0xd0);
    assert_eq!(b.read32(0), 0x00b0_00b0);
    command(&mut b, 0, 0xe8);
    command(&mut b, 0, 0);
    b.write32(0, 0);
    command(&mut b, 0, 0xd0);
    command(&mut b, 0, 0xff);
    assert_eq!(b.read32(0), 0x2222_2222);
    assert!(std::fs::read(f.path()).unwrap().iter().all(|b| *b == 0x22));
}

#[test]
fn dma_reads_it_and_commands_it() {
    let f = file(0x33);
    let mut b = on_file(&f, false);
    let mut out = [0; 4];
    b.sys.read_bytes(0x10, &mut out).unwrap();
    assert_eq!(out, [0x33; 4]);
    b.sys.write_bytes(0, &[0x70]).unwrap();
    assert!(!is_memory(&mut b));
}

#[test]
fn drives_that_cannot_be() {
    let small = tempfile::NamedTempFile::new().unwrap();
    for path in [small.path().to_str().unwrap(), "/nonexistent/flash"] {
        let sys = southbridge_core::System::new(southbridge_core::ClockRate::Hz(1)).unwrap();
        let p = properties().with("drive", PropValue::Str(path.into()));
        let error = Bench::try_on(sys, &TYPE, p).err();
        assert!(
            matches!(error, Some(CreateError::BadValue { property: "drive", .. })),
            "{error:?}"
        );
    }
}

#[test]
fn a_loaded_command_goes_on() {
    let mut a = bench();
    command(&mut a, 0, 0xe8);
    command(&mut a, 0, 1);
    a.write32(0, 7);
    let saved = a.save();
    let mut b = bench();
    b.sys
        .with_device(b.device, |d, cx| {
            d.load(&saved)?;
            d.after_load(cx);
            Ok::<_, LoadError>(())
        })
        .unwrap()
        .unwrap();
    assert!(!is_memory(&mut b));
    b.write32(4, 8);
    command(&mut b, 0, 0xd0);
    command(&mut b, 0, 0xff);
    assert_eq!((b.read32(0), b.read32(4)), (7, 8));
}

#[test]
fn its_memory_is_the_boards_to_save() {
    let f = file(0x44);
    let mut b = on_file(&f, false);
    let block = b.sys.with_role::<dyn Flash, _>(b.device, |f, _| f.memory()).unwrap();
    assert!(block.write(0, &[1, 2, 3, 4]));
    assert_eq!(b.read32(0), 0x0403_0201);
    b.sys.with_device(b.device, |d, cx| d.after_load(cx));
    assert_eq!(
        std::fs::read(f.path()).unwrap()[..5],
        [1, 2, 3, 4, 0x44],
        "what was loaded goes back to the file"
    );
}

#[test]
fn changes_can_be_kept_from_the_file() {
    let f = file(0x5a);
    let path = f.path().to_str().unwrap().to_owned();
    let p = properties()
        .with("drive", PropValue::Str(path))
        .with("x-temporary", PropValue::Bool(true));
    let mut b = Bench::new(&TYPE, p);
    command(&mut b, 0, 0x40);
    b.write32(0, 0);
    command(&mut b, 0, 0xff);
    assert_eq!(b.read32(0), 0);
    drop(b);
    let kept = std::fs::read(f.path()).unwrap();
    assert!(kept.iter().all(|b| *b == 0x5a));
}
