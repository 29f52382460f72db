use super::TYPE;
use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device_that_survives_reset};

/// The part of the lm3s6965evb.
fn part() -> Properties {
    [
        ("did0", 0x1001_0002),
        ("did1", 0x1073_402e),
        ("dc0", 0x00ff_007f),
        ("dc1", 0x0011_33ff),
        ("dc2", 0x030f_5317),
        ("dc3", 0x0f0f_87ff),
        ("dc4", 0x5000_007f),
        ("user0", 0x5452),
        ("user1", 0x0056_3412),
    ]
    .iter()
    .fold(Properties::default(), |p, (name, v)| p.with(name, PropValue::Uint(*v)))
}

fn bench() -> Bench {
    Bench::new(&TYPE, part())
}

fn clock(b: &Bench) -> u64 {
    let node = b.sys.slot(b.device).and_then(|s| s.clocks[0]).expect("bound");
    b.sys.clock_hz(node)
}

#[test]
fn general() {
    check_device_that_survives_reset(bench);
}

#[test]
fn identification_and_reset_values_are_those_of_the_part() {
    let mut b = bench();
    for (offset, value) in [
        (0x000, 0x1001_0002),
        (0x004, 0x1073_402e),
        (0x008, 0x00ff_007f),
        (0x010, 0x0011_33ff),
        (0x014, 0x030f_5317),
        (0x018, 0x0f0f_87ff),
        (0x01c, 0x5000_007f),
        (0x030, 0x7ffd),
        (0x060, 0x078e_3ad1),
        (0x064, 0x1902),
        (0x070, 0x0780_2810),
        (0x100, 0x40),
        (0x144, 0x0780_0000),
        (0x1d0, 0xffff_fffe),
        (0x1e0, 0x5452),
        (0x1e4, 0x0056_3412),
    ] {
        assert_eq!(b.read32(offset), value, "at {offset:#x}");
    }
}

#[test]
fn the_clock_after_reset_is_that_of_qemu() {
    let mut b = bench();
    assert_eq!(clock(&b), 12_500_000);
    b.write32(0x060, 0);
    assert_eq!(clock(&b), 200_000_000);
    b.sys.reset();
    assert_eq!(clock(&b), 12_500_000);
}

#[test]
fn the_pll_gives_50_mhz_the_way_the_driver_library_sets_it() {
    let mut b = bench();
    b.write32(0x054, 1 << 6);
    // Bypass, no divider; then crystal and power-up; then the divider (4) and the PLL.
    b.write32(0x060, 0x0780_3ad1 | 1 << 11);
    b.write32(0x060, (0x0780_0380 | 1 << 11) & !(1 << 13));
    assert_eq!(b.read32(0x050) & 1 << 6, 1 << 6, "PLL locked");
    assert!(b.line("irq", 0));
    assert_eq!(b.read32(0x064), 0x0640, "8 MHz crystal");
    b.write32(0x060, 3 << 23 | 1 << 22 | 0x380);
    assert_eq!(clock(&b), 50_000_000);
    b.write32(0x058, 1 << 6);
    assert!(!b.line("irq", 0));
}

#[test]
fn the_oscillators_are_divided_only_if_told() {
    let mut b = bench();
    let bypass = 1 << 11 | 1 << 13;
    b.write32(0x060, 1 << 23 | bypass);
    assert_eq!(clock(&b), 8_000_000, "crystal");
    b.write32(0x060, 1 << 23 | 1 << 22 | bypass);
    assert_eq!(clock(&b), 4_000_000);
    b.write32(0x060, bypass | 2 << 4);
    assert_eq!(clock(&b), 3_125_000);
    // RCC2 takes over, with the 32 kHz source that RCC does not have, then with a long division of the PLL.
    b.write32(0x070, 1 << 31 | 1 << 11 | 7 << 4);
    assert_eq!(clock(&b), 32_768);
    b.write32(0x070, 1 << 31 | 49 << 23);
    assert_eq!(clock(&b), 4_000_000);
}

#[test]
fn gates_exist_only_for_units_of_the_part() {
    let mut b = bench();
    for (offset, units) in [(0x100, 0x0011_0f48), (0x104, 0x030f_5317), (0x108, 0x5000_007f)] {
        for bank in [0, 0x10, 0x20] {
            b.write32(offset + bank, u32::MAX);
            assert_eq!(b.read32(offset + bank), units);
        }
    }
}

#[test]
fn the_cause_of_reset_survives_it() {
    let mut b = bench();
    assert_eq!(b.read32(0x05c), 0x2, "power-on");
    b.write32(0x05c, 0);
    b.set_input("watchdog-reset", 0, true);
    b.sys.reset();
    assert_eq!(b.read32(0x05c), 0x8, "watchdog");
}

#[test]
fn flash_protection_only_tightens() {
    let mut b = bench();
    b.write32(0x134, 0xffff_fff0);
    b.write32(0x400, 0xffff_ff0f);
    assert_eq!(b.read32(0x134), 0xffff_ff00);
    b.write32(0x400, u32::MAX);
    assert_eq!(b.read32(0x400), 0xffff_ff00);
}

#[test]
fn pll_factors_make_400_mhz_from_their_crystals() {
    let crystals = [
        1_000_000,
        1_843_200,
        2_000_000,
        2_457_600,
        3_579_545,
        3_686_400,
        4_000_000,
        4_096_000,
        4_915_200,
        5_000_000,
        5_120_000,
        6_000_000,
        6_144_000,
        7_372_800,
        8_000_000,
        8_192_000u64,
    ];
    for (i, (crystal, (f, r))) in crystals.iter().zip(super::regs::PLL_FACTORS).enumerate() {
        let hz = crystal * u64::from(f) / (u64::from(r) + 1);
        assert!(hz.abs_diff(400_000_000) < 100_000 || i == 7, "{crystal}: {hz}");
    }
}
