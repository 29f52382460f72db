//! What arrives at the hart.

use southbridge_core::cpu::CpuId;
use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use super::TYPE;

fn bench(machine: bool, pages: u64) -> Bench {
    let p = Properties::default()
        .with("mmode", PropValue::Bool(machine))
        .with("hartid", PropValue::Uint(1))
        .with("num-pages", PropValue::Uint(pages));
    let mut b = Bench::new(&TYPE, p);
    b.sys.set_cpu_count(2);
    b
}

fn heard(b: &mut Bench) -> Vec<(u32, bool)> {
    assert_eq!(b.sys.take_lines(CpuId(0)), []);
    b.sys.take_lines(CpuId(1))
}

#[test]
fn generic() {
    check_device(|| bench(true, 1));
    check_device(|| bench(false, 3));
}

#[test]
fn identities_arrive_in_order() {
    let mut b = bench(false, 1);
    for n in [5, 255, 5, 1] {
        b.write32(0, n);
    }
    assert_eq!(heard(&mut b), [0x11005, 0x110ff, 0x11005, 0x11001].map(|i| (i, true)));
}

#[test]
fn files_have_pages() {
    let mut b = bench(false, 3);
    b.write32(0x2000, 9);
    assert_eq!(heard(&mut b), [(0x13009, true)], "the second guest");
    let mut b = bench(true, 1);
    b.write32(0, 9);
    assert_eq!(heard(&mut b), [(0x10009, true)]);
}

#[test]
fn big_endian_messages() {
    let mut b = bench(false, 1);
    b.write32(4, 0x0700_0000);
    assert_eq!(heard(&mut b), [(0x11007, true)]);
}

#[test]
fn identities_that_do_not_exist() {
    let mut b = bench(false, 1);
    for (offset, n) in [(0, 0), (0, 256), (0, 0x10001), (4, 7), (8, 7)] {
        b.write32(offset, n);
    }
    assert_eq!(heard(&mut b), []);
    assert_eq!(b.read32(0), 0);
    assert!(b.sys.write(0, 8, 1).is_err() && b.sys.write(0, 2, 1).is_err());
}
