use super::*;
use crate::insn::{Alu, Mode, Src, Width};
use proptest::prelude::*;

fn t16(raw: u16) -> Insn {
    decode(raw.into(), false, 0x1000, false)
}
fn t32(raw: u32) -> Insn {
    decode(raw, true, 0x1000, false)
}

#[test]
fn pictures_have_the_right_length() {
    for (table, bits) in [(t16::TABLE, 16), (t32::TABLE, 32)] {
        for e in table {
            assert_eq!(e.picture.chars().filter(|c| *c != ' ').count(), bits, "{}", e.name);
        }
    }
}

#[test]
fn every_row_can_be_reached() {
    for (table, wide) in [(t16::TABLE, false), (t32::TABLE, true)] {
        for e in table.iter() {
            let free = !e.mask & if wide { u32::MAX } else { 0xffff };
            // Some filling of the free bits must reach this row rather than one above it.
            let mut seed = 1u32;
            let hit = (0..2000).any(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                find(e.value | seed.rotate_left(16) & free, wide).is_some_and(|f| std::ptr::eq(f, e))
            });
            assert!(
                hit || find(e.value, wide).is_some_and(|f| std::ptr::eq(f, e)),
                "{} is shadowed",
                e.name
            );
        }
    }
}

#[test]
fn sixteen_bit_samples() {
    let alu = |op, s, src| Kind::Alu { op, s, src };
    assert_eq!(t16(0x2105), Insn::new(alu(Alu::Mov, true, Src::Imm)).d(1).m(0).imm(5)); // movs r1, #5
    assert_eq!(decode(0x2105, false, 0, true).kind, alu(Alu::Mov, false, Src::Imm)); // mov inside IT
    assert_eq!(t16(0x1888), Insn::new(alu(Alu::Add, true, Src::Reg)).d(0).n(1).m(2)); // adds r0, r1, r2
    assert_eq!(t16(0x0858).imm, 1); // lsrs r0, r3, #1
    assert_eq!(t16(0x0818).imm, 32); // lsrs r0, r3, #32
    assert_eq!(t16(0xd0fe).imm, 0x1000); // beq .
    assert_eq!(t16(0xe7fe).imm, 0x1000); // b .
    assert_eq!(t16(0xb101).imm, 0x1004); // cbz r1, .+4
    assert_eq!(t16(0x4b01).imm, 0x1008); // ldr r3, [pc, #4]
    assert_eq!(t16(0xb5f0).imm, 0x40f0); // push {r4-r7, lr}
    assert_eq!(t16(0xbd10).imm, 0x8010); // pop {r4, pc}
    assert_eq!(t16(0x4770), Insn::new(Kind::Bx).m(14));
    assert_eq!(t16(0xde00).kind, Kind::Udf);
    assert_eq!(t16(0xbf08), Insn::new(Kind::It).imm(0x08));
}

#[test]
fn thirty_two_bit_samples() {
    assert_eq!(t32(0xf7ff_fffe).kind, Kind::Bl); // bl .
    assert_eq!(t32(0xf7ff_fffe).imm, 0x1000);
    assert_eq!(t32(0xf7ff_bffe).imm, 0x1000); // b.w .
    assert_eq!(t32(0xf43f_affe).imm, 0x1000); // beq.w .
    let movw = t32(0xf241_2334); // movw r3, #0x1234
    assert_eq!((movw.d, movw.imm), (3, 0x1234));
    assert_eq!(
        t32(0xf8d1_2004),
        Insn {
            size: 4,
            ..Insn::new(Kind::Load {
                width: Width::Word,
                mode: Mode::Offset
            })
            .d(2)
            .n(1)
            .imm(4)
        }
    );
    assert_eq!(t32(0xf851_2d04).imm, 4u32.wrapping_neg()); // ldr r2, [r1, #-4]!
    assert_eq!(
        t32(0xfb93_f2f1),
        Insn {
            size: 4,
            ..Insn::new(Kind::Sdiv).d(2).n(3).m(1)
        }
    );
    assert_eq!(t32(0xeeb0_0a40).kind, Kind::NoCp); // vmov s0, s0
    assert_eq!(t32(0xfa91_f102).kind, Kind::Udf); // sadd16: DSP only
    assert_eq!(t32(0xf3bf_8f5f).kind, Kind::Nop); // dmb sy
    assert_eq!(t32(0xf3ef_8008).imm, 8); // mrs r0, msp
    assert_eq!(t32(0xf380_8808).imm, 8 | 2 << 8); // msr msp, r0
}

#[test]
fn modified_constants() {
    assert_eq!(t32::expand(0x0ab), (0xab, 0));
    assert_eq!(t32::expand(0x1ab), (0x00ab_00ab, 0));
    assert_eq!(t32::expand(0x2ab), (0xab00_ab00, 0));
    assert_eq!(t32::expand(0x3ab), (0xabab_abab, 0));
    assert_eq!(t32::expand(0x47f), (0xff00_0000, 3)); // 0xff ror 8
    assert_eq!(t32::expand(0xf80), (0x0000_0100, 2)); // 0x80 ror 31
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn decoding_is_total(raw: u32, pc: u32, in_it: bool) {
        let wide = is_wide((raw >> 16) as u16);
        let insn = if wide { decode(raw, true, pc & !1, in_it) } else { decode(raw >> 16, false, pc & !1, in_it) };
        prop_assert_eq!(insn.size, if wide { 4 } else { 2 });
        prop_assert!(insn.d < 16 && insn.n < 16 && insn.m < 16);
    }
}

#[test]
fn all_sixteen_bit_patterns_decode() {
    for raw in 0..=0xffffu16 {
        if !is_wide(raw) {
            assert_eq!(t16(raw).size, 2);
        }
    }
}
