//! A driver's view of the balloon, and what the host has back.

use southbridge_bus_virtio::testing::{Buffer, Guest, RAM, RAM_LEN, system};
use southbridge_core::memory::Target;
use southbridge_core::{DeviceType, NoticeValue, PropValue, Properties, RamBlock};

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
    g.add_buffers(REPORTING, &report);
    g.kick(REPORTING);
    assert!(g.used(REPORTING).is_some());
    assert_eq!(before - taken(&g), 32 * PAGE, "what is no whole page stays");
    g.drive(|e, cx| e.config_write(POISON as u64, 4, 0xaaaa_aaaa, cx));
    g.add_buffers(REPORTING, &[Buffer::writable(PLACE + 32 * PAGE, PAGE as u32)]);
    g.kick(REPORTING);
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
fn there_is_one_and_hints_are_named() {
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
    let p = Properties::default().with("free-page-hint", PropValue::Bool(true));
    let e = system().add_device(device_type(), None, p, &[]).expect_err("not here");
    assert!(e.to_string().starts_with("'free-page-hint' cannot be 'on'"), "{e}");
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
