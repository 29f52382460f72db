use super::TYPE;
use southbridge_bus_i2c::{I2cEvent, I2cTarget};
use southbridge_core::{
    BusKind, Ctx, Device, DeviceId, DeviceType, LoadError, Properties, ResetPhase, SavedState, role,
};
use southbridge_testing::{Bench, check_device};

const SET: u64 = 0;
const CLR: u64 = 4;
const SCL: u32 = 1;
const SDA: u32 = 2;

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

/// Answers reads with what counts up from 0x80, refuses to be sent 0xff, and writes everything down.
#[derive(Default)]
struct Target {
    log: Vec<String>,
    next: u8,
}

impl I2cTarget for Target {
    fn event(&mut self, event: I2cEvent, _: &mut Ctx<'_>) -> bool {
        self.log.push(format!("{event:?}"));
        true
    }
    fn receive(&mut self, _: &mut Ctx<'_>) -> u8 {
        self.next += 1;
        0x7f + self.next
    }
    fn send(&mut self, byte: u8, _: &mut Ctx<'_>) -> bool {
        self.log.push(format!("{byte:#04x}"));
        byte != 0xff
    }
}

impl Device for Target {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }
    fn load(&mut self, _: &SavedState) -> Result<(), LoadError> {
        Ok(())
    }
}

static TARGET: DeviceType = DeviceType {
    name: "test-target",
    summary: "Writes down what happens to it",
    bus: BusKind::I2c,
    roles: &[role!(Target as dyn I2cTarget)],
    create: |_, _| Ok(Box::new(Target::default())),
    ..DeviceType::BASE
};

fn with_targets(addresses: &[u32]) -> (Bench, Vec<DeviceId>) {
    let mut b = bench();
    let bus = b.sys.buses().next().expect("the controller offers a bus").0;
    let ids = addresses
        .iter()
        .map(|a| {
            let id = b
                .sys
                .add_device(&TARGET, None, Properties::default(), &[])
                .expect("a target");
            b.sys.plug(bus, id, *a);
            id
        })
        .collect();
    (b, ids)
}

fn log(b: &mut Bench, id: DeviceId) -> Vec<String> {
    let log = b.sys.with_device(id, |d, _| {
        (d as &mut dyn std::any::Any)
            .downcast_mut()
            .map(|t: &mut Target| std::mem::take(&mut t.log))
    });
    log.flatten().expect("a test target")
}

fn start(b: &mut Bench) {
    b.write32(SET, SDA);
    b.write32(SET, SCL);
    b.write32(CLR, SDA);
    b.write32(CLR, SCL);
}

fn stop(b: &mut Bench) {
    b.write32(CLR, SDA);
    b.write32(SET, SCL);
    b.write32(SET, SDA);
}

/// One clock pulse with SDA as told; what SDA is at its top.
fn bit(b: &mut Bench, level: bool) -> bool {
    b.write32(if level { SET } else { CLR }, SDA);
    b.write32(SET, SCL);
    let sda = b.read32(SET) & SDA != 0;
    b.write32(CLR, SCL);
    sda
}

/// Sends a byte; whether it is acknowledged.
fn send(b: &mut Bench, byte: u8) -> bool {
    for i in (0..8).rev() {
        bit(b, byte >> i & 1 != 0);
    }
    !bit(b, true)
}

fn receive(b: &mut Bench, more: bool) -> u8 {
    let byte = (0..8).fold(0, |byte, _| byte << 1 | u8::from(bit(b, true)));
    bit(b, !more);
    byte
}

#[test]
fn generic() {
    check_device(bench);
    check_device(|| with_targets(&[0x10, 0x50]).0);
}

#[test]
fn wires_read_back() {
    let mut b = bench();
    assert_eq!(b.read32(SET), 3);
    b.write32(CLR, SCL);
    assert_eq!(b.read32(SET), SDA);
    b.write32(CLR, SDA);
    assert_eq!(b.read32(SET), 0);
    b.write32(SET, SDA);
    assert_eq!(b.read32(SET), SDA);
}

#[test]
fn writes_to_a_target() {
    let (mut b, ids) = with_targets(&[0x50]);
    start(&mut b);
    assert!(send(&mut b, 0xa0));
    assert!(send(&mut b, 0x12));
    assert!(send(&mut b, 0x34));
    stop(&mut b);
    assert_eq!(log(&mut b, ids[0]), ["StartWrite", "0x12", "0x34", "Stop"]);
}

#[test]
fn reads_after_a_repeated_start() {
    let (mut b, ids) = with_targets(&[0x50]);
    start(&mut b);
    assert!(send(&mut b, 0xa0));
    assert!(send(&mut b, 0x07));
    start(&mut b);
    assert!(send(&mut b, 0xa1));
    assert_eq!(
        [receive(&mut b, true), receive(&mut b, true), receive(&mut b, false)],
        [0x80, 0x81, 0x82]
    );
    stop(&mut b);
    assert_eq!(log(&mut b, ids[0]), ["StartWrite", "0x07", "StartRead", "Nack", "Stop"]);
}

#[test]
fn nobody_and_refusal_are_not_acknowledged() {
    let (mut b, ids) = with_targets(&[0x50]);
    start(&mut b);
    assert!(!send(&mut b, 0x22));
    assert!(!send(&mut b, 0x00), "nobody listens to what follows");
    stop(&mut b);
    assert_eq!(log(&mut b, ids[0]), [] as [&str; 0]);
    start(&mut b);
    assert!(send(&mut b, 0xa0));
    assert!(!send(&mut b, 0xff));
    stop(&mut b);
    assert_eq!(log(&mut b, ids[0]), ["StartWrite", "0xff", "Stop"]);
}

#[test]
fn a_repeated_start_with_another_target_ends_the_first_transfer() {
    let (mut b, ids) = with_targets(&[0x50, 0x51]);
    start(&mut b);
    assert!(send(&mut b, 0xa0));
    start(&mut b);
    assert!(send(&mut b, 0xa2));
    stop(&mut b);
    assert_eq!(log(&mut b, ids[0]), ["StartWrite", "Stop"]);
    assert_eq!(log(&mut b, ids[1]), ["StartWrite", "Stop"]);
}
