//! What a driver finds in an empty slot.

use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use super::TYPE;

fn bench(legacy: bool) -> Bench {
    Bench::new(
        &TYPE,
        Properties::default().with("force-legacy", PropValue::Bool(legacy)),
    )
}

#[test]
fn generic() {
    check_device(|| bench(true));
}

#[test]
fn nobody_is_there() {
    for (legacy, version) in [(true, 1), (false, 2)] {
        let mut b = bench(legacy);
        let words: Vec<_> = (0..4).map(|i| b.read32(4 * i)).collect();
        assert_eq!(words, [0x7472_6976, version, 0, 0x554d_4551]);
        b.write32(0x70, 0xff);
        assert!((0x10..0x200).step_by(4).all(|o| b.read32(o) == 0));
        assert!(!b.line("irq", 0));
    }
}
