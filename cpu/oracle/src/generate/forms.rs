//! Data-processing encodings of the Cortex-M3 with what makes each of them UNPREDICTABLE (DDI 0403, A5.2, A5.3 and A7.7).
//!
//! Four-bit fields named `d`, `h`, `n`, `m` and `a` are registers and never SP or PC, which nearly every 32-bit form forbids; the few
//! forms where they mean something have rows of their own.

use crate::picture::Picture;

/// One encoding.
pub struct Form {
    /// How it is drawn.
    pub picture: Picture,
    /// How often, beside the others.
    pub weight: u32,
    /// Whether a filling is predictable, beyond the rule for registers.
    pub ok: fn(Picture, u32) -> bool,
    /// Whether it may stand in an IT block.
    pub in_it: bool,
}

const fn form(weight: u32, picture: &'static str, ok: fn(Picture, u32) -> bool) -> Form {
    Form {
        picture: Picture(picture),
        weight,
        ok,
        in_it: true,
    }
}
const fn outside_it(weight: u32, picture: &'static str, ok: fn(Picture, u32) -> bool) -> Form {
    Form {
        picture: Picture(picture),
        weight,
        ok,
        in_it: false,
    }
}

fn any(_: Picture, _: u32) -> bool {
    true
}
/// ThumbExpandImm: a repeated zero byte is UNPREDICTABLE (A5.3.2).
fn constant(p: Picture, raw: u32) -> bool {
    let i = p.get(raw, b'i');
    !(matches!(i >> 8, 1..=3) && i & 0xff == 0)
}
/// Low registers on both sides belong to other encodings, and PC is UNPREDICTABLE.
fn cmp_high(p: Picture, raw: u32) -> bool {
    let (n, m) = (p.get(raw, b'N'), p.get(raw, b'M'));
    (n > 7 || m > 7) && n != 15 && m != 15
}
/// Neither a branch nor a wild SP.
fn high_to_low(p: Picture, raw: u32) -> bool {
    !matches!(p.get(raw, b'D'), 13 | 15)
}
fn shift_right(p: Picture, raw: u32) -> bool {
    p.get(raw, b'z') == 0 || p.get(raw, b'i') != 0
}
fn inside_word(p: Picture, raw: u32) -> bool {
    p.get(raw, b'i') + p.get(raw, b'w') < 32
}
fn msb_above_lsb(p: Picture, raw: u32) -> bool {
    p.get(raw, b'w') >= p.get(raw, b'i')
}
fn same_twice(p: Picture, raw: u32) -> bool {
    p.get(raw, b'm') == p.get(raw, b'k')
}
fn two_results(p: Picture, raw: u32) -> bool {
    p.get(raw, b'd') != p.get(raw, b'h')
}
/// SP plus register: shifted left by 3 at most.
fn small_shift(p: Picture, raw: u32) -> bool {
    p.get(raw, b'i') <= 3
}
/// A zero shift belongs to another encoding that is not allowed in IT blocks.
fn shifted(p: Picture, raw: u32) -> bool {
    p.get(raw, b'i') != 0
}

/// 16-bit forms (A5.2).
#[rustfmt::skip]
pub static NARROW: &[Form] = &[
    outside_it(1, "00000 00000 mmm ddd", any),
    form(4, "00000 iiiii mmm ddd", shifted),
    form(4, "00001 iiiii mmm ddd", any),
    form(4, "00010 iiiii mmm ddd", any),
    form(6, "000110 o mmm nnn ddd", any),
    form(6, "000111 o iii nnn ddd", any),
    form(10, "001 oo ddd iiiiiiii", any),
    form(24, "010000 oooo mmm ddd", any),
    form(3, "01000100 D MMMM DDD", high_to_low),
    form(3, "01000101 N MMMM NNN", cmp_high),
    form(3, "01000110 D MMMM DDD", high_to_low),
    form(2, "10100 ddd iiiiiiii", any),
    form(2, "10101 ddd iiiiiiii", any),
    form(4, "10110010 oo mmm ddd", any),
    form(1, "1011101000 mmm ddd", any),
    form(1, "1011101001 mmm ddd", any),
    form(1, "1011101011 mmm ddd", any),
];

/// 32-bit forms (A5.3).
#[rustfmt::skip]
pub static WIDE: &[Form] = &[
    // Shifted register, A5.3.11.
    form(2, "111010100001 nnnn 0 iii 1111 ii tt mmmm", any),
    form(2, "111010101001 nnnn 0 iii 1111 ii tt mmmm", any),
    form(2, "111010110001 nnnn 0 iii 1111 ii tt mmmm", any),
    form(2, "111010111011 nnnn 0 iii 1111 ii tt mmmm", any),
    form(3, "11101010000 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101010001 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101010010 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101010010 s 1111 0 iii dddd ii tt mmmm", any),
    form(3, "11101010011 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101010011 s 1111 0 iii dddd ii tt mmmm", any),
    form(3, "11101010100 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101011000 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101011010 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101011011 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101011101 s nnnn 0 iii dddd ii tt mmmm", any),
    form(3, "11101011110 s nnnn 0 iii dddd ii tt mmmm", any),
    form(1, "11101011000 s 1101 0 iii dddd ii 00 mmmm", small_shift),
    form(1, "11101011101 s 1101 0 iii dddd ii 00 mmmm", small_shift),
    // Modified immediate, A5.3.1.
    form(2, "11110 i 000001 nnnn 0 iii 1111 iiiiiiii", constant),
    form(2, "11110 i 001001 nnnn 0 iii 1111 iiiiiiii", constant),
    form(2, "11110 i 010001 nnnn 0 iii 1111 iiiiiiii", constant),
    form(2, "11110 i 011011 nnnn 0 iii 1111 iiiiiiii", constant),
    form(3, "11110 i 00000 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 00001 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 00010 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 00010 s 1111 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 00011 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 00011 s 1111 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 00100 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 01000 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 01010 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 01011 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 01101 s nnnn 0 iii dddd iiiiiiii", constant),
    form(3, "11110 i 01110 s nnnn 0 iii dddd iiiiiiii", constant),
    form(1, "11110 i 01000 s 1101 0 iii dddd iiiiiiii", constant),
    form(1, "11110 i 01101 s 1101 0 iii dddd iiiiiiii", constant),
    // Plain immediate, A5.3.3.
    form(2, "11110 i 100000 nnnn 0 iii dddd iiiiiiii", any),
    form(2, "11110 i 101010 nnnn 0 iii dddd iiiiiiii", any),
    form(1, "11110 i 100000 1111 0 iii dddd iiiiiiii", any),
    form(1, "11110 i 101010 1111 0 iii dddd iiiiiiii", any),
    form(1, "11110 i 100000 1101 0 iii dddd iiiiiiii", any),
    form(1, "11110 i 101010 1101 0 iii dddd iiiiiiii", any),
    form(2, "11110 i 100100 jjjj 0 iii dddd iiiiiiii", any),
    form(2, "11110 i 101100 jjjj 0 iii dddd iiiiiiii", any),
    form(6, "11110 0 1100 z 0 nnnn 0 iii dddd ii 0 bbbbb", shift_right),
    form(6, "11110 0 1110 z 0 nnnn 0 iii dddd ii 0 bbbbb", shift_right),
    form(4, "11110 0 110100 nnnn 0 iii dddd ii 0 wwwww", inside_word),
    form(4, "11110 0 111100 nnnn 0 iii dddd ii 0 wwwww", inside_word),
    form(4, "11110 0 110110 nnnn 0 iii dddd ii 0 wwwww", msb_above_lsb),
    form(4, "11110 0 110110 1111 0 iii dddd ii 0 wwwww", msb_above_lsb),
    // Register, A5.3.12.
    form(8, "111110100 tt s nnnn 1111 dddd 0000 mmmm", any),
    form(2, "1111101000001111 1111 dddd 10 ii mmmm", any),
    form(2, "1111101000011111 1111 dddd 10 ii mmmm", any),
    form(2, "1111101001001111 1111 dddd 10 ii mmmm", any),
    form(2, "1111101001011111 1111 dddd 10 ii mmmm", any),
    form(4, "111110101001 kkkk 1111 dddd 10 ii mmmm", same_twice),
    form(2, "111110101011 kkkk 1111 dddd 1000 mmmm", same_twice),
    // Multiply and divide, A5.3.16 and A5.3.17.
    form(3, "111110110000 nnnn 1111 dddd 0000 mmmm", any),
    form(3, "111110110000 nnnn aaaa dddd 0000 mmmm", any),
    form(3, "111110110000 nnnn aaaa dddd 0001 mmmm", any),
    form(3, "111110111000 nnnn dddd hhhh 0000 mmmm", two_results),
    form(3, "111110111010 nnnn dddd hhhh 0000 mmmm", two_results),
    form(3, "111110111100 nnnn dddd hhhh 0000 mmmm", two_results),
    form(3, "111110111110 nnnn dddd hhhh 0000 mmmm", two_results),
    form(4, "111110111001 nnnn 1111 dddd 1111 mmmm", any),
    form(4, "111110111011 nnnn 1111 dddd 1111 mmmm", any),
];

/// Whether the four-bit registers of a filling are neither SP nor PC.
pub fn plain_registers(p: Picture, raw: u32) -> bool {
    b"dhnma"
        .iter()
        .all(|l| p.width(*l) != 4 || !matches!(p.get(raw, *l), 13 | 15))
}

/// The row that makes an instruction predictable data processing.
pub fn find(raw: u32, wide: bool) -> Option<&'static Form> {
    let table = if wide { WIDE } else { NARROW };
    table
        .iter()
        .find(|f| f.picture.matches(raw) && plain_registers(f.picture, raw) && (f.ok)(f.picture, raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_the_right_length() {
        assert!(NARROW.iter().all(|f| f.picture.len() == 16));
        assert!(
            WIDE.iter().all(|f| f.picture.len() == 32),
            "{:?}",
            WIDE.iter().find(|f| f.picture.len() != 32).map(|f| f.picture)
        );
    }
}
