//! The PL022 through its registers, with a device on its bus that answers with the complement of what it heard before.

use southbridge_bus_ssi::{ALWAYS_SELECTED, SsiTarget};
use southbridge_core::Properties;
use southbridge_testing::{Bench, CLOCK_HZ, check_device};

use super::regs::*;
use super::*;

struct Echo(u32);

impl SsiTarget for Echo {
    fn transfer(&mut self, word: u32, _: &mut Ctx<'_>) -> u32 {
        !std::mem::replace(&mut self.0, word)
    }
}

impl Device for Echo {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &self.0)
    }
    fn load(&mut self, _: &SavedState) -> Result<(), LoadError> {
        Ok(())
    }
}

static ECHO: DeviceType = DeviceType {
    name: "test-echo",
    summary: "Answers with the complement of the word before",
    roles: &[role!(Echo as dyn SsiTarget)],
    create: |_, _| Ok(Box::new(Echo(0))),
    ..DeviceType::BASE
};

fn bench() -> Bench {
    let mut b = Bench::new(&TYPE, Properties::default());
    let echo = b.sys.add_device(&ECHO, None, Properties::default(), &[]).unwrap();
    let bus = b.sys.slot(b.device).unwrap().buses[0];
    b.sys.plug(bus, echo, ALWAYS_SELECTED);
    b
}

fn enabled() -> Bench {
    let mut b = bench();
    b.write32(CR0, 7);
    b.write32(CPSR, 2);
    b.write32(CR1, Control::SSE.bits());
    b
}

#[test]
fn generic() {
    check_device(bench);
}

#[test]
fn reset_values_and_identification() {
    let mut b = bench();
    for (offset, value) in [
        (CR0, 0),
        (CR1, 0),
        (DR, 0),
        (SR, 3),
        (CPSR, 0),
        (IMSC, 0),
        (RIS, 8),
        (MIS, 0),
        (DMACR, 0),
    ] {
        assert_eq!(b.read32(offset), value, "at {offset:#x}");
    }
    let id = std::array::from_fn::<_, 8, _>(|i| b.read32(PERIPH_ID0 + 4 * i as u64) as u8);
    assert_eq!(id, ID);
    for (offset, kept) in [(CR0, 0xffff), (CPSR, 0xfe), (IMSC, 0xf), (DMACR, 3), (CR1, 0xf)] {
        b.write32(offset, u32::MAX);
        assert_eq!(b.read32(offset), kept, "at {offset:#x}");
    }
}

#[test]
fn words_go_both_ways_in_the_frame_size() {
    let mut b = enabled();
    b.write32(DR, 0x1ab);
    b.write32(DR, 0x12);
    assert_eq!(b.read32(SR), (Status::TFE | Status::TNF | Status::RNE).bits());
    assert_eq!(
        (b.read32(DR), b.read32(DR)),
        (0xff, 0x54),
        "8 bits of the complement of 0 and 0xab"
    );
    b.write32(CR0, 15);
    b.write32(DR, 0xffff_1234);
    assert_eq!(b.read32(DR), 0xffed);
    assert_eq!((b.read32(DR), b.read32(SR)), (0, 3), "empty");
}

#[test]
fn a_full_receiver_holds_the_transmitter() {
    let mut b = enabled();
    b.write32(CR1, (Control::SSE | Control::LBM).bits());
    for word in 0..17 {
        b.write32(DR, word); // 8 received, 8 wait, one is lost
    }
    assert_eq!(b.read32(SR), (Status::RNE | Status::RFF | Status::BSY).bits());
    assert_eq!(b.read32(RIS), Interrupts::RX.bits());
    for word in 0..16 {
        assert_eq!(b.read32(DR), word);
    }
    assert_eq!(b.read32(SR), 3);
}

#[test]
fn disabled_or_slave_nothing_moves() {
    let mut b = bench();
    b.write32(CR0, 7);
    b.write32(DR, 1);
    assert_eq!(b.read32(SR) & Status::RNE.bits(), 0);
    b.write32(CR1, (Control::SSE | Control::MS).bits());
    assert_eq!(b.read32(SR) & Status::RNE.bits(), 0);
    b.write32(CR1, Control::SSE.bits());
    assert_eq!(b.read32(DR), 0xff);
}

#[test]
fn interrupts_follow_the_fifos() {
    let mut b = enabled();
    b.write32(IMSC, Interrupts::RX.bits());
    for n in 1..=4 {
        assert!(!b.line("irq", 0));
        b.write32(DR, n);
    }
    assert_eq!((b.line("irq", 0), b.read32(MIS)), (true, Interrupts::RX.bits()));
    b.write32(ICR, 0xf);
    assert!(b.line("irq", 0), "not cleared but read");
    b.read32(DR);
    assert!(!b.line("irq", 0));
    b.write32(IMSC, Interrupts::TX.bits());
    assert!(b.line("irq", 0), "the transmit FIFO is empty");
    b.write32(CR1, 0);
    for n in 0..5 {
        b.write32(DR, n);
    }
    assert!(!b.line("irq", 0), "more than half full");
}

#[test]
fn unread_data_times_out() {
    let bit_ns = 2 * 1_000_000_000 / CLOCK_HZ;
    let mut b = enabled();
    b.write32(IMSC, Interrupts::RT.bits());
    b.write32(DR, 1);
    b.advance_ns(20 * bit_ns);
    b.write32(DR, 2);
    b.advance_ns(31 * bit_ns);
    assert!(!b.line("irq", 0));
    b.advance_ns(bit_ns);
    assert!(b.line("irq", 0));
    b.write32(ICR, Interrupts::RT.bits());
    assert!(!b.line("irq", 0));
    b.read32(DR);
    b.advance_ns(32 * bit_ns);
    assert_eq!(b.read32(MIS), Interrupts::RT.bits());
    b.read32(DR);
    assert!(!b.line("irq", 0), "nothing left to read");
}
