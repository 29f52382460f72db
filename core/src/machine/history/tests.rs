use super::*;
use crate::clock::ClockRate;
use crate::memory::RamBlock;

#[test]
fn history_that_takes_too_much_is_thinned_out() {
    let mut machine = Machine::empty(ClockRate::Hz(1_000_000)).unwrap();
    let block = RamBlock::new("ram", 64 << 10).unwrap();
    machine.ram.push(("ram".into(), block.clone()));
    machine.keep_history(true);
    for i in 1..=20 {
        // All of it anew each time, so that nothing is shared.
        assert!(block.write(0, &[i; 64 << 10]));
        machine.take_snapshot();
    }
    let mut history = machine.history.take().unwrap();
    assert_eq!(history.snapshots.len(), 21);
    assert_eq!(history.kept.bytes(), 20 * (64 << 10));
    history.thin_out(1, 300 << 10);
    assert_eq!(history.kept.bytes(), 256 << 10);
    history.thin_out(1, 0);
    assert_eq!(history.snapshots.len(), 2, "the first and the last stay");
}
