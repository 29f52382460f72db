//! A machine-level domain, the supervisor's below it, and the interrupt files that its messages go to.

use southbridge_core::cpu::CpuId;
use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, REGION_STRIDE, check_device};

use super::regs::*;
use super::*;
use crate::imsic;

const CHILD: u64 = REGION_STRIDE;
const FILES: u64 = 0x2800_0000;

fn properties(machine: bool, msi: bool) -> Properties {
    Properties::default()
        .with("mmode", PropValue::Bool(machine))
        .with("msimode", PropValue::Bool(msi))
        .with("num-harts", PropValue::Uint(2))
}

fn alone(machine: bool, msi: bool) -> Bench {
    Bench::new(&TYPE, properties(machine, msi))
}

/// Both domains, and with messages the supervisor files of two harts a page apart.
struct Pair {
    b: Bench,
    child: DeviceId,
}

impl Pair {
    fn new(msi: bool) -> Self {
        let mut b = alone(true, msi);
        let child = b
            .sys
            .add_device(&TYPE, Some("child"), properties(false, msi), &[])
            .unwrap();
        b.sys.map_device(child, 0, CHILD, 0);
        b.sys
            .with_role::<dyn Domain, _>(b.device, |d, _| d.adopt(child))
            .unwrap();
        b.sys.set_cpu_count(2);
        for hart in 0..2 {
            let p = Properties::default().with("hartid", PropValue::Uint(hart));
            let file = b.sys.add_device(&imsic::TYPE, None, p, &[]).unwrap();
            b.sys.map_device(file, 0, FILES + hart * 0x1000, 1);
        }
        b.sys.reset();
        Self { b, child }
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.b.sys.write(CHILD + offset, 4, value.into()).unwrap();
    }

    fn read(&mut self, offset: u64) -> u32 {
        self.b.sys.read(CHILD + offset, 4).unwrap() as u32
    }

    fn line(&self, hart: u16) -> bool {
        self.b.sys.output_level(self.child, hart)
    }

    fn heard(&mut self, hart: u8) -> Vec<u32> {
        let lines = self.b.sys.take_lines(CpuId(hart));
        lines.into_iter().map(|(input, _)| input).collect()
    }

    /// Source 10 is the child's, a level, enabled.
    fn with_source(msi: bool, target: u32) -> Self {
        let mut p = Self::new(msi);
        p.b.write32(SMSICFGADDR, (FILES >> 12) as u32);
        // How many bits a hart's number has, the machine level says for both.
        p.b.write32(MMSICFGADDRH, 1 << 12);
        p.b.write32(sourcecfg(10), SOURCECFG_D);
        p.write(sourcecfg(10), MODE_LEVEL_HIGH);
        p.write(self::target(10), target);
        p.write(SETIENUM, 10);
        p.write(DOMAINCFG, DOMAINCFG_IE);
        p.write(IDC + IDC_SIZE, 1);
        p
    }
}

fn sourcecfg(irq: u64) -> u64 {
    SOURCECFG + 4 * (irq - 1)
}

fn target(irq: u64) -> u64 {
    TARGET + 4 * (irq - 1)
}

#[test]
fn generic() {
    for (machine, msi) in [(true, false), (true, true), (false, false), (false, true)] {
        check_device(|| alone(machine, msi));
    }
}

#[test]
fn reset_values() {
    let mut b = alone(true, false);
    assert_eq!(
        (b.read32(DOMAINCFG), b.read32(target(1)), b.read32(TARGET - 4)),
        (0x8000_0000, 1, 0)
    );
    let mut b = alone(true, true);
    assert_eq!((b.read32(DOMAINCFG), b.read32(target(1))), (0x8000_0004, 0));
    b.write32(DOMAINCFG, u32::MAX);
    assert_eq!(b.read32(DOMAINCFG), 0x8000_0104);
}

#[test]
fn source_modes_that_exist() {
    let mut b = alone(true, false);
    for (written, kept) in [(1, 1), (2, 0), (3, 0), (4, 4), (7, 7), (0x3ff, 7), (SOURCECFG_D, 0)] {
        b.write32(sourcecfg(3), written);
        assert_eq!(b.read32(sourcecfg(3)), kept, "{written:#x}");
    }
    let mut p = Pair::new(false);
    p.b.write32(sourcecfg(3), SOURCECFG_D | 7);
    assert_eq!(p.b.read32(sourcecfg(3)), 0, "there is one child, number 0");
    p.b.write32(sourcecfg(3), SOURCECFG_D);
    assert_eq!(p.b.read32(sourcecfg(3)), SOURCECFG_D);
}

#[test]
fn a_level_goes_to_its_hart_by_line() {
    let mut p = Pair::with_source(false, 1 << 18 | 3);
    p.b.set_input("source", 10, true);
    assert!(p.line(1) && !p.line(0) && !p.b.line("irq", 1));
    assert_eq!(p.read(IDC + IDC_SIZE + TOPI), 10 << 16 | 3);
    assert_eq!(p.read(SETIP), 1 << 10);
    assert_eq!(p.read(IN_CLRIP), 1 << 10);
    assert_eq!(p.read(IDC + IDC_SIZE + CLAIMI), 10 << 16 | 3);
    assert!(p.line(1), "a level stays for as long as it is high");
    p.write(CLRIPNUM, 10);
    assert!(p.line(1));
    p.b.set_input("source", 10, false);
    assert!(!p.line(1));
    assert_eq!((p.read(SETIP), p.read(IDC + IDC_SIZE + CLAIMI)), (0, 0));
}

#[test]
fn edges_are_remembered_until_claimed() {
    let mut b = alone(true, false);
    b.write32(DOMAINCFG, DOMAINCFG_IE);
    b.write32(IDC, 1);
    for (irq, mode) in [(5, MODE_EDGE_RISE), (6, MODE_EDGE_FALL)] {
        b.set_input("source", irq, mode == MODE_EDGE_FALL);
        b.write32(sourcecfg(irq.into()), mode);
        b.write32(SETIENUM, irq.into());
        assert!(!b.line("irq", 0));
        b.set_input("source", irq, mode == MODE_EDGE_RISE);
        assert!(b.line("irq", 0));
        b.set_input("source", irq, mode == MODE_EDGE_FALL);
        assert_eq!(b.read32(IDC + CLAIMI), u32::from(irq) << 16 | 1);
        assert!(!b.line("irq", 0));
    }
}

#[test]
fn priorities_thresholds_and_force() {
    let mut b = alone(true, false);
    b.write32(DOMAINCFG, DOMAINCFG_IE);
    b.write32(IDC, 1);
    for (irq, priority) in [(7, 4), (8, 2), (9, 2)] {
        b.write32(sourcecfg(irq), MODE_DETACHED);
        b.write32(target(irq), priority);
        b.write32(SETIENUM, irq as u32);
        b.write32(SETIPNUM_LE, irq as u32);
    }
    assert_eq!(b.read32(SETIE), 0x380);
    b.write32(IDC + ITHRESHOLD, 4);
    let claims: Vec<_> = (0..3).map(|_| b.read32(IDC + CLAIMI)).collect();
    assert_eq!(claims, [8 << 16 | 2, 9 << 16 | 2, 0], "4 is not below 4");
    b.write32(IDC + ITHRESHOLD, 0);
    assert_eq!(b.read32(IDC + CLAIMI), 7 << 16 | 4);
    b.write32(IDC + IFORCE, 1);
    assert!(b.line("irq", 0));
    assert_eq!(
        (b.read32(IDC + CLAIMI), b.line("irq", 0)),
        (0, false),
        "a spurious interrupt ends the force"
    );
    b.write32(target(7), 0);
    assert_eq!(b.read32(target(7)), 1);
    b.write32(SETIPNUM_BE, 0x0700_0000);
    assert_eq!(b.read32(SETIP), 1 << 7);
    b.write32(CLRIE, 1 << 7);
    assert!(!b.line("irq", 0));
}

#[test]
fn sources_that_are_not_active_take_nothing() {
    let mut p = Pair::new(false);
    p.b.write32(SETIENUM, 4);
    p.b.write32(SETIPNUM, 4);
    p.b.write32(SETIENUM, 5000);
    assert_eq!((p.b.read32(SETIE), p.b.read32(SETIP)), (0, 0));
    p.b.write32(sourcecfg(4), MODE_DETACHED);
    p.b.write32(SETIENUM, 4);
    p.b.write32(SETIPNUM, 4);
    assert_eq!((p.b.read32(SETIE), p.b.read32(SETIP)), (16, 16));
    p.b.write32(sourcecfg(4), SOURCECFG_D);
    assert_eq!((p.b.read32(SETIE), p.b.read32(SETIP)), (0, 0));
}

#[test]
fn a_level_becomes_a_message() {
    let mut p = Pair::with_source(true, 1 << 18 | 42);
    p.b.set_input("source", 10, true);
    assert_eq!((p.heard(0), p.heard(1)), (vec![], vec![0x1102a]));
    assert_eq!(p.read(SETIP), 0, "sent is not pending");
    p.write(SETIPNUM, 10);
    assert_eq!(
        p.heard(1),
        [0x1102a],
        "a driver asks again for a level that is still high"
    );
    p.b.set_input("source", 10, false);
    p.write(SETIPNUM, 10);
    assert_eq!(p.heard(1), []);
    p.b.set_input("source", 10, true);
    assert_eq!(p.heard(1), [0x1102a]);
}

#[test]
fn what_came_while_disabled_is_sent_when_enabled() {
    let mut p = Pair::with_source(true, 9);
    p.write(DOMAINCFG, 0);
    p.b.set_input("source", 10, true);
    assert_eq!((p.heard(0), p.read(SETIP)), (vec![], 1 << 10));
    p.write(DOMAINCFG, DOMAINCFG_IE);
    assert_eq!(p.heard(0), [0x11009]);
}

#[test]
fn messages_without_a_source() {
    let mut p = Pair::with_source(true, 0);
    p.write(GENMSI, 1 << 18 | 0x3f << 12 | 77);
    assert_eq!(p.heard(1), [0x1104d]);
    assert_eq!(p.read(GENMSI), 1 << 18 | 77);
    p.write(GENMSI, 9 << 18 | 1);
    assert_eq!(
        (p.heard(0), p.heard(1)),
        (vec![], vec![0x11001]),
        "hart bits beyond the width do not count"
    );
}

#[test]
fn addresses_can_be_locked() {
    let mut p = Pair::new(true);
    p.b.write32(MMSICFGADDR, 0x24000);
    p.b.write32(SMSICFGADDR, 0x28000);
    p.b.write32(MMSICFGADDRH, u32::MAX);
    assert_eq!(p.b.read32(MMSICFGADDRH), CFG_VALID);
    assert_eq!(p.b.read32(SMSICFGADDRH), 0, "locked with the others");
    p.b.write32(MMSICFGADDR, 1);
    p.b.write32(SMSICFGADDR, 1);
    assert_eq!((p.b.read32(MMSICFGADDR), p.b.read32(SMSICFGADDR)), (0x24000, 0x28000));
    assert_eq!(p.read(SMSICFGADDR), 0, "the child has no such register");
}

#[test]
fn the_supervisor_level_has_the_harts_of_the_machine_level() {
    let mut p = Pair::new(true);
    p.b.write32(SMSICFGADDRH, u32::MAX);
    assert_eq!(
        p.b.read32(SMSICFGADDRH),
        SCFG_VALID,
        "guests and page number alone are its own"
    );
    let machine = MsiAddresses {
        low: 0x24000,
        high: 12 << 24 | 1 << 16 | 2 << 12 | 7,
    };
    let supervisor = MsiAddresses {
        low: 0x28000,
        high: 3 << 20 | 0xf << 12,
    };
    let both = supervisor.with_harts_of(machine);
    assert_eq!(both.of(3, 5), 0x2801_d000);
    assert_eq!(both.of(4, 0), 1 << 36 | 0x2800_0000);
}

#[test]
fn addresses_of_groups_harts_and_guests() {
    let a = MsiAddresses {
        low: 0x28000,
        high: 12 << 24 | 3 << 20 | 1 << 16 | 2 << 12,
    };
    assert_eq!(a.of(0, 0), 0x2800_0000);
    assert_eq!(a.of(3, 0), 0x2801_8000);
    assert_eq!(a.of(3, 5), 0x2801_d000);
    assert_eq!(a.of(4, 0), 1 << 36 | 0x2800_0000);
    let all = MsiAddresses {
        low: u32::MAX,
        high: u32::MAX,
    };
    assert_eq!(all.of(u32::MAX, u32::MAX) & 0xfff, 0);
}

#[test]
fn a_reset_takes_sources_back() {
    let mut p = Pair::with_source(false, 1 << 18 | 3);
    p.b.set_input("source", 10, true);
    p.b.sys.reset();
    assert!(!p.line(1));
    p.write(sourcecfg(10), MODE_LEVEL_HIGH);
    assert_eq!(p.read(IN_CLRIP), 0, "not the child's any more");
    p.b.write32(sourcecfg(10), SOURCECFG_D);
    assert_eq!(p.read(IN_CLRIP), 1 << 10, "the wire is high all the time");
}
