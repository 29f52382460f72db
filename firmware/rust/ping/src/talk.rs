//! The talk itself: what to do at a doorbell or a tick. Numbers run over both directions: the leader's are odd.

use crate::{
    TICK,
    message::{Bad, Message},
};
use board::{
    NAME, Role, core_registers,
    link::{Link, RING_LENGTH, State},
    println,
};

enum Phase {
    /// Waiting to hear each other. The tick runs.
    Meeting,
    /// Messages go to and fro. The tick is off.
    Talking,
    /// All messages are through; waiting for the other to say so too. The tick runs again.
    Parting,
}

/// One board's side of it.
pub(crate) struct Talk {
    role: Role,
    link: Link,
    phase: Phase,
    rounds: u32,
    sent: u32,
    received: u32,
    lost: u32,
    doubled: u32,
}

impl Talk {
    /// `None` while the ivshmem device has no number yet.
    pub(crate) fn open(role: Role, rounds: u32) -> Option<Self> {
        let link = Link::open(role, rounds)?;
        println!("{NAME}: here, generation {}", link.generation());
        Some(Self {
            role,
            link,
            phase: Phase::Meeting,
            rounds,
            sent: 0,
            received: 0,
            lost: 0,
            doubled: 0,
        })
    }

    /// One event. The machine's exit status when all is over.
    pub(crate) fn step(&mut self, bell: bool) -> Option<i32> {
        if !matches!(self.phase, Phase::Meeting) {
            if !self.link.same_peer() {
                self.start_over();
            } else if self.link.says(State::Failed) {
                println!("{NAME}: the other board gave up");
                return Some(1);
            }
        }
        match self.phase {
            Phase::Meeting => {
                if !self.link.meet(bell) {
                    return None;
                }
                self.begin();
                // A first message may have come with the very bell that made the meeting.
                self.talk()
            }
            Phase::Talking => self.talk(),
            Phase::Parting => self.part(),
        }
    }

    fn begin(&mut self) {
        core_registers::stop_tick();
        self.phase = Phase::Talking;
        if self.role == Role::Follower {
            self.rounds = self.link.rounds();
        }
        if let Some((peer, generation)) = self.link.peer() {
            println!(
                "{NAME}: met peer {peer}, generation {generation}; {} rounds",
                self.rounds
            );
        }
        if self.role == Role::Leader {
            self.send(1);
        }
    }

    fn start_over(&mut self) {
        println!(
            "{NAME}: the other board was restarted after {} messages; starting over",
            self.received
        );
        (self.sent, self.received, self.lost, self.doubled) = (0, 0, 0, 0);
        self.phase = Phase::Meeting;
        core_registers::start_tick(TICK);
    }

    /// Takes what has come, and answers.
    fn talk(&mut self) -> Option<i32> {
        let published = self.link.published();
        if published.wrapping_sub(self.received) > RING_LENGTH {
            return self.give_up(format_args!("the ring holds {published}, {} were taken", self.received));
        }
        while self.received != published {
            match Message::read(self.link.incoming(self.received), self.link.session(self.role)) {
                Ok(message) => self.take(&message),
                Err(bad) => return self.refuse(&bad),
            }
        }
        if self.received < self.rounds {
            return None;
        }
        if self.role == Role::Leader {
            self.link.say(State::Done);
        }
        self.phase = Phase::Parting;
        core_registers::start_tick(TICK);
        self.part()
    }

    fn take(&mut self, message: &Message) {
        let first = if self.role == Role::Leader { 2 } else { 1 };
        let expected = first + 2 * self.received;
        if message.number < expected {
            self.doubled += 1;
            println!("{NAME}: #{} came again, #{expected} was due", message.number);
        } else if message.number > expected {
            self.lost += (message.number - expected).div_ceil(2);
            println!("{NAME}: #{} came where #{expected} was due", message.number);
        }
        self.received += 1;
        if self.received <= 3 || self.received.is_multiple_of((self.rounds / 10).max(100)) {
            println!("{NAME}: got #{} \"{}\"", message.number, message.text());
        }
        if self.role == Role::Follower || self.received < self.rounds {
            self.send(message.number.wrapping_add(1));
        }
    }

    fn send(&mut self, number: u32) {
        let word = if self.role == Role::Leader { "ping" } else { "pong" };
        let message = Message::new(
            number,
            self.link.session(self.role),
            format_args!("{word} {number} from {NAME}"),
        );
        message.write(self.link.outgoing(self.sent));
        self.sent += 1;
        self.link.publish(self.sent);
        self.link.ring();
    }

    /// The leader leaves last: the follower answers its `Done`, so neither goes before the other heard everything.
    fn part(&mut self) -> Option<i32> {
        if !self.link.says(State::Done) {
            return None;
        }
        if self.role == Role::Follower {
            self.link.say(State::Done);
        }
        println!(
            "{NAME}: {} messages sent, {} received, {} lost, {} doubled",
            self.sent, self.received, self.lost, self.doubled
        );
        Some(i32::from(self.lost != 0 || self.doubled != 0))
    }

    fn refuse(&self, bad: &Bad) -> Option<i32> {
        match bad {
            Bad::Checksum { says, is } => self.give_up(format_args!("checksum is {is:#010x}, it says {says:#010x}")),
            Bad::Length(length) => self.give_up(format_args!("a text of {length} bytes")),
            Bad::Session { says, is } => self.give_up(format_args!("session {says:#x}, we are in {is:#x}")),
            Bad::Text => self.give_up(format_args!("the text is not UTF-8")),
        }
    }

    fn give_up(&self, why: core::fmt::Arguments<'_>) -> Option<i32> {
        println!("{NAME}: message {} is bad: {why}", self.received + 1);
        self.link.say(State::Failed);
        Some(1)
    }
}
