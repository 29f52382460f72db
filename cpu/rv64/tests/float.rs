//! What the public tests leave open of F, D and Zfh: boxes, modes, flags and the state of the unit; and the texts of F and B.

mod common;

use common::{RAM, config, hart, machine, program};
use southbridge_core::Machine;
use southbridge_cpu_rv64::disasm;

const FS_OFF: u64 = 0;
const FS_CLEAN: u64 = 2 << 13;
const FS_DIRTY: u64 = 3 << 13;
const ONE: u64 = 0xffff_ffff_3f80_0000;
const NAN: u64 = 0xffff_ffff_7fc0_0000;
const ILLEGAL: u64 = 2;

/// OP-FP `f1 = f2, f3` (or `x1`, or one of fewer sources): funct7, rs2, rm.
const fn op(funct7: u32, rs2: u32, rm: u32) -> u32 {
    funct7 << 25 | rs2 << 20 | 2 << 15 | rm << 12 | 1 << 7 | 0x53
}

const FADD_S: u32 = op(0x00, 3, 0);
const FDIV_S: u32 = op(0x0c, 3, 0);
const DYNAMIC: u32 = 7;

fn read(m: &mut Machine, name: &str) -> u64 {
    m.cpus[0].register(name, &m.sys).expect("a register")
}

/// Runs one instruction with two operands in f2 and f3.
fn run(word: u32, fs: u64, f2: u64, f3: u64, frm: u64) -> Machine {
    let mut m = machine(config());
    program(&mut m, &[word]);
    m.start();
    // Writing registers makes the unit dirty, so its state comes last.
    for (name, value) in [
        ("mstatus", FS_DIRTY),
        ("f2", f2),
        ("f3", f3),
        ("frm", frm),
        ("mstatus", fs),
    ] {
        assert!(m.cpus[0].set_register(name, value), "{name}");
    }
    m.cpus[0].set_register("mtvec", RAM + 0x100);
    let next = m.sys.clock.now().after_ns(1);
    m.run_until(next);
    m
}

fn fs(m: &mut Machine) -> u64 {
    read(m, "mstatus") & FS_DIRTY
}

#[test]
fn operands_without_a_box_are_nan() {
    let mut boxed = run(FADD_S, FS_CLEAN, ONE, ONE, 0);
    assert_eq!(read(&mut boxed, "ft1"), 0xffff_ffff_4000_0000);
    let mut bare = run(FADD_S, FS_CLEAN, ONE & 0xffff_ffff, ONE, 0);
    assert_eq!(read(&mut bare, "ft1"), NAN);
    // A box for halves is none for singles; a moved sign is one of a NaN too.
    let mut fsgnj = run(op(0x10, 3, 0), FS_CLEAN, 0xffff_fffe_3f80_0000, ONE | 1 << 31, 0);
    assert_eq!(read(&mut fsgnj, "ft1"), NAN | 1 << 31);
    let mut fadd_h = run(
        op(0x02, 3, 0),
        FS_CLEAN,
        0xffff_ffff_ffff_3c00,
        0xffff_ffff_ffff_3c00,
        0,
    );
    assert_eq!(read(&mut fadd_h, "ft1"), 0xffff_ffff_ffff_4000);
    // Moves take the bits as they are.
    let mut fmv_x_w = run(op(0x70, 0, 0), FS_CLEAN, 0x1234_5678_9abc_def0, 0, 0);
    assert_eq!(read(&mut fmv_x_w, "ra"), 0xffff_ffff_9abc_def0);
    let mut fclass = run(op(0x70, 0, 1), FS_CLEAN, 0x3f80_0000, 0, 0);
    assert_eq!(read(&mut fclass, "ra"), 1 << 9, "a quiet NaN");
}

#[test]
fn the_unit_is_illegal_when_off_and_dirty_when_written() {
    for word in [
        FADD_S,
        op(0x50, 3, 2),
        op(0x70, 0, 0),
        op(0x78, 0, 0),
        0x0001_2087,
        0x0011_2027,
    ] {
        let mut off = run(word, FS_OFF, ONE, ONE, 0);
        assert_eq!(read(&mut off, "mcause"), ILLEGAL, "{word:08x}");
        assert_eq!(read(&mut off, "mtval"), u64::from(word));
        assert_eq!(fs(&mut off), FS_OFF);
    }
    let mut added = run(FADD_S, FS_CLEAN, ONE, ONE, 0);
    assert_eq!((read(&mut added, "mcause"), fs(&mut added)), (0, FS_DIRTY));
    // A comparison writes no register of the unit, and flags only if it raises some.
    let mut compared = run(op(0x50, 3, 2), FS_CLEAN, ONE, NAN, 0);
    assert_eq!((read(&mut compared, "fflags"), fs(&mut compared)), (0, FS_CLEAN));
    let mut disliked = run(op(0x50, 3, 1), FS_CLEAN, ONE, NAN, 0);
    assert_eq!((read(&mut disliked, "fflags"), fs(&mut disliked)), (16, FS_DIRTY));
}

#[test]
fn the_mode_is_the_instructions_or_the_units() {
    let three = 0xffff_ffff_4040_0000;
    // 1/3 in each mode: rounded up are RUP, and to nearest, as it happens.
    for (rm, want) in [(0, 0xab), (1, 0xaa), (2, 0xaa), (3, 0xab), (4, 0xab)] {
        for (field, frm) in [(rm, 0), (DYNAMIC, u64::from(rm))] {
            let mut m = run(FDIV_S | field << 12, FS_CLEAN, ONE, three, frm);
            assert_eq!(read(&mut m, "ft1") & 0xff, want, "mode {rm} by field {field}");
            assert_eq!(read(&mut m, "fflags"), 1);
        }
    }
    for (field, frm) in [(5, 0), (6, 0), (DYNAMIC, 5), (DYNAMIC, 6), (DYNAMIC, 7)] {
        let mut m = run(FDIV_S | field << 12, FS_CLEAN, ONE, three, frm);
        assert_eq!(read(&mut m, "mcause"), ILLEGAL, "field {field}, frm {frm}");
    }
    // A reserved dynamic mode concerns only those who ask for it.
    let mut fixed = run(FDIV_S, FS_CLEAN, ONE, three, 5);
    assert_eq!(read(&mut fixed, "mcause"), 0);
    let mut unasked = run(op(0x14, 3, 0), FS_CLEAN, ONE, three, 5);
    assert_eq!((read(&mut unasked, "mcause"), read(&mut unasked, "ft1")), (0, ONE));
}

#[test]
fn flags_accrue_even_without_a_destination() {
    // fcvt.w.s zero, f2: a half is inexact.
    let mut m = run(op(0x60, 0, 0) & !(0x1f << 7), FS_CLEAN, 0xffff_ffff_3f00_0000, 0, 0);
    assert_eq!(
        (read(&mut m, "fflags"), read(&mut m, "zero"), fs(&mut m)),
        (1, 0, FS_DIRTY)
    );
}

#[test]
fn without_zfh_only_its_conversions_are_there() {
    let mut config = config();
    assert!(config.set_property("zfh", false));
    for (word, legal) in [
        (op(0x02, 3, 0), false),
        (op(0x20, 2, 0), true),
        (op(0x72, 0, 0), true),
        (op(0x72, 0, 1), false),
    ] {
        let mut m = machine(config.clone());
        program(&mut m, &[word]);
        m.start();
        m.cpus[0].set_register("mstatus", FS_CLEAN);
        let next = m.sys.clock.now().after_ns(1);
        m.run_until(next);
        assert_eq!(read(&mut m, "mcause"), if legal { 0 } else { ILLEGAL }, "{word:08x}");
        assert!(hart(&mut m).privilege() == 3);
    }
}

#[test]
fn texts_are_those_of_the_assembler() {
    // Encodings are from GNU as.
    for (word, text) in TEXTS {
        let (_, got) = disasm::at(RAM, &u32::to_le_bytes(*word)).expect("four bytes");
        let got: Vec<_> = got.split_whitespace().collect();
        assert_eq!(got.join(" "), *text, "{word:08x}");
    }
}

const TEXTS: &[(u32, &str)] = &[
    (0x0081_2507, "flw fa0, 8(sp)"),
    (0xfe95_b827, "fsd fs1, -16(a1)"),
    (0x0025_1007, "flh ft0, 2(a0)"),
    (0x0005_1127, "fsh ft0, 2(a0)"),
    (0x00c5_f553, "fadd.s fa0, fa1, fa2"),
    (0x0ac5_9553, "fsub.d fa0, fa1, fa2, rtz"),
    (0x14c5_b553, "fmul.h fa0, fa1, fa2, rup"),
    (0x18c9_4e53, "fdiv.s ft8, fs2, fa2, rmm"),
    (0x5a05_f553, "fsqrt.d fa0, fa1"),
    (0x68c5_f543, "fmadd.s fa0, fa1, fa2, fa3"),
    (0x6ac5_a547, "fmsub.d fa0, fa1, fa2, fa3, rdn"),
    (0x6cc5_f54b, "fnmsub.h fa0, fa1, fa2, fa3"),
    (0xfac5_f54f, "fnmadd.d fa0, fa1, fa2, ft11"),
    (0x20c5_8553, "fsgnj.s fa0, fa1, fa2"),
    (0x22c5_9553, "fsgnjn.d fa0, fa1, fa2"),
    (0x24c5_a553, "fsgnjx.h fa0, fa1, fa2"),
    (0x28c5_8553, "fmin.s fa0, fa1, fa2"),
    (0x2ac5_9553, "fmax.d fa0, fa1, fa2"),
    (0xa0c5_8553, "fle.s a0, fa1, fa2"),
    (0xa2c5_9553, "flt.d a0, fa1, fa2"),
    (0xa4c5_a553, "feq.h a0, fa1, fa2"),
    (0xe205_9553, "fclass.d a0, fa1"),
    (0xc005_9553, "fcvt.w.s a0, fa1, rtz"),
    (0xc215_9553, "fcvt.wu.d a0, fa1, rtz"),
    (0xc425_f553, "fcvt.l.h a0, fa1"),
    (0xc035_f553, "fcvt.lu.s a0, fa1"),
    (0xd005_f553, "fcvt.s.w fa0, a1"),
    (0xd415_f553, "fcvt.h.wu fa0, a1"),
    (0xd025_f553, "fcvt.s.l fa0, a1"),
    (0xd235_f553, "fcvt.d.lu fa0, a1"),
    (0x4015_f553, "fcvt.s.d fa0, fa1"),
    (0x4415_f553, "fcvt.h.d fa0, fa1"),
    (0x4405_b553, "fcvt.h.s fa0, fa1, rup"),
    (0xe005_8553, "fmv.x.w a0, fa1"),
    (0xf005_8553, "fmv.w.x fa0, a1"),
    (0xe205_8553, "fmv.x.d a0, fa1"),
    (0xf205_8553, "fmv.d.x fa0, a1"),
    (0xe405_8553, "fmv.x.h a0, fa1"),
    (0xf405_8553, "fmv.h.x fa0, a1"),
    (0x08c5_853b, "add.uw a0, a1, a2"),
    (0x20c5_a533, "sh1add a0, a1, a2"),
    (0x20c5_e53b, "sh3add.uw a0, a1, a2"),
    (0x0a15_951b, "slli.uw a0, a1, 33"),
    (0x40c5_f533, "andn a0, a1, a2"),
    (0x40c5_e533, "orn a0, a1, a2"),
    (0x40c5_c533, "xnor a0, a1, a2"),
    (0x6005_9513, "clz a0, a1"),
    (0x6015_951b, "ctzw a0, a1"),
    (0x6025_9513, "cpop a0, a1"),
    (0x6045_9513, "sext.b a0, a1"),
    (0x6055_9513, "sext.h a0, a1"),
    (0x0805_c53b, "zext.h a0, a1"),
    (0x0ac5_c533, "min a0, a1, a2"),
    (0x0ac5_f533, "maxu a0, a1, a2"),
    (0x60c5_9533, "rol a0, a1, a2"),
    (0x60c5_d533, "ror a0, a1, a2"),
    (0x63f5_d513, "rori a0, a1, 63"),
    (0x60c5_953b, "rolw a0, a1, a2"),
    (0x61f5_d51b, "roriw a0, a1, 31"),
    (0x2875_d513, "orc.b a0, a1"),
    (0x6b85_d513, "rev8 a0, a1"),
    (0x0ac5_9533, "clmul a0, a1, a2"),
    (0x0ac5_a533, "clmulr a0, a1, a2"),
    (0x0ac5_b533, "clmulh a0, a1, a2"),
    (0x48c5_9533, "bclr a0, a1, a2"),
    (0x48c5_d533, "bext a0, a1, a2"),
    (0x6a85_9513, "binvi a0, a1, 40"),
    (0x2bf5_9513, "bseti a0, a1, 63"),
    (0x4815_9513, "bclri a0, a1, 1"),
    (0x4825_d513, "bexti a0, a1, 2"),
];
