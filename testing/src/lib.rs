//! What device tests share.
//!
//! A [`Bench`] is a machine with one device on it and no CPU: tests play the guest through its registers, its lines and virtual time,
//! never through its fields. [`check_device`] runs what every device must pass: reset gives the state of creation, a saved state loads
//! into a fresh device and saves the same again, damaged states are refused without harm, and no sequence of accesses panics.

use southbridge_core::line::Sink;
use southbridge_core::system::ClockNode;
use southbridge_core::{
    ClockRate, CreateError, Device, DeviceId, DeviceType, LineDirection, Properties, RegionKind, SavedState, System,
    VirtualTime,
};
use std::io::Write;

mod damage;
pub mod private;

pub use damage::damage;

/// A machine with one device.
pub struct Bench {
    /// The machine's inside, for what the helpers below do not cover.
    pub sys: System,
    /// The device.
    pub device: DeviceId,
    device_type: &'static DeviceType,
    clocks: Vec<ClockNode>,
}

/// Frequency of every input clock of a device on the bench, in Hz.
pub const CLOCK_HZ: u64 = 1_000_000;

/// Distance of the regions of a device on the bench; region `n` stands at `n * REGION_STRIDE`.
pub const REGION_STRIDE: u64 = 1 << 32;

impl Bench {
    /// The device with these properties, all clocks at [`CLOCK_HZ`], reset. Panics if it cannot be created: tests expect it can.
    pub fn new(device_type: &'static DeviceType, properties: Properties) -> Self {
        let sys = System::new(ClockRate::Hz(1_000_000_000)).expect("the host gives an epoll descriptor");
        Self::on(sys, device_type, properties)
    }

    /// The same on a system that has back ends or other devices already.
    pub fn on(sys: System, device_type: &'static DeviceType, properties: Properties) -> Self {
        Self::try_on(sys, device_type, properties).expect("the device is created")
    }

    /// The same, for types of which it is not known whether they can stand alone.
    ///
    /// # Errors
    /// The device's own reason.
    pub fn try_on(
        mut sys: System,
        device_type: &'static DeviceType,
        properties: Properties,
    ) -> Result<Self, CreateError> {
        let clocks: Vec<_> = device_type.clocks.iter().map(|_| sys.add_clock(CLOCK_HZ)).collect();
        let device = sys.add_device(device_type, Some("dut"), properties, &clocks)?;
        for region in 0..device_type.regions.len() {
            sys.map_device(device, region, region as u64 * REGION_STRIDE, 0);
        }
        sys.reset();
        Ok(Self {
            sys,
            device,
            device_type,
            clocks,
        })
    }

    /// What the device is.
    pub fn device_type(&self) -> &'static DeviceType {
        self.device_type
    }

    /// The nodes of the device's input clocks, in the type's order.
    pub fn clocks(&self) -> &[ClockNode] {
        &self.clocks
    }

    /// A 32-bit read at an offset of region 0.
    pub fn read32(&mut self, offset: u64) -> u32 {
        self.read(0, offset, 4) as u32
    }

    /// A 16-bit read at an offset of region 0.
    pub fn read16(&mut self, offset: u64) -> u16 {
        self.read(0, offset, 2) as u16
    }

    /// An 8-bit read at an offset of region 0.
    pub fn read8(&mut self, offset: u64) -> u8 {
        self.read(0, offset, 1) as u8
    }

    /// A read anywhere; panics on a bus error.
    pub fn read(&mut self, region: usize, offset: u64, size: u8) -> u64 {
        self.sys
            .read(region as u64 * REGION_STRIDE + offset, size)
            .expect("the bus takes the read")
    }

    /// A 32-bit write at an offset of region 0.
    pub fn write32(&mut self, offset: u64, value: u32) {
        self.write(0, offset, 4, value.into());
    }

    /// A 16-bit write at an offset of region 0.
    pub fn write16(&mut self, offset: u64, value: u16) {
        self.write(0, offset, 2, value.into());
    }

    /// An 8-bit write at an offset of region 0.
    pub fn write8(&mut self, offset: u64, value: u8) {
        self.write(0, offset, 1, value.into());
    }

    /// A write anywhere; panics on a bus error.
    pub fn write(&mut self, region: usize, offset: u64, size: u8, value: u64) {
        self.sys
            .write(region as u64 * REGION_STRIDE + offset, size, value)
            .expect("the bus takes the write");
    }

    /// Level of an output line.
    pub fn line(&self, name: &str, index: u16) -> bool {
        let line = self
            .device_type
            .line(LineDirection::Out, name, index)
            .expect("the type has this output");
        self.sys.output_level(self.device, line)
    }

    /// Sets an input line.
    pub fn set_input(&mut self, name: &str, index: u16, level: bool) {
        let line = self
            .device_type
            .line(LineDirection::In, name, index)
            .expect("the type has this input");
        self.sys.set_input(self.device, line, level);
    }

    /// Lets virtual time pass; timers fire at their exact moments.
    pub fn advance_ns(&mut self, ns: u64) {
        let end = self.sys.clock.now().after_ns(ns);
        self.sys.advance_to(end);
    }

    /// Lets the host's events come in: whatever is ready now.
    pub fn poll_host(&mut self) {
        self.sys
            .host
            .wait(Some(std::time::Duration::ZERO))
            .expect("the reactor waits");
        self.sys.deliver_completions();
    }

    /// Lets the host's events come in until `done` says so; panics after ten seconds without it.
    pub fn wait_host(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !done(self) {
            assert!(
                std::time::Instant::now() < end,
                "the host did not do what the test waits for"
            );
            self.sys
                .host
                .wait(Some(std::time::Duration::from_millis(20)))
                .expect("the reactor waits");
            self.sys.deliver_completions();
        }
    }

    /// The device's saved state.
    pub fn save(&mut self) -> SavedState {
        self.sys
            .with_device(self.device, |d, _| d.save())
            .expect("the device is in its slot")
    }

    /// Calls the device as its concrete type, for what has no register yet (a frame from a wire that has no back end).
    pub fn with<T: Device, R>(&mut self, f: impl FnOnce(&mut T, &mut southbridge_core::Ctx<'_>) -> R) -> R {
        let r = self.sys.with_device(self.device, |d, cx| {
            (d as &mut dyn std::any::Any).downcast_mut().map(|d| f(d, cx))
        });
        self.sys.settle();
        r.flatten().expect("the device has the type that the test names")
    }

    /// Now.
    pub fn now(&self) -> VirtualTime {
        self.sys.clock.now()
    }

    /// One access, line change or step of time, as the bytes say. Never panics unless the device does.
    pub fn step_by(&mut self, op: &Op) {
        match *op {
            Op::Access {
                region,
                offset,
                size,
                write,
                value,
            } => {
                let regions = self.device_type.regions;
                if regions.is_empty() {
                    return;
                }
                let region = usize::from(region) % regions.len();
                if regions[region].kind == RegionKind::Ram {
                    return;
                }
                let size = 1 << (size & 3);
                let span = self
                    .sys
                    .slot(self.device)
                    .and_then(|s| s.regions.get(region))
                    .map_or(1, |r| r.size.max(1));
                let address = region as u64 * REGION_STRIDE + ((u64::from(offset) % span) & !(size - 1));
                // Bus errors are a legal answer.
                if write {
                    let _ = self.sys.write(address, size as u8, value);
                } else {
                    let _ = self.sys.read(address, size as u8);
                }
            }
            Op::Input { line, level } => {
                let n = self.device_type.line_count(LineDirection::In);
                if n > 0 {
                    self.sys.set_input(self.device, u16::from(line) % n, level);
                }
            }
            Op::Time { ns } => {
                let end = self.sys.clock.now().after_ns(u64::from(ns));
                self.sys.advance_at_most(end, 1000);
            }
            Op::Reset => self.sys.reset(),
        }
    }
}

/// One thing that a guest, a board or time does to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A register access.
    Access {
        /// Region, modulo their number.
        region: u8,
        /// Offset, modulo the region's size.
        offset: u16,
        /// log2 of the width, modulo 4.
        size: u8,
        /// Direction.
        write: bool,
        /// What is written.
        value: u64,
    },
    /// An input line.
    Input {
        /// Line, modulo their number.
        line: u8,
        /// Level.
        level: bool,
    },
    /// Virtual time passes.
    Time {
        /// Nanoseconds.
        ns: u32,
    },
    /// The whole system is reset.
    Reset,
}

impl Op {
    /// Reads a sequence out of arbitrary bytes, 8 bytes an operation: the input format of device fuzzing.
    pub fn sequence(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        bytes.as_chunks::<8>().0.iter().map(|c| {
            let offset = u16::from_le_bytes([c[1], c[2]]);
            let value = u64::from(u32::from_le_bytes([c[4], c[5], c[6], c[7]]));
            match c[0] & 0xf {
                0..=7 => Self::Access {
                    region: c[0] >> 6,
                    offset,
                    size: c[3] & 3,
                    write: c[0] & 1 != 0,
                    value,
                },
                // Most registers are words near the start of their region: reach them often.
                8..=12 => Self::Access {
                    region: 0,
                    offset: offset & 0xffc,
                    size: 2,
                    write: c[0] & 1 != 0,
                    value,
                },
                13 => Self::Input {
                    line: c[1],
                    level: c[2] & 1 != 0,
                },
                14 => Self::Time { ns: value as u32 },
                _ if c[1] == 0 => Self::Reset,
                _ => Self::Time {
                    ns: u32::from(c[2]) * 1000,
                },
            }
        })
    }
}

/// A deterministic source of test bytes (SplitMix64), so that failures repeat.
pub struct Noise(u64);

impl Noise {
    /// A source by seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next_u64().to_le_bytes())
            .flatten()
            .take(n)
            .collect()
    }
}

/// What every device must pass. `make` gives the device on a bench, the same each time.
pub fn check_device(make: impl Fn() -> Bench) {
    check_reset(&make);
    check_device_that_survives_reset(make);
}

/// The same for a device that by its specification keeps something over a reset (a cause of reset, a battery-backed part); its own
/// tests say what.
pub fn check_device_that_survives_reset(make: impl Fn() -> Bench) {
    check_save_and_restore(&make);
    check_hostile_states(&make);
    fuzz_device(&make, 200, 400);
}

/// Use and reset give the state of creation. No virtual time passes, so that anchors in time compare equal.
fn check_reset(make: &impl Fn() -> Bench) {
    let mut a = make();
    let fresh = a.save();
    for seed in 0..16 {
        for op in
            Op::sequence(&Noise::new(seed).bytes(1024)).filter(|op| !matches!(op, Op::Time { .. } | Op::Input { .. }))
        {
            a.step_by(&op);
        }
        a.sys.reset();
        assert_eq!(a.save(), fresh, "reset gives the state of creation");
    }
}

/// Two devices that got the same state go on alike: every read, every line.
fn check_save_and_restore(make: &impl Fn() -> Bench) {
    for seed in 0..8 {
        let mut noise = Noise::new(seed);
        let mut a = make();
        for op in Op::sequence(&noise.bytes(2048)) {
            a.step_by(&op);
        }
        let saved = a.save();
        let mut b = make();
        let loaded = b.sys.with_device(b.device, |d, _| d.load(&saved));
        assert_eq!(loaded, Some(Ok(())), "a device loads what the same device saved");
        assert_eq!(b.save(), saved, "a loaded device saves the same again");
    }
}

/// Truncated and altered states are refused or harmless, never a panic, now or in later use.
fn check_hostile_states(make: &impl Fn() -> Bench) {
    let mut noise = Noise::new(99);
    let mut a = make();
    for op in Op::sequence(&noise.bytes(1024)) {
        a.step_by(&op);
    }
    let saved = a.save();
    for _ in 0..200 {
        let mut bad = saved.clone();
        if bad.cbor.is_empty() {
            return;
        }
        let at = noise.next_u64() as usize % bad.cbor.len();
        match noise.next_u64() % 8 {
            0 => bad.cbor.truncate(at),
            1 | 2 => bad.cbor[at] = noise.next_u64() as u8,
            _ => bad = damage(&bad, &noise.bytes(16)),
        }
        let mut b = make();
        let _ = b.sys.with_device(b.device, |d, _| d.load(&bad));
        for op in Op::sequence(&noise.bytes(256)) {
            b.step_by(&op);
        }
    }
    let wrong_version = SavedState {
        version: saved.version + 1,
        ..saved
    };
    let refused = a.sys.with_device(a.device, |d, _| d.load(&wrong_version));
    assert!(matches!(refused, Some(Err(_))), "another layout version is refused");
}

/// Random sequences of accesses, lines and time.
pub fn fuzz_device(make: &impl Fn() -> Bench, sequences: u64, operations: usize) {
    for seed in 0..sequences {
        let mut bench = make();
        for op in Op::sequence(&Noise::new(1000 + seed).bytes(operations * 8)) {
            bench.step_by(&op);
        }
    }
}

/// Records the level changes of a wire: a device type that tests hang on an output.
pub fn probe(bench: &mut Bench, name: &str, index: u16) -> Probe {
    let line = bench
        .device_type
        .line(LineDirection::Out, name, index)
        .expect("the type has this output");
    let device = bench
        .sys
        .add_device(&PROBE, None, Properties::default(), &[])
        .expect("a probe is always created");
    bench.sys.wire(bench.device, line, Sink::Device(device, 0));
    Probe(device)
}

/// Handle of a probe.
#[derive(Clone, Copy)]
pub struct Probe(DeviceId);

impl Probe {
    /// Changes seen since the last call: time in nanoseconds and level.
    pub fn take(self, sys: &mut System) -> Vec<(u64, bool)> {
        let seen = sys.with_device(self.0, |d, _| {
            (d as &mut dyn std::any::Any)
                .downcast_mut::<ProbeDevice>()
                .map(|p| std::mem::take(&mut p.0))
        });
        seen.flatten().unwrap_or_default()
    }
}

struct ProbeDevice(Vec<(u64, bool)>);

impl Device for ProbeDevice {
    fn reset(&mut self, _: southbridge_core::ResetPhase, _: &mut southbridge_core::Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }
    fn load(&mut self, _: &SavedState) -> Result<(), southbridge_core::LoadError> {
        Ok(())
    }
    fn on_line(&mut self, _: u16, level: bool, cx: &mut southbridge_core::Ctx<'_>) {
        self.0.push((cx.now().0, level));
    }
}

static PROBE: DeviceType = DeviceType {
    name: "test-probe",
    summary: "Records the changes of a wire",
    lines: &[southbridge_core::Line::input("in")],
    create: |_, _| Ok(Box::new(ProbeDevice(Vec::new()))),
    ..DeviceType::BASE
};

/// Says visibly that a test did not run, and why; counted by the test command through the file that `SOUTHBRIDGE_SKIP_LOG` names.
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
    if let Some(path) = std::env::var_os("SOUTHBRIDGE_SKIP_LOG")
        && let Ok(mut f) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = writeln!(f, "SKIPPED {test}: {reason}");
    }
}
