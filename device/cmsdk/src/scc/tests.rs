use super::TYPE;
use southbridge_core::{ClockRate, CreateError, PropValue, Properties, System};
use southbridge_testing::{Bench, check_device};

const START: u32 = 1 << 31;
const WRITE: u32 = 1 << 30;

fn properties(id: u64) -> Properties {
    Properties::default()
        .with("scc-cfg4", PropValue::Uint(2))
        .with("scc-aid", PropValue::Uint(0x0020_0008))
        .with("scc-id", PropValue::Uint(id))
        .with("oscclk", PropValue::Str("50000000,24576000,25000000".into()))
}

fn bench() -> Bench {
    Bench::new(&TYPE, properties(0x4104_3850))
}

#[test]
fn generic() {
    check_device(bench);
    check_device(|| Bench::new(&TYPE, Properties::default()));
}

#[test]
fn reset_values_of_an385() {
    let mut b = bench();
    let read = [0x0, 0x4, 0xc, 0x10, 0xa0, 0xa4, 0xa8, 0xac, 0x100, 0xff8, 0xffc].map(|o| b.read32(o));
    assert_eq!(
        read,
        [0, 0, 0, 2, 0, 0, 0x10_0000, 0, 0xffff_0001, 0x0020_0008, 0x4104_3850]
    );
}

#[test]
fn oscillators_are_read_and_written_through_the_command_channel() {
    let mut b = bench();
    let mut command = |word: u32| {
        b.write32(0xa8, word);
        (b.read32(0xa8), b.read32(0xac), b.read32(0xa0))
    };
    let clock = |n: u32| 1 << 20 | n;
    assert_eq!(command(START | clock(1)), (clock(1), 1, 24_576_000));
    assert_eq!(command(START | clock(2)), (clock(2), 1, 25_000_000));
    assert_eq!(
        command(START | clock(3)),
        (clock(3), 3, 25_000_000),
        "no such oscillator"
    );
    assert_eq!(command(START | 2 << 20), (2 << 20, 3, 25_000_000), "no such function");
    assert_eq!(command(clock(0)), (clock(0), 0, 25_000_000), "not started");
    b.write32(0xa4, 12_345);
    b.write32(0xa8, START | WRITE | clock(1));
    assert_eq!(b.read32(0xac), 1);
    b.write32(0xa8, START | clock(1));
    assert_eq!(b.read32(0xa0), 12_345);
    b.sys.reset();
    b.write32(0xa8, START | clock(1));
    assert_eq!(b.read32(0xa0), 24_576_000);
}

#[test]
fn leds_remap_and_switches_are_lines() {
    let mut b = bench();
    b.write32(0x0, 1);
    b.write32(0x4, 0x81);
    assert!(b.line("remap", 0));
    assert_eq!(
        [b.line("led", 0), b.line("led", 1), b.line("led", 7)],
        [true, false, true]
    );
    b.set_input("switch", 3, true);
    assert_eq!(b.read32(0xc), 8);
    b.sys.reset();
    assert_eq!((b.read32(0xc), b.line("led", 0), b.line("remap", 0)), (8, false, false));
}

#[test]
fn dll_mask_is_all_that_can_be_written_there() {
    let mut b = bench();
    b.write32(0x100, 0x1234_5678);
    assert_eq!(b.read32(0x100), 0x12ff_0001);
}

#[test]
fn registers_depend_on_the_fpga_image() {
    let mut b = bench();
    b.write32(0x8, 5);
    assert_eq!(b.read32(0x8), 0);
    let mut b = Bench::new(&TYPE, properties(0x4104_5240));
    b.write32(0x8, 5);
    b.set_input("switch", 0, true);
    assert_eq!((b.read32(0x8), b.read32(0xc)), (5, 0));
}

#[test]
fn a_bad_list_of_oscillators_is_refused() {
    let mut sys = System::new(ClockRate::Hz(1)).expect("a system");
    let bad = Properties::default().with("oscclk", PropValue::Str("1,x".into()));
    let e = sys.add_device(&TYPE, None, bad, &[]);
    assert!(
        matches!(e, Err(CreateError::BadValue { property: "oscclk", .. })),
        "{e:?}"
    );
}
