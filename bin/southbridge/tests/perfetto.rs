//! The files for the Perfetto viewer against the "Trace Event Format" document (Google, 2016), read by a parser that knows only that.

mod common;
use common::{err, firmware, out, program, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a reader of the format gets from a file.
#[derive(Debug, Default, PartialEq)]
struct Timeline {
    process: String,
    tracks: BTreeMap<u64, Track>,
}

#[derive(Debug, Default, PartialEq)]
struct Track {
    name: String,
    /// Names of slices with begin, end and depth, in the order of their ends.
    slices: Vec<(String, u64, u64, usize)>,
    instants: Vec<(String, u64)>,
    /// Begun and not ended: names and times.
    open: Vec<(String, u64)>,
    last: u64,
}

/// Microseconds with three digits as nanoseconds; "ts" is a number in microseconds that may have a fraction.
fn nanoseconds(event: &Value) -> u64 {
    let us = event["ts"].as_f64().unwrap_or_else(|| panic!("no time: {event}"));
    assert!(us.is_finite() && us >= 0.0, "{event}");
    (us * 1000.0).round() as u64
}

fn text<'a>(event: &'a Value, member: &str) -> &'a str {
    let text = event[member].as_str();
    text.filter(|t| !t.is_empty())
        .unwrap_or_else(|| panic!("no {member}: {event}"))
}

impl Timeline {
    /// Reads a file in the format's "JSON Object Format".
    fn read(path: &Path) -> Self {
        let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).expect("whole JSON");
        assert!(matches!(file["displayTimeUnit"].as_str(), Some("ms" | "ns")));
        let mut timeline = Self::default();
        for event in file["traceEvents"].as_array().expect("a list of events") {
            timeline.take(event);
        }
        for track in timeline.tracks.values() {
            assert!(!track.name.is_empty(), "a track without a name");
            assert!(
                track.open.is_empty(),
                "{} is left open on {}",
                track.open.len(),
                track.name
            );
        }
        assert!(!timeline.process.is_empty());
        timeline
    }

    fn take(&mut self, event: &Value) {
        assert_eq!(event["pid"], 1, "one process: {event}");
        let tid = event["tid"].as_u64().unwrap_or_else(|| panic!("no track: {event}"));
        let at = nanoseconds(event);
        let phase = text(event, "ph");
        if phase == "M" && event["name"] == "process_name" {
            assert!(self.process.is_empty(), "named twice");
            self.process = text(&event["args"], "name").to_owned();
            return;
        }
        let track = self.tracks.entry(tid).or_default();
        if phase == "M" {
            assert_eq!(event["name"], "thread_name", "{event}");
            assert!(track.name.is_empty(), "named twice: {event}");
            track.name = text(&event["args"], "name").to_owned();
            return;
        }
        assert!(!track.name.is_empty(), "an event before its track's name: {event}");
        assert!(at >= track.last, "time runs backwards on {}: {event}", track.name);
        track.last = at;
        if phase != "E" {
            text(event, "cat");
            assert!(event["args"].is_object(), "{event}");
        }
        match phase {
            "B" => track.open.push((text(event, "name").to_owned(), at)),
            "E" => {
                let (name, begin) = track
                    .open
                    .pop()
                    .unwrap_or_else(|| panic!("an end without begin: {event}"));
                track.slices.push((name, begin, at, track.open.len()));
            }
            "i" => {
                assert!(matches!(event["s"].as_str(), Some("g" | "p" | "t")), "{event}");
                track.instants.push((text(event, "name").to_owned(), at));
            }
            _ => panic!("a phase that is not written here: {event}"),
        }
    }

    fn track(&self, name: &str) -> &Track {
        let found = self.tracks.values().find(|t| t.name == name);
        found.unwrap_or_else(|| panic!("no track {name}: {:?}", self.tracks.values().map(|t| &t.name)))
    }
}

/// Runs a guest with both kinds of file; gives the timelines that were written at once and by conversion.
fn timelines(machine: &mut Command) -> (Timeline, Timeline, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let result = run(machine
        .args(["-nographic", "-semihosting", "-pace", "skip", "-name", "board"])
        .args(["-trace", &format!("*,file={}", path("text").display())])
        .args(["-trace", &format!("file={},format=perfetto", path("direct").display())]));
    assert!(result.status.success(), "{}{}", out(&result), err(&result));
    let converted = run(program().arg("trace2perfetto").arg(path("text")).arg(path("converted")));
    assert!(converted.status.success(), "{}", err(&converted));
    let trace = fs::read_to_string(path("text")).unwrap();
    (
        Timeline::read(&path("direct")),
        Timeline::read(&path("converted")),
        trace,
    )
}

fn count(trace: &str, event: &str) -> usize {
    let is_it = |l: &&str| l.split(' ').nth(1) == Some(event);
    trace.lines().filter(is_it).count()
}

/// Everything that the text tells is on the time line, on both ways, and nothing else.
fn whole(machine: &mut Command) -> (Timeline, String) {
    let (direct, mut converted, trace) = timelines(machine);
    assert_eq!(direct.process, "board");
    converted.process.clone_from(&direct.process);
    assert_eq!(direct, converted);
    let all = |n: fn(&Track) -> usize| direct.tracks.values().map(n).sum::<usize>();
    let begins = count(&trace, "cpu_exception_enter")
        + count(&trace, "cpu_sleep")
        + trace
            .lines()
            .filter(|l| l.contains(" line_set ") && l.ends_with("level=1"))
            .count();
    let ends = count(&trace, "cpu_exception_exit")
        + count(&trace, "cpu_wake")
        + trace
            .lines()
            .filter(|l| l.contains(" line_set ") && l.ends_with("level=0"))
            .count();
    assert_eq!(all(|t| t.slices.len()), begins);
    assert_eq!(all(|t| t.instants.len()), trace.lines().count() - begins - ends);
    (direct, trace)
}

#[test]
fn a_board_with_interrupts() {
    let kernel = firmware("t-systick-mps2-an385.elf");
    let (timeline, trace) = whole(program().args(["-M", "mps2-an385", "-kernel", &kernel]));
    let cpu = timeline.track("cpu0");
    let of = |name: &str| cpu.slices.iter().filter(|s| s.0 == name).count();
    assert_eq!(of("sleep"), count(&trace, "cpu_sleep"));
    assert_eq!(
        of("SysTick"),
        trace.matches(" cpu_exception_enter cpu0 number=15 ").count()
    );
    assert!(of("SysTick") > 10, "{cpu:?}");
    assert!(cpu.slices.iter().all(|(_, begin, end, _)| begin <= end));
}

#[test]
fn a_greeting() {
    let kernel = firmware("hello-mps2-an385.elf");
    let (timeline, trace) = whole(program().args(["-M", "mps2-an385", "-kernel", &kernel]));
    let name = trace
        .lines()
        .find(|l| l.contains("register=DATA ") && l.contains("value=0x48"))
        .unwrap();
    let uart = timeline.track(name.split(' ').nth(2).unwrap());
    let sent = uart.instants.iter().filter(|(n, _)| n == "write DATA").count();
    assert!(sent >= "Hello".len(), "{uart:?}");
}

#[test]
fn a_risc_v_machine() {
    let kernel = firmware("coremark-like-bare-virt.elf");
    let (timeline, trace) = whole(program().args(["-M", "virt", "-bios", "none", "-kernel", &kernel]));
    let instants = |t: &Track| t.instants.iter().filter(|(n, _)| n.starts_with("write ")).count();
    let writes: usize = timeline.tracks.values().map(instants).sum();
    assert_eq!(writes, count(&trace, "mmio_write"));
    assert!(writes > 100, "the serial port says something");
}
