//! A driver's view of the balloon, and what the host has back.

use southbridge_backend_block::IoThread;
use southbridge_bus_virtio::testing::{Buffer, Guest, RAM, RAM_LEN, system};
use southbridge_core::machine::{FreeSearch, Moving};
use southbridge_core::memory::Target;
use southbridge_core::{DeviceType, NoticeValue, PropValue, Properties, RamBlock};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::regs::*;
use super::{Balloon, TYPES};

fn device_type() -> &'static DeviceType {
    TYPES
        .iter()
        .find(|t| t.name == "virtio-balloon-device")
        .expect("a type")
}

fn guest(on: &[&str]) -> Guest {
    let mut p = Properties::default();
    for name in on {
        p.set(name, PropValue::Bool(true));
    }
    let mut g = Guest::new(device_type(), p);
    g.start(F_STATS_VQ | F_PAGE_POISON | F_REPORTING | F_DEFLATE_ON_OOM);
    g
}

fn ram(g: &Guest) -> RamBlock {
    let mut mappings = g.sys.memory.mappings();
    mappings
        .find_map(|(_, m)| match &m.target {
            Target::Ram { block, .. } => Some(block.clone()),
            _ => None,
        })
        .expect("memory")
}

/// Bytes of the host that the guest's memory takes.
fn taken(g: &Guest) -> u64 {
    let file = std::fs::File::from(ram(g).fd().try_clone_to_owned().expect("a descriptor"));
    std::os::unix::fs::MetadataExt::blocks(&file.metadata().expect("its size")) * 512
}

const PLACE: u64 = RAM + (32 << 20);

fn fill(g: &mut Guest, pages: u64) {
    for page in 0..pages {
        g.write(PLACE + page * PAGE, &[0xa5; PAGE as usize]);
    }
}

fn numbers(pages: impl Iterator<Item = u64>) -> Vec<u8> {
    pages.flat_map(|p| ((PLACE / PAGE + p) as u32).to_le_bytes()).collect()
}

#[test]
fn pages_in_the_balloon_are_the_hosts() {
    let mut g = guest(&[]);
    fill(&mut g, 512);
    let before = taken(&g);
    // As Linux does: from high to low; and one that is no memory.
    let list = numbers((0..256).rev());
    g.request(INFLATE, &[&list, &0u32.to_le_bytes()], &[]);
    // But for what the list itself takes.
    assert!((255..=256).contains(&((before - taken(&g)) / PAGE)));
    assert_eq!(g.read(PLACE, 16), [0; 16]);
    assert_eq!(g.read(PLACE + 256 * PAGE, 16), [0xa5; 16], "the next page stays");
    g.request(DEFLATE, &[&list], &[]);
    g.write(PLACE, b"again");
    assert_eq!(g.read(PLACE, 5), b"again");
}

#[test]
fn reported_pages_are_the_hosts_unless_they_have_a_pattern() {
    let mut g = guest(&["free-page-reporting"]);
    fill(&mut g, 64);
    let before = taken(&g);
    let report = [
        Buffer::writable(PLACE, 32 * PAGE as u32),
        Buffer::writable(PLACE + 40 * PAGE + 1, PAGE as u32),
    ];
    g.add_buffers(FIRST_OPTIONAL, &report);
    g.kick(FIRST_OPTIONAL);
    assert!(g.used(FIRST_OPTIONAL).is_some());
    assert_eq!(before - taken(&g), 32 * PAGE, "what is no whole page stays");
    g.drive(|e, cx| e.config_write(POISON as u64, 4, 0xaaaa_aaaa, cx));
    g.add_buffers(FIRST_OPTIONAL, &[Buffer::writable(PLACE + 32 * PAGE, PAGE as u32)]);
    g.kick(FIRST_OPTIONAL);
    assert_eq!(g.read(PLACE + 32 * PAGE, 4), [0xa5; 4]);
}

#[test]
fn the_size_is_asked_for_and_told() {
    let mut g = guest(&["deflate-on-oom"]);
    g.interrupts();
    g.with_model::<Balloon, _>(|b, cx| b.resize(16 << 20, cx));
    assert_eq!(g.interrupts() & 2, 2);
    assert_eq!(
        g.drive(|e, _| (e.config_read(0, 4), e.config_len())),
        (4096, CONFIG_LONG)
    );
    g.drive(|e, cx| e.config_write(ACTUAL as u64, 4, 1000, cx));
    assert_eq!(g.with_model::<Balloon, _>(|b, _| b.size()), 1000 * PAGE);
    let told = g.sys.take_notices();
    assert_eq!(told[0].event, "BALLOON_CHANGE");
    assert_eq!(told[0].members, [("balloon", NoticeValue::Number(1000 * PAGE as i64))]);
    let mut g = g.move_to(guest(&["deflate-on-oom"]));
    assert_eq!(g.drive(|e, _| (e.config_read(0, 4), e.config_read(4, 4))), (4096, 1000));
}

fn stats(list: &[(u16, u64)]) -> Vec<u8> {
    let one = |(tag, value): &(u16, u64)| [&tag.to_le_bytes()[..], &value.to_le_bytes()].concat();
    list.iter().flat_map(one).collect()
}

#[test]
fn statistics_come_when_asked_for() {
    let mut g = guest(&[]);
    g.add(STATS, &[&stats(&[(4, 100), (5, 200)])], &[]);
    g.kick(STATS);
    assert!(g.used(STATS).is_none(), "kept until the host asks");
    let value = |g: &mut Guest, name| {
        let told = g.with_model::<Balloon, _>(|b, _| b.stats());
        told.stats.iter().find(|s| s.0 == name).and_then(|s| s.1)
    };
    assert_eq!(value(&mut g, "stat-free-memory"), Some(100));
    assert_eq!(value(&mut g, "stat-swap-in"), None);
    g.with_model::<Balloon, _>(|b, cx| b.set_interval(2, cx));
    let start = g.sys.clock.now();
    g.wait_used(STATS);
    g.add(STATS, &[&stats(&[(0, 7), (4, u64::MAX), (99, 1)])], &[]);
    g.kick(STATS);
    assert_eq!(
        (value(&mut g, "stat-swap-in"), value(&mut g, "stat-free-memory")),
        (Some(7), None)
    );
    g.wait_used(STATS);
    assert!(
        g.sys.clock.now() >= start.after_ns(2_000_000_000),
        "two seconds of the machine's"
    );
    g.with_model::<Balloon, _>(|b, cx| b.set_interval(0, cx));
    assert_eq!(g.sys.next_deadline(), None);
}

#[test]
fn a_request_for_statistics_moves_with_the_machine() {
    let mut g = guest(&[]);
    g.add(STATS, &[&stats(&[(5, 9)])], &[]);
    g.kick(STATS);
    let mut g = g.move_to(guest(&[]));
    g.with_model::<Balloon, _>(|b, cx| b.set_interval(1, cx));
    g.wait_used(STATS);
}

#[test]
fn queues_follow_features() {
    let count = |on: &[&str]| guest(on).drive(|e, _| (e.queue_count(), e.offered() & 0x3f));
    assert_eq!(count(&[]), (3, F_STATS_VQ | F_PAGE_POISON));
    assert_eq!(
        count(&["free-page-reporting", "deflate-on-oom"]),
        (4, F_STATS_VQ | F_PAGE_POISON | F_REPORTING | F_DEFLATE_ON_OOM)
    );
    let p = Properties::default().with("page-poison", PropValue::Bool(false));
    let mut g = Guest::new(device_type(), p);
    assert_eq!(g.drive(|e, _| e.config_len()), CONFIG_SHORT);
}

#[test]
fn there_is_one() {
    let mut sys = system();
    let first = sys
        .add_device(device_type(), None, Properties::default(), &[])
        .expect("the first");
    let e = sys
        .add_device(device_type(), None, Properties::default(), &[])
        .expect_err("the second");
    assert_eq!(e.to_string(), "a machine has one balloon, and there is one already");
    sys.remove_device(first);
    sys.add_device(device_type(), None, Properties::default(), &[])
        .expect("another");
}

#[test]
fn hints_need_a_thread_that_is_there() {
    let hints = || Properties::default().with("free-page-hint", PropValue::Bool(true));
    let e = system()
        .add_device(device_type(), None, hints(), &[])
        .expect_err("none");
    assert_eq!(e.to_string(), "'free-page-hint' requires 'iothread' to be set");
    let p = hints().with("iothread", PropValue::Str("t0".into()));
    let e = system().add_device(device_type(), None, p, &[]).expect_err("no such");
    assert_eq!(
        e.to_string(),
        "'iothread' cannot be 't0'; it takes the id of an -object iothread"
    );
}

/// The queue for hints.
const HINTS: u16 = FIRST_OPTIONAL;

/// A guest that hints, in a machine that can be about to move.
struct Mover {
    g: Guest,
    search: Option<Arc<FreeSearch>>,
}

impl Mover {
    fn properties() -> Properties {
        Properties::default()
            .with("free-page-hint", PropValue::Bool(true))
            .with("iothread", PropValue::Str("t0".into()))
    }

    fn guest(p: Properties) -> Guest {
        let mut sys = system();
        IoThread::add(&mut sys.host, "t0").expect("a thread");
        let mut g = Guest::on(sys, device_type(), p);
        g.start(F_STATS_VQ | F_PAGE_POISON | F_HINTS | F_REPORTING);
        g
    }

    fn new() -> Self {
        let g = Self::guest(Self::properties());
        Self { g, search: None }
    }

    fn moving(&mut self, step: Moving) {
        let id = self.g.device;
        self.g.sys.with_device(id, |d, cx| d.on_moving(&step, cx));
        self.g.sys.settle();
    }

    /// What the device wants after the machine has begun to search.
    fn begin(&mut self) -> u32 {
        let search = FreeSearch::of(&[ram(&self.g)]);
        self.moving(Moving::Search(search.clone()));
        self.search = Some(search);
        self.command()
    }

    fn command(&mut self) -> u32 {
        self.g.drive(|e, _| e.config_read(8, 4)) as u32
    }

    fn say(&mut self, id: u32) {
        self.g.request(HINTS, &[&id.to_le_bytes()], &[]);
    }

    fn hint(&mut self, page: u64, pages: u64) {
        self.g
            .add_buffers(HINTS, &[Buffer::writable(PLACE + page * PAGE, (pages * PAGE) as u32)]);
        self.g.kick(HINTS);
        assert!(self.g.used(HINTS).is_some());
    }

    fn is_there(&mut self, page: u64) -> bool {
        self.g.read(PLACE + page * PAGE, 16) == [0xa5; 16]
    }

    fn is_waited_for(&self) -> bool {
        let waited = Cell::new(false);
        let long = Duration::from_secs(3600);
        if let Some(s) = &self.search {
            s.wait(long, long, || {
                waited.set(true);
                true
            });
        }
        waited.get()
    }
}

#[test]
fn hinted_pages_are_the_hosts_until_they_are_written() {
    let mut m = Mover::new();
    fill(&mut m.g, 64);
    assert_eq!(m.command(), COMMAND_STOP);
    m.hint(0, 4);
    assert!(m.is_there(0), "nobody asked");
    m.g.interrupts();
    let id = m.begin();
    assert_eq!((id, m.g.interrupts() & 2), (COMMAND_FIRST + 1, 2));
    m.hint(0, 4);
    m.say(id - 1);
    m.say(COMMAND_STOP);
    m.hint(0, 4);
    assert!(m.is_there(0), "these were an older command's");
    m.say(id);
    // In use again before the hint came, and free again after it.
    m.g.write(PLACE + 2 * PAGE, b"again");
    m.hint(0, 16);
    m.g.write(PLACE + 9 * PAGE, b"back");
    let there: Vec<u64> = (0..20).filter(|p| m.is_there(*p)).collect();
    assert_eq!(there, [16, 17, 18, 19]);
    assert_eq!(m.g.read(PLACE + 2 * PAGE, 5), b"again");
    assert_eq!(m.g.read(PLACE + 9 * PAGE, 5), b"back\0");
    assert!(m.is_waited_for());
    m.say(COMMAND_STOP);
    assert!(!m.is_waited_for());
    m.hint(16, 4);
    assert!(m.is_there(16), "after the end");
    assert_eq!((m.command(), m.g.interrupts() & 2), (COMMAND_STOP, 0));
    m.moving(Moving::Over);
    assert_eq!((m.command(), m.g.interrupts() & 2), (COMMAND_DONE, 2));
    m.moving(Moving::Over);
    assert_eq!(m.g.interrupts() & 2, 0, "once is enough");
    assert_eq!(m.begin(), id + 1);
}

#[test]
fn pages_with_a_pattern_are_not_hinted_away() {
    let mut m = Mover::new();
    fill(&mut m.g, 4);
    m.g.drive(|e, cx| e.config_write(POISON as u64, 4, 0xaaaa_aaaa, cx));
    let id = m.begin();
    m.say(id);
    m.hint(0, 4);
    assert!(m.is_there(0));
}

#[test]
fn a_search_ends_with_the_driver_the_device_or_its_patience() {
    let mut m = Mover::new();
    let id = m.begin();
    m.g.drive(|e, cx| e.reset(cx));
    assert!(!m.is_waited_for());
    assert_eq!(m.command(), COMMAND_STOP);
    m.begin();
    assert!(!m.is_waited_for(), "there is no driver to ask");
    let mut m = Mover::new();
    assert_eq!(m.begin(), id);
    let device = m.g.device;
    m.g.sys.remove_device(device);
    assert!(!m.is_waited_for());
    let mut m = Mover::new();
    fill(&mut m.g, 1);
    let id = m.begin();
    m.say(id);
    m.g.interrupts();
    let all = vec![Buffer::writable(RAM, RAM_LEN as u32); 3];
    m.g.add_buffers(HINTS, &all);
    m.g.kick(HINTS);
    assert!(!m.is_waited_for(), "all of its memory, twice");
    assert_eq!((m.command(), m.g.interrupts() & 2), (COMMAND_STOP, 2));
}

#[test]
fn at_the_other_end_all_pages_are_the_guests() {
    let mut m = Mover::new();
    let id = m.begin();
    m.say(id);
    let mut there = m.g.move_to(Mover::guest(Mover::properties()));
    assert_eq!(there.drive(|e, _| e.config_read(8, 4)) as u32, COMMAND_DONE);
    assert_eq!(there.interrupts() & 2, 2);
}

#[test]
fn a_command_of_less_than_four_bytes_breaks_the_rules() {
    let mut m = Mover::new();
    m.begin();
    m.g.add(HINTS, &[&[1, 2, 3]], &[]);
    m.g.kick(HINTS);
    assert!(m.g.needs_reset());
}

#[test]
fn hints_and_reports_have_queues_of_their_own() {
    let p = Mover::properties()
        .with("free-page-reporting", PropValue::Bool(true))
        .with("page-poison", PropValue::Bool(false));
    let mut g = Mover::guest(p);
    assert_eq!(g.drive(|e, _| (e.queue_count(), e.config_len())), (5, CONFIG_HINTS));
    fill(&mut g, 2);
    g.add_buffers(HINTS + 1, &[Buffer::writable(PLACE, PAGE as u32)]);
    g.kick(HINTS + 1);
    assert_eq!(g.read(PLACE, 4), [0; 4]);
    assert_eq!(g.read(PLACE + PAGE, 4), [0xa5; 4]);
}

#[test]
fn lists_without_end_have_one() {
    let mut g = guest(&[]);
    fill(&mut g, 1);
    // 63 MiB of page numbers in each of many segments.
    let buffers: Vec<Buffer> = (0..60).map(|_| Buffer::readable(RAM, RAM_LEN as u32)).collect();
    g.add_buffers(INFLATE, &buffers);
    g.kick(INFLATE);
    assert!(g.used(INFLATE).is_some());
    assert!(!g.needs_reset());
}
