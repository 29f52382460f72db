//! Small parts that every machine leans on, timed by divan: the timer queue, a line that settles, the clock, an address looked up.

use divan::{Bencher, black_box};
use southbridge_core::clock::{Clock, ClockRate, TimerQueue, VirtualTime};
use southbridge_core::{DeviceId, Machine};
use southbridge_machine::{BOARDS, Built, Options, build, registry};

fn main() {
    divan::main();
}

/// Arms one timer among so many and takes it out again.
#[divan::bench(args = [1, 8, 64])]
fn timer_set_and_cancel(bencher: Bencher, others: u16) {
    let device = DeviceId::from_index(0);
    let mut queue = TimerQueue::default();
    for i in 0..others {
        queue.set(device, i, VirtualTime(u64::from(i) * 100));
    }
    bencher.bench_local(move || {
        queue.set(device, others, black_box(VirtualTime(50)));
        queue.cancel(device, others);
    });
}

#[divan::bench]
fn clock_now(bencher: Bencher) {
    let mut clock = Clock::new(ClockRate::Hz(25_000_000));
    clock.consume(1_234_567);
    bencher.bench_local(move || black_box(&clock).now());
}

#[divan::bench]
fn clock_ticks_until(bencher: Bencher) {
    let mut clock = Clock::new(ClockRate::Hz(25_000_000));
    clock.consume(1_234_567);
    bencher.bench_local(move || black_box(&clock).ticks_until(black_box(VirtualTime(1 << 40))));
}

fn board(name: &str) -> Built {
    let board = BOARDS
        .iter()
        .copied()
        .find(|b| b.name == name)
        .expect("a board of ours");
    let machine = Machine::empty(ClockRate::Hz(1)).expect("descriptors");
    build::build(machine, board, &registry(), &Options::default()).expect("a board")
}

/// Building a whole board, and throwing it away.
#[divan::bench(args = ["lm3s6965evb", "mps2-an385"])]
fn build_board(bencher: Bencher, name: &str) {
    bencher.bench_local(|| board(name));
}

/// A register write that raises an interrupt and one that lowers it: device, wire, CPU input.
#[divan::bench]
fn line_up_and_down(bencher: Bencher) {
    let mut built = board("lm3s6965evb");
    let sys = &mut built.machine.sys;
    sys.reset();
    // The software interrupt-free way to a line: UART0's transmit interrupt is pending at once when it is unmasked.
    let _ = sys.write(0x400f_e104, 4, 1);
    let _ = sys.write(0x4000_c030, 4, 0x301);
    bencher.bench_local(move || {
        let _ = sys.write(0x4000_c038, 4, black_box(0x20));
        let _ = sys.write(0x4000_c038, 4, black_box(0));
        sys.take_lines(southbridge_core::CpuId(0))
    });
}
