use super::TYPE;
use super::regs::*;
use southbridge_bus_i2c::{I2cEvent, I2cTarget};
use southbridge_core::{Ctx, Device, DeviceId, DeviceType, LoadError, Properties, ResetPhase, SavedState, role};
use southbridge_testing::{Bench, check_device};

/// Writes down what it sees; its bytes count up; it acknowledges all but 0xee.
#[derive(Default)]
struct Target {
    seen: Vec<Seen>,
    next: u8,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Event(I2cEvent),
    Byte(u8),
}
use I2cEvent::{Nack, StartRead, StartWrite, Stop};
use Seen::{Byte, Event};

impl Device for Target {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::default()
    }
    fn load(&mut self, _: &SavedState) -> Result<(), LoadError> {
        Ok(())
    }
}

impl I2cTarget for Target {
    fn event(&mut self, event: I2cEvent, _: &mut Ctx<'_>) -> bool {
        self.seen.push(Event(event));
        true
    }
    fn receive(&mut self, _: &mut Ctx<'_>) -> u8 {
        self.next += 1;
        self.next
    }
    fn send(&mut self, byte: u8, _: &mut Ctx<'_>) -> bool {
        self.seen.push(Byte(byte));
        byte != 0xee
    }
}

static TARGET: DeviceType = DeviceType {
    name: "test-i2c-target",
    summary: "Writes down what it sees",
    roles: &[role!(Target as dyn I2cTarget)],
    create: |_, _| Ok(Box::new(Target::default())),
    ..DeviceType::BASE
};

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

/// With the master enabled and a target at 0x3d.
fn with_target() -> (Bench, DeviceId) {
    let mut b = bench();
    let target = b
        .sys
        .add_device(&TARGET, None, Properties::default(), &[])
        .expect("a target is always created");
    let bus = b.sys.buses().next().map(|b| b.0).expect("the device offers a bus");
    b.sys.plug(bus, target, 0x3d);
    b.write32(MCR, MCR_MFE);
    b.write32(MIMR, 1);
    (b, target)
}

fn seen(b: &mut Bench, target: DeviceId) -> Vec<Seen> {
    let seen = b.sys.with_device(target, |d, _| {
        (d as &mut dyn std::any::Any)
            .downcast_mut::<Target>()
            .map(|t| std::mem::take(&mut t.seen))
    });
    seen.flatten().expect("it is a target")
}

#[test]
fn general() {
    check_device(bench);
}

#[test]
fn general_with_a_target_on_the_bus() {
    southbridge_testing::fuzz_device(&|| with_target().0, 50, 400);
}

#[test]
fn reset_values() {
    let mut b = bench();
    assert_eq!((b.read32(MCS), b.read32(MTPR), b.read32(MCR)), (MCS_IDLE, 1, 0));
}

#[test]
fn a_burst_write() {
    let (mut b, target) = with_target();
    b.write32(MSA, 0x3d << 1);
    b.write32(MDR, 0x10);
    b.write32(MCS, MCS_RUN | MCS_START);
    assert!(b.line("irq", 0));
    assert_eq!(b.read32(MCS), MCS_BUSBSY);
    b.write32(MICR, 1);
    assert!(!b.line("irq", 0));
    b.write32(MDR, 0x11);
    b.write32(MCS, MCS_RUN | MCS_STOP);
    assert!(b.line("irq", 0));
    assert_eq!(b.read32(MCS), MCS_IDLE);
    assert_eq!(
        seen(&mut b, target),
        [Event(StartWrite), Byte(0x10), Byte(0x11), Event(Stop)]
    );
}

#[test]
fn a_register_is_read_with_a_repeated_start() {
    let (mut b, target) = with_target();
    b.write32(MSA, 0x3d << 1);
    b.write32(MDR, 0x20);
    b.write32(MCS, MCS_RUN | MCS_START);
    b.write32(MSA, 0x3d << 1 | MSA_READ);
    b.write32(MCS, MCS_RUN | MCS_START | MCS_ACK);
    assert_eq!(b.read32(MDR), 1);
    b.write32(MCS, MCS_RUN | MCS_STOP);
    assert_eq!(b.read32(MDR), 2);
    assert_eq!(
        seen(&mut b, target),
        [
            Event(StartWrite),
            Byte(0x20),
            Event(StartRead),
            Event(Nack),
            Event(Stop)
        ]
    );
}

#[test]
fn nobody_at_the_address() {
    let (mut b, target) = with_target();
    b.write32(MSA, 0x50 << 1);
    b.write32(MCS, MCS_RUN | MCS_START);
    assert_eq!(b.read32(MCS), MCS_ERROR | MCS_ADRACK | MCS_BUSBSY);
    assert!(b.line("irq", 0));
    b.write32(MCS, MCS_STOP);
    assert_eq!(b.read32(MCS), MCS_IDLE);
    assert!(seen(&mut b, target).is_empty());
}

#[test]
fn a_byte_that_is_not_acknowledged() {
    let (mut b, _) = with_target();
    b.write32(MSA, 0x3d << 1);
    b.write32(MDR, 0xee);
    b.write32(MCS, MCS_RUN | MCS_START | MCS_STOP);
    assert_eq!(b.read32(MCS), MCS_ERROR | MCS_DATACK | MCS_IDLE);
}

#[test]
fn a_byte_without_a_start_is_an_error() {
    let (mut b, target) = with_target();
    b.write32(MCS, MCS_RUN);
    assert_eq!(b.read32(MCS), MCS_ERROR | MCS_IDLE);
    assert!(seen(&mut b, target).is_empty());
}

#[test]
fn a_disabled_master_does_nothing_and_lets_the_bus_go() {
    let (mut b, target) = with_target();
    b.write32(MSA, 0x3d << 1);
    b.write32(MCS, MCS_RUN | MCS_START);
    b.write32(MCR, 0);
    b.write32(MCS, MCS_RUN | MCS_START);
    assert_eq!(seen(&mut b, target), [Event(StartWrite), Byte(0), Event(Stop)]);
    assert_eq!(b.read32(MCS), MCS_IDLE);
}

#[test]
fn slave_registers_hold_what_they_are_given() {
    let mut b = bench();
    b.write32(SOAR, 0xff);
    b.write32(SDR, 0x1ff);
    b.write32(SIMR, 3);
    assert_eq!((b.read32(SOAR), b.read32(SDR), b.read32(SIMR)), (0x7f, 0xff, 1));
    assert_eq!((b.read32(SCSR), b.read32(SRIS)), (0, 0));
}
