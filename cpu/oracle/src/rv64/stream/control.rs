//! Jumps and branches, forward only.

use super::*;

pub(super) const fn immediate(d: u32) -> u32 {
    (d & 0xfff) << 20
}
const fn branch(d: u32) -> u32 {
    (d >> 12 & 1) << 31 | (d >> 5 & 0x3f) << 25 | (d >> 1 & 0xf) << 8 | (d >> 11 & 1) << 7
}
const fn jump(d: u32) -> u32 {
    (d >> 20 & 1) << 31 | (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20 | (d >> 12 & 0xff) << 12
}
const fn short_branch(d: u32) -> u32 {
    (d >> 8 & 1) << 12 | (d >> 3 & 3) << 10 | (d >> 6 & 3) << 5 | (d >> 1 & 3) << 3 | (d >> 5 & 1) << 2
}
const fn short_jump(d: u32) -> u32 {
    (d >> 11 & 1) << 12
        | (d >> 4 & 1) << 11
        | (d >> 8 & 3) << 9
        | (d >> 10 & 1) << 8
        | (d >> 6 & 1) << 7
        | (d >> 7 & 1) << 6
        | (d >> 1 & 7) << 3
        | (d >> 5 & 1) << 2
}

impl Stream {
    pub(super) fn control(&mut self) {
        let ahead = 1 + self.r.below(6) as usize;
        let link = *self.r.pick(&[0, RA, 5, 20]);
        let item = match self.r.below(20) {
            0..9 => {
                let raw = self.pick(forms::BRANCHES);
                Item::word(raw).to(0, branch, ahead)
            }
            9..11 => Item::word(0x6f | link << 7).to(0, jump, ahead),
            11..13 => {
                let extra = self.r.below(2);
                // An odd target: the lowest bit goes away.
                Item::words(&[auipc(T6, 0), i(0x67, 0, link, T6, 0) | extra << 20]).to(4, immediate, ahead)
            }
            13..15 => Item::half(0xc001 | self.r.below(2) << 13 | self.r.below(8) << 7).to(0, short_branch, ahead),
            15..17 => Item::half(0xa001).to(0, short_jump, ahead),
            17..19 => {
                let mut item = Item::words(&[auipc(T6, 0), addi(T6, T6, 0)]).to(4, immediate, ahead);
                let c = 0x8002 | T6 << 7 | self.r.below(2) << 12;
                item.bytes.extend((c as u16).to_le_bytes());
                item
            }
            // To nowhere.
            _ => Item::word(i(0x67, 0, link, 4, self.r.u32() as i32)),
        };
        self.push(item);
    }
}
