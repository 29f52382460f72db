//! Doorbell ping-pong for a latency benchmark: the host holds the watch.
//!
//! Prints `ready` once both boards have met, rings to and fro for `rounds=` rounds (default 10000, the leader's word
//! counts) without a word, then prints `done: N rounds`. `leader` or `follower` on the command line overrides the board's
//! own role, so that two boards of one kind can play.
//!
//! A round is a write to DOORBELL, the interrupt, and the answer. Beside that each side writes one word of shared memory
//! and reads one: the turn's number. It sorts out a bell left over from the meeting, which would otherwise double the
//! game, and costs nanoseconds against the microseconds of a bell.
#![no_std]
#![no_main]

use board::{CLOCK_HZ, HandlerCell, ROLE, Role, console, core_registers, ivshmem, link::Link, println, semihosting};
use core::sync::atomic::{AtomicBool, Ordering};

struct Bench {
    role: Role,
    link: Link,
    rounds: u32,
    /// The peer's number, once met.
    peer: Option<u16>,
    /// Bells rung.
    turn: u32,
}

static OVER: AtomicBool = AtomicBool::new(false);
static BENCH: HandlerCell<Option<Bench>> = HandlerCell::new(None);

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    console::init();
    ivshmem::listen();
    core_registers::start_tick(CLOCK_HZ / 100);
    while !OVER.load(Ordering::Relaxed) {
        board::wait_for_interrupt();
    }
    BENCH.with(|bench| println!("done: {} rounds", bench.as_ref().map_or(0, |bench| bench.turn)));
    0
}

#[unsafe(no_mangle)]
extern "C" fn irq(_number: u32) {
    ivshmem::acknowledge();
    BENCH.with(|bench| match bench {
        Some(bench) if bench.peer.is_some() => bench.play(),
        _ => meet(bench, true),
    });
}

#[unsafe(no_mangle)]
extern "C" fn SysTick_Handler() {
    BENCH.with(|bench| {
        if bench.as_ref().is_none_or(|bench| bench.peer.is_none()) {
            meet(bench, false);
        }
    });
}

fn meet(bench: &mut Option<Bench>, bell: bool) {
    if bench.is_none() {
        *bench = Bench::open();
    }
    if let Some(bench) = bench
        && bench.link.meet(bell)
    {
        bench.begin();
    }
}

impl Bench {
    fn open() -> Option<Self> {
        let role = match (semihosting::flag("leader"), semihosting::flag("follower")) {
            (true, _) => Role::Leader,
            (_, true) => Role::Follower,
            _ => ROLE,
        };
        let rounds = semihosting::option("rounds").unwrap_or(10_000).max(1);
        Some(Self {
            role,
            link: Link::open(role, rounds)?,
            rounds,
            peer: None,
            turn: 0,
        })
    }

    fn begin(&mut self) {
        core_registers::stop_tick();
        self.peer = self.link.peer().map(|(peer, _)| peer);
        if self.role == Role::Follower {
            self.rounds = self.link.rounds();
        }
        println!("ready");
        match self.role {
            Role::Leader => self.ring(),
            // The leader's first ring may have been the bell that made the meeting.
            Role::Follower => self.play(),
        }
    }

    /// A bell: if it is our turn, ring back.
    fn play(&mut self) {
        let theirs = self.link.published();
        match self.role {
            Role::Leader if theirs == self.turn && self.turn == self.rounds => self.end(),
            Role::Leader if theirs == self.turn => self.ring(),
            Role::Follower if theirs == self.turn.wrapping_add(1) => {
                self.ring();
                if self.turn == self.rounds {
                    self.end();
                }
            }
            _ => {}
        }
    }

    fn ring(&mut self) {
        self.turn += 1;
        self.link.publish(self.turn);
        if let Some(peer) = self.peer {
            ivshmem::ring(peer);
        }
    }

    fn end(&self) {
        OVER.store(true, Ordering::Relaxed);
        // Wakes `main` should it be just about to sleep.
        core_registers::start_tick(CLOCK_HZ / 100);
    }
}
