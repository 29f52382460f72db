//! The PL061 through its registers and pins.

use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use super::regs::*;
use super::*;

const DATA: u64 = DATA_LAST;

fn arm() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

fn luminary() -> Bench {
    Bench::new(&TYPE_LUMINARY, Properties::default())
}

fn out(b: &Bench) -> u8 {
    (0..8).fold(0, |byte, pin| byte | u8::from(b.line("out", pin)) << pin)
}

#[test]
fn generic() {
    check_device(arm);
    check_device(luminary);
}

#[test]
fn reset_values() {
    let mut b = luminary();
    let expected = [
        (DATA, 0),
        (DIR, 0),
        (IS, 0),
        (IBE, 0),
        (IEV, 0),
        (IE, 0),
        (RIS, 0),
        (MIS, 0),
        (AFSEL, 0),
        (DR2R, 0xff),
        (DR4R, 0),
        (DR8R, 0),
        (ODR, 0),
        (PUR, 0),
        (PDR, 0),
        (SLR, 0),
        (DEN, 0),
        (LOCK, 1),
        (CR, 0xff),
        (AMSEL, 0),
    ];
    for (offset, value) in expected {
        assert_eq!(b.read32(offset), value, "at {offset:#x}");
    }
    assert_eq!((out(&b), b.line("irq", 0)), (0, false));
    assert_eq!(out(&arm()), 0xff, "pulled up by default");
}

#[test]
fn identification() {
    let read = |mut b: Bench| std::array::from_fn::<_, 12, _>(|i| b.read32(PERIPH_ID4 + 4 * i as u64) as u8);
    assert_eq!(read(arm()), ID_ARM);
    assert_eq!(read(luminary()), ID_LUMINARY);
}

#[test]
fn the_address_selects_pins() {
    let mut b = luminary();
    b.write32(DIR, 0x0f);
    b.write32(DATA, 0xff);
    assert_eq!((b.read32(DATA), out(&b)), (0x0f, 0x0f), "inputs cannot be written");
    b.write32(0b0101 << 2, 0);
    assert_eq!((b.read32(DATA), out(&b)), (0b1010, 0b1010));
    assert_eq!(b.read32(0b0010 << 2), 0b0010);
    b.write8(DATA, 0x01);
    assert_eq!(out(&b), 1);
    b.write8(DATA + 1, 0xff);
    assert_eq!(out(&b), 1, "the register has one byte");
}

#[test]
fn inputs_read_as_driven() {
    let mut b = arm();
    b.set_input("in", 3, true);
    assert_eq!(b.read32(DATA), 8);
    b.write32(DIR, 0xff);
    b.set_input("in", 3, false);
    assert_eq!(b.read32(DATA), 8, "an output does not look");
    b.set_input("in", 0, true);
    b.sys.reset();
    assert_eq!(b.read32(DATA), 1, "the board drives on while we are reset");
}

#[test]
fn edges() {
    let mut b = arm();
    b.write32(IE, 0b111);
    b.write32(IBE, 0b100);
    b.write32(IEV, 0b001); // 0 rising, 1 falling, 2 both
    for pin in 0..3 {
        b.set_input("in", pin, true);
    }
    assert_eq!((b.read32(RIS), b.line("irq", 0)), (0b101, true));
    b.write32(IC, 0xff);
    assert_eq!((b.read32(MIS), b.line("irq", 0)), (0, false));
    for pin in 0..3 {
        b.set_input("in", pin, false);
    }
    assert_eq!(b.read32(MIS), 0b110);
    b.write32(IE, 0);
    assert_eq!((b.read32(RIS), b.read32(MIS), b.line("irq", 0)), (0b110, 0, false));
}

#[test]
fn levels() {
    let mut b = arm();
    b.write32(IEV, 1);
    b.write32(IS, 1);
    b.write32(IE, 1);
    assert!(!b.line("irq", 0));
    b.set_input("in", 0, true);
    b.write32(IC, 1);
    assert!(b.line("irq", 0), "the level is still there");
    b.set_input("in", 0, false);
    b.write32(IC, 1);
    assert!(!b.line("irq", 0));
    b.write32(IEV, 0);
    assert!(b.line("irq", 0), "low level");
}

#[test]
fn commit_guards_alternate_functions() {
    let mut b = luminary();
    b.write32(CR, 0);
    assert_eq!(b.read32(CR), 0xff, "locked");
    b.write32(LOCK, UNLOCK);
    assert_eq!(b.read32(LOCK), 0);
    b.write32(CR, 0x0f);
    b.write32(LOCK, 0);
    assert_eq!((b.read32(LOCK), b.read32(CR)), (1, 0x0f));
    b.write32(AFSEL, 0xff);
    assert_eq!(b.read32(AFSEL), 0x0f);
}

#[test]
fn pulls_by_register() {
    let mut b = luminary();
    b.write32(PUR, 0x03);
    assert_eq!(out(&b), 3);
    b.write32(PUR, 0x01);
    assert_eq!(out(&b), 3, "floating keeps its level");
    b.write32(PDR, 0x02);
    assert_eq!(out(&b), 1);
    b.write32(DIR, 1);
    assert_eq!(out(&b), 0, "an output is not pulled");
}

#[test]
fn pulls_by_property() {
    let with = |up, down| {
        Properties::default()
            .with("pullups", PropValue::Uint(up))
            .with("pulldowns", PropValue::Uint(down))
    };
    assert_eq!(out(&Bench::new(&TYPE, with(0x0f, 0xf0))), 0x0f);
    let mut sys = southbridge_core::System::new(southbridge_core::ClockRate::Hz(1)).unwrap();
    for bad in [with(3, 1), with(0x100, 0), with(0, 0x100)] {
        assert!(sys.add_device(&TYPE, None, bad, &[]).is_err());
    }
}

#[test]
fn pulls_by_register_are_stronger_than_the_boards() {
    let mut b = Bench::new(
        &TYPE_LUMINARY,
        Properties::default().with("pullups", PropValue::Uint(3)),
    );
    assert_eq!(out(&b), 3);
    b.write32(PDR, 0x02);
    assert_eq!(out(&b), 1);
}

#[test]
fn arms_part_has_no_pad_registers() {
    let mut b = arm();
    b.write32(DR8R, 0xff);
    assert_eq!((b.read32(DR8R), b.read32(DR2R), b.read32(LOCK)), (0, 0, 0));
}
