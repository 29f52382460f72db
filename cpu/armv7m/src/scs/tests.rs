use super::mpu::{Access, Mpu, Rights, Span};
use super::nvic::{IDLE, Nvic, Set};
use super::systick::{Rates, SysTick};
use proptest::prelude::*;

const CPU: Rates = Rates {
    cpu_hz: 25_000_000,
    ref_hz: None,
};
const BOTH: Rates = Rates {
    cpu_hz: 25_000_000,
    ref_hz: Some(1_000_000),
};

fn started(reload: u32, csr: u32, rates: Rates) -> SysTick {
    let mut t = SysTick::new(0, rates);
    t.write(4, reload, rates);
    t.write(8, 0, rates);
    t.write(0, csr, rates);
    t
}

#[test]
fn systick_counts_reload_plus_one() {
    let mut t = started(9, 7, CPU);
    assert_eq!(t.next_event(CPU), Some(10));
    assert!(!t.advance(1, CPU));
    assert_eq!(t.read(8, CPU), 9);
    assert!(!t.advance(9, CPU));
    assert!(t.advance(10, CPU));
    assert_eq!((t.read(8, CPU), t.read(0, CPU), t.read(0, CPU)), (0, 0x1_0007, 7));
    assert_eq!(t.next_event(CPU), Some(20));
    assert!(t.advance(57, CPU), "several periods at once count as one");
    assert_eq!(t.next_event(CPU), Some(60));
}

#[test]
fn systick_runs_from_the_reference_clock() {
    let mut t = started(9, 3, BOTH);
    assert_eq!(t.next_event(BOTH), Some(250));
    assert!(!t.advance(249, BOTH));
    assert!(t.advance(250, BOTH));
    assert_eq!(t.read(12, BOTH), 9_999);
    assert_eq!(SysTick::new(0, CPU).read(12, CPU), 1 << 31);
}

#[test]
fn systick_stops_without_reload() {
    let mut t = started(0, 7, CPU);
    assert_eq!(t.next_event(CPU), None);
    assert!(!t.advance(1_000_000, CPU));
}

proptest! {
    /// Looking at the counter in between changes nothing, and the announced event comes exactly then.
    #[test]
    fn systick_does_not_care_when_it_is_looked_at(reload in 1u32..50, looks in prop::collection::vec(1u64..40, 1..40), slow: bool) {
        let rates = Rates { cpu_hz: 7, ref_hz: Some(3) };
        let csr = if slow { 3 } else { 7 };
        let (mut often, mut once) = (started(reload, csr, rates), started(reload, csr, rates));
        let (mut now, mut events) = (0, 0);
        for step in looks {
            let due = often.next_event(rates);
            now += step;
            let came = often.advance(now, rates);
            prop_assert_eq!(came, due.is_some_and(|at| at <= now));
            events += u32::from(came);
        }
        prop_assert_eq!(once.advance(now, rates), events > 0);
        prop_assert_eq!(often.read(8, rates), once.read(8, rates));
    }

    #[test]
    fn a_set_holds_what_was_put(numbers in prop::collection::btree_set(0u16..256, 0..30)) {
        let mut set = Set::default();
        numbers.iter().for_each(|n| set.put(*n, true));
        let mut found = Vec::new();
        set.each(|n| found.push(n));
        prop_assert!(found.iter().eq(numbers.iter()));
        prop_assert_eq!(set.count() as usize, numbers.len());
        prop_assert_eq!(set.is_empty(), numbers.is_empty());
    }

    /// The span that comes with an MPU answer is true: every address in it has the same rights.
    #[test]
    fn mpu_spans_are_uniform(regions in prop::collection::vec((any::<u32>(), 4u32..32, any::<u8>(), 0u32..8), 0..8), addr: u32, pick: u32, privileged: bool) {
        let mut mpu = Mpu::default();
        for (i, (base, size, srd, ap)) in (0u32..).zip(regions) {
            mpu.write(0xc, base & (u32::MAX << size) << 1 & !0x1f | 0x10 | i, 8);
            mpu.write(0x10, ap << 24 | u32::from(srd) << 8 | size << 1 | 1, 8);
        }
        mpu.write(4, 5, 8);
        let (rights, Span { first, last }) = mpu.rights(addr, privileged, false);
        prop_assert!(first <= addr && addr <= last);
        let other = first + ((u64::from(pick) * (u64::from(last - first) + 1)) >> 32) as u32;
        for at in [first, other, last] {
            prop_assert_eq!(mpu.rights(at, privileged, false).0, rights);
        }
    }
}

#[test]
fn the_default_map_forbids_execution_of_devices() {
    let mpu = Mpu::default();
    let execute = |addr| mpu.rights(addr, true, false).0.allow(Access::Fetch);
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, 7].map(|top| execute(top << 29)),
        [true, true, false, true, true, false, false, false]
    );
}

#[test]
fn a_higher_region_wins_and_negative_priority_is_exempt() {
    let mut mpu = Mpu::default();
    mpu.write(0xc, 0x2000_0010, 8);
    mpu.write(0x10, 0x0300_0013, 8); // 1 KiB, all access
    mpu.write(0xc, 0x2000_0111, 8);
    mpu.write(0x10, 0x1000_000f, 8); // 256 bytes in it, none, XN
    mpu.write(4, 1, 8);
    let all = Rights {
        read: true,
        write: true,
        execute: true,
    };
    assert_eq!(
        mpu.rights(0x2000_0000, false, false),
        (
            all,
            Span {
                first: 0x2000_0000,
                last: 0x2000_00ff
            }
        )
    );
    assert!(!mpu.rights(0x2000_0180, true, false).0.read);
    assert!(mpu.rights(0x2000_0180, true, true).0.read);
    assert_eq!(mpu.read(0, 8), 0x800);
    assert_eq!(mpu.read(8, 8), 1, "RBAR.VALID selected it");
}

#[test]
fn levels_pend_again_until_they_fall() {
    let mut nvic = Nvic::default();
    nvic.write_enable(0, 1, 32, true);
    nvic.line(16, true);
    assert_eq!(nvic.best(), Some((16, 0)));
    nvic.enter(16);
    assert_eq!((nvic.best(), nvic.active_priority()), (None, 0));
    nvic.leave(16);
    assert_eq!(nvic.best(), Some((16, 0)), "still high");
    nvic.enter(16);
    nvic.line(16, false);
    nvic.line(16, true);
    nvic.line(16, false);
    nvic.leave(16);
    assert_eq!(nvic.best(), Some((16, 0)), "a pulse during the handler is latched");
    nvic.write_pending(0, 1, 32, false);
    assert_eq!((nvic.best(), nvic.active_priority()), (None, IDLE));
}

#[test]
fn absent_interrupts_ignore_their_bits() {
    let mut nvic = Nvic::default();
    nvic.write_enable(1, u32::MAX, 40, true);
    assert_eq!(Nvic::external_word(&nvic.enabled, 1, 64), 0xff);
}
