use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{
    Access, BusKind, ClockRate, Ctx, Device, DeviceId, DeviceType, Line, LoadError, Mmio, Properties, RamBlock,
    ResetPhase, SavedState, System, role,
};

use crate::Effects;
use crate::caps::{Acs, Aer, Ari, Ats, DataObjectExchange, Express, PortType, PowerManagement, SerialNumber};
use crate::doe::{Answer, Mailbox, MailboxState, Protocol, Protocols};
use crate::errors::{self, ErrorRefused, ErrorReport};
use crate::{Bar, ConfigSpace, Identity, Msi, MsixLayout, Pci, PciFunction, PciState, Windows, msix_region};

const RAM: u64 = 0x1000;
const TABLE: u64 = 0x10_0000;
const VECTORS: u16 = 70;
const DOE: u16 = 0x170;

static TYPE: DeviceType = DeviceType {
    name: "test-function",
    bus: BusKind::Pci,
    summary: "for tests",
    regions: &[msix_region!("msix", 4096)],
    lines: &[Line::out("intx")],
    roles: &[role!(Function as dyn PciFunction), role!(Function as dyn Mmio)],
    create: |p, _| {
        let mut pci = Pci::express(Identity::new(0x1234, 0x5678, 0x00ff));
        pci.add_bar(0, Bar::mem32(0, MsixLayout::exclusive_size(VECTORS)));
        pci.set_intx_pin(1, 0);
        pci.add_msix(0x40, MsixLayout::exclusive(0, VECTORS));
        pci.add_pm(
            0x50,
            &PowerManagement {
                version: 3,
                ..PowerManagement::default()
            },
        );
        let e = Express {
            flr: true,
            ..Express::endpoint(PortType::Endpoint)
        };
        pci.add_express(0x60, &e);
        if p.bool("msi") {
            pci.add_msi(
                0xa0,
                Msi {
                    vectors: 4,
                    wide: true,
                    maskable: true,
                },
            );
        }
        pci.add_extended(
            0x100,
            &Aer {
                root: false,
                multi_header: true,
                mask_internal: true,
            },
        );
        pci.add_extended(0x148, &SerialNumber(0x1122_3344_5566_7788));
        pci.add_extended(0x154, &Acs { services: 0x5f });
        pci.add_extended(0x15c, &Ari { next_function: 1 });
        pci.add_extended(0x164, &Ats { page_aligned: true });
        pci.add_extended(DOE, &DataObjectExchange { vector: Some(1) });
        pci.set_error_log(2);
        Ok(Box::new(Function {
            pci,
            resets: 0,
            doe: Mailbox::new(DOE, Some(1)),
        }))
    },
    ..DeviceType::BASE
};

struct Function {
    pci: Pci,
    resets: u32,
    doe: Mailbox,
}

/// One protocol whose answer is the sum of what came, one that takes its time, one that fails.
struct Sums;

impl Protocols for Sums {
    fn protocols(&self) -> &[Protocol] {
        &[(0x1234, 5), (0x1234, 6), (0x1234, 7)]
    }

    fn object(&mut self, protocol: Protocol, words: &[u32], _cx: &mut Ctx<'_>) -> Answer {
        match protocol.1 {
            5 => Answer::Object(vec![words.iter().sum(), words.len() as u32]),
            6 => Answer::Later,
            _ => Answer::Error,
        }
    }
}

impl PciFunction for Function {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        self.resets += 1;
        self.doe.reset();
        self.pci.reset(false, cx);
    }

    fn config_read(&mut self, offset: u16, size: u8, _cx: &mut Ctx<'_>) -> u32 {
        let doe = self.doe.read(offset, size);
        doe.unwrap_or_else(|| self.pci.config_read(offset, size))
    }

    fn config_write(&mut self, offset: u16, size: u8, value: u32, cx: &mut Ctx<'_>) -> Effects {
        if self.doe.write(offset, size, value, &mut self.pci, &mut Sums, cx) {
            return Effects::empty();
        }
        let effects = self.pci.config_write(offset, size, value, cx);
        if effects.contains(Effects::RESET) {
            self.function_reset(cx);
        }
        effects
    }
}

impl Mmio for Function {
    fn read(&mut self, access: Access, _cx: &mut Ctx<'_>) -> u64 {
        self.pci.msix_read(access).unwrap_or(0)
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if !self.pci.msix_write(access, value, cx) {
            self.doe.finish(Answer::Object(vec![value as u32]), &mut self.pci, cx);
        }
    }
}

impl Device for Function {
    fn reset(&mut self, _phase: ResetPhase, cx: &mut Ctx<'_>) {
        self.pci.reset(true, cx);
    }

    fn save(&self) -> SavedState {
        SavedState::of(1, &(self.pci.save(), self.doe.save()))
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let (pci, doe) = state.read::<(PciState, MailboxState)>(1)?;
        self.pci.check(&pci)?;
        self.doe.load(doe)?;
        self.pci.load(pci)
    }
}

struct Bench {
    sys: System,
    device: DeviceId,
}

impl Bench {
    fn new(msi: bool) -> Self {
        let mut sys = System::new(ClockRate::Hz(1_000_000)).expect("an epoll descriptor");
        let block = RamBlock::new("ram", 4096).expect("memory");
        let target = Target::Ram {
            block,
            offset: 0,
            readonly: false,
        };
        sys.memory.map(Mapping {
            start: RAM,
            len: 4096,
            priority: 0,
            name: "ram".into(),
            target,
        });
        let p = Properties::default().with("msi", southbridge_core::PropValue::Bool(msi));
        let device = sys.add_device(&TYPE, None, p, &[]).expect("a function");
        sys.map_device(device, 0, TABLE, 0);
        sys.reset();
        Self { sys, device }
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut (dyn PciFunction + 'static), &mut Ctx<'_>) -> T) -> T {
        self.sys
            .with_role::<dyn PciFunction, _>(self.device, f)
            .expect("a function")
    }

    fn set(&mut self, at: u16, size: u8, value: u32) {
        self.with(|f, cx| f.config_write(at, size, value, cx));
    }

    fn get(&mut self, at: u16, size: u8) -> u32 {
        self.with(|f, cx| f.config_read(at, size, cx))
    }

    fn notify(&mut self, vector: u16) -> bool {
        self.with(|f, cx| f.pci_mut().notify(vector, cx))
    }

    fn ram(&mut self) -> u32 {
        let value = self.sys.read(RAM, 4).expect("memory") as u32;
        self.sys.write(RAM, 4, 0).expect("memory");
        value
    }

    fn entry(&mut self, vector: u64, words: [u32; 4]) {
        for (i, w) in words.into_iter().enumerate() {
            self.sys
                .write(TABLE + 16 * vector + 4 * i as u64, 4, w.into())
                .expect("a table");
        }
    }
}

#[test]
fn bits_are_fixed_writable_or_cleared() {
    let mut c = ConfigSpace::new(false);
    c.declare(0x10, 4, 0x1234_5678, 0x0000_ff00, 0x00ff_0000);
    c.write(0x10, 4, 0);
    assert_eq!(c.read(0x10, 4), 0x1234_0078);
    c.write(0x11, 2, 0x04ab);
    assert_eq!(c.read(0x10, 4), 0x1230_ab78);
    // Any size at any offset.
    assert_eq!(c.read(0xff, 4), 0xffff_ff00);
    assert_eq!(c.read(u16::MAX, 4), u32::MAX);
    c.write(u16::MAX, 4, 0);
    c.write(0xfe, 4, u32::MAX);
}

#[test]
fn capabilities_form_lists() {
    let mut b = Bench::new(true);
    let mut at = b.get(0x34, 1);
    let mut ids = Vec::new();
    while at != 0 {
        ids.push(b.get(at as u16, 1));
        at = b.get(at as u16 + 1, 1);
    }
    assert_eq!(ids, [5, 0x10, 1, 0x11]);
    let mut at = 0x100;
    let mut ids = Vec::new();
    while at != 0 {
        let h = b.get(at as u16, 4);
        ids.push(h & 0xffff);
        at = h >> 20;
    }
    assert_eq!(ids, [1, 3, 0xd, 0xe, 0xf, 0x2e]);
    assert_eq!((b.get(0x14c, 4), b.get(0x150, 4)), (0x5566_7788, 0x1122_3344));
}

#[test]
fn msix_masks_and_pends() {
    let mut b = Bench::new(false);
    assert!(!b.notify(0), "off: the device uses its wire");
    b.set(4, 2, 6);
    b.set(0x42, 2, 0x8000);
    assert_eq!(b.get(0x42, 2), 0x8000 | u32::from(VECTORS - 1));
    // Masked after reset: pending, and sent once when the mask falls.
    b.entry(66, [RAM as u32, 0, 0x4242, 1]);
    assert!(b.notify(66) && b.notify(66));
    assert_eq!(b.ram(), 0);
    assert_eq!(b.sys.read(TABLE + 2048 + 8, 8), Ok(4));
    b.sys.write(TABLE + 16 * 66 + 12, 4, 0).unwrap();
    assert_eq!(b.ram(), 0x4242);
    assert_eq!(b.sys.read(TABLE + 2048 + 8, 4), Ok(0));
    // The mask of all.
    b.set(0x42, 2, 0xc000);
    b.notify(66);
    assert_eq!(b.ram(), 0);
    b.set(0x42, 2, 0x8000);
    assert_eq!(b.ram(), 0x4242);
    // Vectors that do not exist, pending bits that are read-only.
    b.notify(VECTORS);
    b.notify(u16::MAX);
    b.sys.write(TABLE + 2048, 8, u64::MAX).unwrap();
    assert_eq!(b.sys.read(TABLE + 2048, 8), Ok(0));
    // Without permission to master the bus messages are lost.
    b.set(4, 2, 2);
    b.notify(66);
    assert_eq!(b.ram(), 0);
    // Its own table is out of reach; nothing happens.
    b.set(4, 2, 6);
    b.entry(1, [TABLE as u32, 0, 7, 0]);
    b.notify(1);
    assert_eq!(b.sys.read(TABLE, 4), Ok(0));
    let state = b.sys.with_device(b.device, |d, _| d.save()).unwrap();
    let mut other = Bench::new(false);
    other
        .sys
        .with_device(other.device, |d, _| d.load(&state))
        .unwrap()
        .unwrap();
    other.notify(66);
    assert_eq!(other.ram(), 0x4242);
}

#[test]
fn msi_has_vectors_masks_and_pending_bits() {
    let mut b = Bench::new(true);
    b.set(4, 2, 6);
    b.set(0xa4, 4, RAM as u32);
    b.set(0xac, 2, 0x58);
    b.set(0xa2, 2, 0x21);
    b.notify(3);
    assert_eq!(b.ram(), 0x5b);
    b.set(0xb0, 4, 0xf);
    b.notify(2);
    assert_eq!((b.ram(), b.get(0xb4, 4)), (0, 4));
    b.set(0xb0, 4, 0);
    assert_eq!((b.ram(), b.get(0xb4, 4)), (0x5a, 0));
    // More vectors than there are, and fewer than the device uses.
    b.set(0xa2, 2, 0x71);
    b.notify(3);
    assert_eq!(b.ram(), 0x5b);
    b.set(0xa2, 2, 0x01);
    b.notify(3);
    assert_eq!(b.ram(), 0x58);
}

#[test]
fn functions_reset_themselves_and_wake_up_empty() {
    let mut b = Bench::new(false);
    b.set(0x10, 4, 0x4000_0000);
    b.set(4, 2, 6);
    assert_eq!(b.with(|f, _| f.pci().bar_address(0)), Some(0x4000_0000));
    b.set(0x54, 2, 3);
    assert_eq!(b.with(|f, _| f.pci().bar_address(0)), None, "asleep");
    assert!(!b.with(|f, _| f.pci().is_master()));
    b.set(0x54, 2, 0);
    assert_eq!((b.get(4, 2), b.get(0x10, 4)), (0, 0));
    // What is sticky stays through a reset of the function.
    b.set(0x10c, 4, 0);
    b.set(4, 2, 6);
    b.set(0x68, 2, 0x8000);
    assert_eq!((b.get(4, 2), b.get(0x68, 2), b.get(0x10c, 4)), (0, 0, 0));
    b.sys.reset();
    assert_eq!(b.get(0x10c, 4), 0x0046_2030);
}

#[test]
fn windows_of_bridges_are_read_as_written() {
    let mut p = Pci::bridge(
        Identity::new(1, 2, 0x0604),
        true,
        Windows {
            io32: false,
            prefetch64: true,
        },
    );
    p.config.write(0x18, 4, 0x0005_0201);
    p.config.write(0x1c, 2, 0x2010);
    p.config.write(0x20, 4, 0x4010_4000);
    p.config.write(0x24, 4, 0x0000_0000);
    p.config.write(0x28, 4, 4);
    p.config.write(0x2c, 4, 3);
    assert_eq!(
        p.decode().bridge.map(|b| (b.io, b.memory)),
        Some((None, None)),
        "command register"
    );
    p.config.write(4, 2, 3);
    let b = p.decode().bridge.expect("a bridge");
    assert_eq!((b.secondary, b.subordinate), (2, 5));
    assert_eq!(b.io.map(|w| (w.first, w.last)), Some((0x1000, 0x2fff)));
    assert_eq!(b.memory.map(|w| (w.first, w.last)), Some((0x4000_0000, 0x401f_ffff)));
    assert_eq!(b.prefetch, None, "the base lies above the limit");
}

impl Bench {
    fn object(&mut self, words: &[u32]) {
        for w in words {
            self.set(DOE + 0x10, 4, *w);
        }
        self.set(DOE + 8, 4, 1 << 31 | 2);
    }

    /// Takes an answer out, as software does.
    fn answer(&mut self) -> Vec<u32> {
        let mut words = Vec::new();
        while self.get(DOE + 12, 4) >> 31 != 0 {
            words.push(self.get(DOE + 0x14, 4));
            self.set(DOE + 0x14, 4, 0);
        }
        words
    }
}

#[test]
fn objects_go_through_the_mailbox() {
    let mut b = Bench::new(false);
    assert_eq!(b.get(DOE, 4), 0x0001_002e);
    assert_eq!(b.get(DOE + 4, 4), 3, "interrupts, by vector 1");
    // Discovery tells one protocol at a time.
    let mut all = Vec::new();
    let mut index = 0;
    loop {
        b.object(&[1, 3, index]);
        let words = b.answer();
        assert_eq!((words[0], words[1], words.len()), (1, 3, 3));
        all.push(words[2] & 0xff_ffff);
        index = words[2] >> 24;
        if index == 0 {
            break;
        }
    }
    assert_eq!(all, [0x0000_0001, 0x0005_1234, 0x0006_1234, 0x0007_1234]);
    b.object(&[1, 3, 9]);
    assert_eq!(b.answer()[2], 0x00ff_ffff);
    b.object(&[0x0005_1234, 5, 10, 20, 30]);
    assert_eq!(b.answer(), [0x0005_1234, 4, 60, 3]);
    // What is unknown, or not as long as it says, is dropped in silence; so is an empty one.
    b.object(&[0x0009_1234, 3, 1]);
    b.object(&[0x0005_1234, 4, 1]);
    b.object(&[]);
    assert_eq!(b.get(DOE + 12, 4) & !2, 0);
    b.object(&[0x0005_1234, 3, 7]);
    assert_eq!(b.answer(), [0x0005_1234, 4, 7, 1]);
}

#[test]
fn the_mailbox_fails_waits_and_is_aborted() {
    let mut b = Bench::new(false);
    b.set(4, 2, 6);
    b.set(0x42, 2, 0x8000);
    b.entry(1, [RAM as u32, 0, 0x77, 0]);
    b.object(&[0x0007_1234, 3, 1]);
    assert_eq!(b.get(DOE + 12, 4), 6, "an error, told by interrupt");
    assert_eq!(b.ram(), 0x77);
    // Nothing goes on before software gives up.
    b.object(&[0x0005_1234, 3, 7]);
    assert_eq!(b.get(DOE + 12, 4), 6);
    b.set(DOE + 12, 4, 2);
    b.set(DOE + 8, 4, 1);
    assert_eq!(b.get(DOE + 12, 4), 0);
    // Reading what is not there is an error too.
    b.set(DOE + 0x14, 4, 0);
    assert_eq!(b.get(DOE + 12, 4) & 4, 4);
    b.set(DOE + 8, 4, 1);
    b.set(DOE + 12, 4, 2);
    // An answer that takes its time; the state is saved in between.
    b.object(&[0x0006_1234, 2]);
    assert_eq!(b.get(DOE + 12, 4), 1, "busy");
    let state = b.sys.with_device(b.device, |d, _| d.save()).unwrap();
    let mut other = Bench::new(false);
    let loaded = other.sys.with_device(other.device, |d, _| d.load(&state));
    assert_eq!(loaded, Some(Ok(())));
    other.sys.write(TABLE + 0xf00, 4, 0xabc).unwrap();
    assert_eq!((other.get(DOE + 12, 4), other.ram()), (1 << 31 | 2, 0x77));
    assert_eq!(other.answer(), [0x0006_1234, 3, 0xabc]);
    // Software gave up: the answer comes too late.
    b.set(DOE + 8, 4, 1);
    b.sys.write(TABLE + 0xf00, 4, 0xabc).unwrap();
    assert_eq!(b.get(DOE + 12, 4), 0);
}

fn inject(b: &mut Bench, e: ErrorReport) -> Result<(), ErrorRefused> {
    b.with(|f, cx| errors::report(f, &e, cx))
}

#[test]
fn errors_are_logged_one_behind_the_other() {
    let mut b = Bench::new(false);
    let error = |bit: u32| ErrorReport {
        status: 1 << bit,
        header: Some([bit, 2, 3, 4]),
        ..ErrorReport::default()
    };
    let none = ErrorReport::default();
    assert_eq!(inject(&mut b, none), Err(ErrorRefused::BadStatus));
    let two = ErrorReport { status: 0x30, ..none };
    assert_eq!(inject(&mut b, two), Err(ErrorRefused::BadStatus));
    // Several headers.
    b.set(0x118, 4, 1 << 10);
    for bit in [12, 14, 18, 20] {
        assert_eq!(inject(&mut b, error(bit)), Ok(()));
    }
    assert_eq!(b.get(0x118, 4) & 0x1f, 12);
    assert_eq!(b.get(0x11c, 4), 12u32.swap_bytes());
    assert_eq!(b.get(0x104, 4), 1 << 12 | 1 << 14 | 1 << 18 | 1 << 20);
    assert_eq!(b.get(0x110, 4), 1 << 15, "the fourth found no room");
    // Device status: correctable, non-fatal, fatal, unsupported request.
    assert_eq!(b.get(0x6a, 2), 0xf);
    let state = b.sys.with_device(b.device, |d, _| d.save()).unwrap();
    let loaded = b.sys.with_device(b.device, |d, _| d.load(&state));
    assert_eq!(loaded, Some(Ok(())));
    // Each comes into the log when the one before is cleared.
    b.set(0x104, 4, 1 << 12);
    assert_eq!((b.get(0x118, 4) & 0x1f, b.get(0x11c, 4)), (14, 14u32.swap_bytes()));
    b.set(0x104, 4, 1 << 14);
    assert_eq!(b.get(0x118, 4) & 0x1f, 18);
    b.set(0x104, 4, 1 << 18 | 1 << 20);
    assert_eq!((b.get(0x104, 4), b.get(0x118, 4) & 0x1f, b.get(0x11c, 4)), (0, 0, 0));
}

#[test]
fn masks_and_advice_decide_what_an_error_is() {
    let mut b = Bench::new(false);
    b.set(0x108, 4, 1 << 14);
    let timeout = ErrorReport {
        status: 1 << 14,
        header: Some([1, 2, 3, 4]),
        ..ErrorReport::default()
    };
    assert_eq!(inject(&mut b, timeout), Ok(()));
    assert_eq!((b.get(0x104, 4), b.get(0x11c, 4)), (1 << 14, 0), "noted and not logged");
    b.set(0x108, 4, 0);
    b.set(0x104, 4, u32::MAX);
    // Advisory errors are masked as correctable ones at power-on.
    b.set(0x114, 4, 0);
    let advisory = ErrorReport {
        advisory: true,
        prefix: Some([9, 0, 0, 0]),
        ..timeout
    };
    assert_eq!(inject(&mut b, advisory), Ok(()));
    assert_eq!((b.get(0x110, 4), b.get(0x104, 4)), (1 << 13, 1 << 14));
    assert_eq!((b.get(0x118, 4) & 0x81f, b.get(0x138, 4)), (0x80e, 9u32.swap_bytes()));
}
