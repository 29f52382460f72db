//! A doorbell write on one board to the interrupt on the other, beside the same way between two processes that do nothing else.
//!
//! Firmware cannot see wall time, so there are two views. Two boards in two processes play for some thousand rounds, and half a round's
//! share of the time is the way from board to board, firmware on both sides included. And this process plays one of the two itself, a
//! peer without a guest, so that every single round through one board has its own time. Its own two bells cost it one system call more
//! than the echo's: a doorbell is never rung without asking whether it could block.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use southbridge_backend_ivshmem::{Client, Server, ServerConfig, ServerHandle};
use southbridge_core::RamBlock;

use crate::Result;
use crate::echo::Echo;
use crate::place::{Cores, Placement};
use crate::program::{Running, command, firmware, southbridge};
use crate::report::{Goal, Row};
use crate::stats::Series;

/// Turns of ours and the peer's, taken alternately.
const TURNS: usize = 7;
const ROUNDS: u32 = 10_000;
const LEADER: &str = "lm3s6965evb";
const FOLLOWER: &str = "mps2-an385";
const PATIENCE: Duration = Duration::from_secs(10);

/// Board to board, and through one board, in every placement of the two processes.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let cores = Cores::ask()?;
    let mut rows = Vec::new();
    for placement in Placement::ALL {
        rows.extend(placed(&cores, placement)?);
    }
    Ok(rows)
}

/// Both views; this process is the first of the two where it takes part.
fn placed(cores: &Cores, placement: Placement) -> Result<[Row; 2]> {
    let echo = cores.as_process(placement, true, Echo::start)?;
    let (mut boards, mut bare) = (Series::default(), Series::default());
    let (mut through, mut through_echo) = (Series::default(), Series::default());
    for _ in 0..TURNS {
        boards.push(two_boards(cores, placement)? / 2.0);
        bare.push(cores.as_process(placement, false, || blocking(&echo))? / 2.0);
        rounds_with_board(cores, placement, &mut through)?;
        cores.as_process(placement, false, || rounds_with_echo(&echo, &mut through_echo))?;
    }
    let name = placement.name();
    for (through_what, s) in [("board", &through), ("echo", &through_echo)] {
        let [a, b] = [0.1, 0.99].map(|q| s.quantile(q));
        eprintln!("  {name}: a round through one {through_what}: 10% below {a:.1}, 99% below {b:.1} us");
    }
    let goal = match placement {
        Placement::Free => Goal::TimesPeer(1.5),
        Placement::OneCore | Placement::TwoCores => Goal::None,
    };
    Ok([
        Row::new(format!("doorbell, board to board, one way, {name}"), "us", boards)
            .beside("eventfd ping-pong", bare)
            .goal(goal),
        Row::new(format!("doorbell, round trip through one board, {name}"), "us", through)
            .beside("through a bare echo process", through_echo)
            .goal(goal),
    ])
}

struct Meeting {
    _folder: tempfile::TempDir,
    server: ServerHandle,
}

impl Meeting {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = Server::bind(&ServerConfig::new(folder.path().join("ivshmem.sock")))?.spawn(drop)?;
        Ok(Self {
            _folder: folder,
            server,
        })
    }

    fn board(&self, name: &str) -> Result<Running> {
        Running::start(play(name, self.server.path())?)
    }
}

fn play(board: &str, socket: &Path) -> Result<Command> {
    let words = format!(
        "-M {board} -nographic -semihosting -append rounds={ROUNDS} -chardev socket,id=i,path={} -device ivshmem-flat,chardev=i",
        socket.display()
    );
    Ok(command(southbridge()?, &words, &firmware("doorbell-bench", board)?))
}

/// Microseconds a round of two boards.
fn two_boards(cores: &Cores, placement: Placement) -> Result<f64> {
    let meeting = Meeting::new()?;
    let mut leader = cores.as_process(placement, false, || meeting.board(LEADER))?;
    let mut follower = cores.as_process(placement, true, || meeting.board(FOLLOWER))?;
    follower.line("ready")?;
    leader.line("ready")?;
    let begin = Instant::now();
    leader.line("done:")?;
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS))
}

/// Microseconds a round of blocking reads and writes.
fn blocking(echo: &Echo) -> Result<f64> {
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        echo.round()?;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS))
}

/// Waits for an eventfd as a machine does: one wait for a change, nothing read.
struct Bell(OwnedFd);

impl Bell {
    fn new(fd: impl AsFd) -> Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let change = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&set, fd, epoll::EventData::new_u64(0), change)?;
        Ok(Self(set))
    }

    fn wait(&self) -> Result<()> {
        let patience = Timespec::try_from(PATIENCE)?;
        let mut events = [const { std::mem::MaybeUninit::uninit() }; 1];
        match epoll::wait(&self.0, &mut events, Some(&patience)) {
            Ok(([], _)) => Err("the other side does not answer".into()),
            Ok(_) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

fn rounds_with_echo(echo: &Echo, out: &mut Series) -> Result<()> {
    let bell = Bell::new(&echo.back)?;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        rustix::io::write(&echo.there, &1u64.to_ne_bytes())?;
        bell.wait()?;
        out.push_us(begin.elapsed());
    }
    rustix::io::read(&echo.back, &mut [0; 8])?;
    Ok(())
}

/// Offsets in the two slots of shared memory: `firmware/rust/board/src/link.rs`.
mod slot {
    pub(super) const THEIRS: u64 = 0;
    pub(super) const MINE: u64 = 0x1000;
    pub(super) const MAGIC: u64 = 0x00;
    pub(super) const POSITION: u64 = 0x04;
    pub(super) const GENERATION: u64 = 0x08;
    pub(super) const HEARD: u64 = 0x0c;
    pub(super) const STATE: u64 = 0x10;
    pub(super) const HEAD: u64 = 0x20;
    pub(super) const LIVE: u32 = u32::from_le_bytes(*b"SBPG");
    pub(super) const HERE: u32 = 1;
}

/// This process as the follower.
struct Player {
    client: Client,
    memory: RamBlock,
    bell: Bell,
}

impl Player {
    fn join(meeting: &Meeting) -> Result<Self> {
        let mut client = Client::connect(meeting.server.path())?;
        client.wait_until(PATIENCE, |c| c.is_greeted() && !c.own_vectors().is_empty())?;
        let fd = client.memory().ok_or("no shared memory")?.try_clone_to_owned()?;
        let memory = RamBlock::from_fd(fd, meeting.server.memory_size())?;
        let bell = Bell::new(client.own_vectors().first().ok_or("no vector")?)?;
        Ok(Self { client, memory, bell })
    }

    fn get(&self, at: u64) -> u32 {
        let mut word = [0; 4];
        let _ = self.memory.read(at, &mut word);
        u32::from_le_bytes(word)
    }

    fn put(&self, at: u64, value: u32) {
        let _ = self.memory.write(slot::MINE + at, &value.to_le_bytes());
    }

    fn ring(&self, peer: u16) -> Result<()> {
        Ok(self.client.ring(peer, 0)?)
    }

    /// Says hello, hears the board's bell, and says that it was heard: see `Link::meet` in the firmware.
    fn meet(&mut self) -> Result<u16> {
        let own = self.client.own_id().ok_or("no id")?;
        for (at, value) in [
            (slot::POSITION, own.into()),
            (slot::GENERATION, 1),
            (slot::STATE, slot::HERE),
            (slot::MAGIC, slot::LIVE),
        ] {
            self.put(at, value);
        }
        self.client
            .wait_until(PATIENCE, |c| c.peers().any(|(_, v)| !v.is_empty()))?;
        let (peer, _) = self.client.peers().next().ok_or("no peer")?;
        self.ring(peer)?;
        self.bell.wait()?;
        self.put(slot::HEARD, self.get(slot::THEIRS + slot::GENERATION));
        self.ring(peer)?;
        Ok(peer)
    }

    /// Waits until the board has written its `turn`th word, ringing bells of the meeting aside.
    fn await_turn(&self, turn: u32) -> Result<()> {
        while self.get(slot::THEIRS + slot::HEAD) != turn {
            self.bell.wait()?;
        }
        Ok(())
    }
}

fn rounds_with_board(cores: &Cores, placement: Placement, out: &mut Series) -> Result<()> {
    let meeting = Meeting::new()?;
    let mut player = Player::join(&meeting)?;
    let board = cores.as_process(placement, true, || meeting.board(LEADER))?;
    let peer = player.meet()?;
    player.await_turn(1)?;
    cores.as_process(placement, false, || play_rounds(&player, peer, out))?;
    drop(board);
    Ok(())
}

fn play_rounds(player: &Player, peer: u16, out: &mut Series) -> Result<()> {
    for turn in 1..ROUNDS {
        let begin = Instant::now();
        player.put(slot::HEAD, turn);
        player.ring(peer)?;
        // The word is there a little before the bell; a round is over when the bell has rung.
        player.bell.wait()?;
        player.await_turn(turn + 1)?;
        out.push_us(begin.elapsed());
    }
    Ok(())
}
