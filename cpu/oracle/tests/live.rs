//! Our engine against the QEMU of this machine, over the streams of fixed seeds.

use southbridge_cpu_oracle::campaign::Campaign;
use southbridge_cpu_oracle::qemu;

/// Streams that the test runs: about ten seconds.
const STREAMS: usize = 4000;

#[test]
fn random_streams_agree_with_qemu() {
    if let Err(e) = qemu::version() {
        let reason = format!("no qemu-system-arm here ({e}); recorded_oracle stands in");
        return southbridge_testing::skip("random_streams_agree_with_qemu", &reason);
    }
    let mut campaign = Campaign::new().expect("QEMU starts with the harness");
    for seed in Campaign::seeds(0x0a2c).take(STREAMS) {
        campaign.one(seed).expect("QEMU answers");
        if campaign.tally.differences.len() >= 3 {
            break;
        }
    }
    let t = &campaign.tally;
    println!(
        "{} streams, {} instructions, {} faults",
        t.compared, t.instructions, t.faulted
    );
    assert!(t.differences.is_empty(), "\n{}", t.differences.join("\n"));
    // The comparison must not be idle: hardly any stream is left out, and all kinds of faults occur.
    assert!(t.compared as usize > STREAMS * 9 / 10, "{:?}", t.outside);
    for cfsr in [0x1_0000, 0x2_0000, 0x8_0000, 0x100_0000, 0x200_0000, 0x8200, 0x100, 1] {
        assert!(
            t.faults.contains_key(&cfsr),
            "no fault with CFSR {cfsr:#x}: {:x?}",
            t.faults
        );
    }
}
