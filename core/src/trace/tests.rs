use std::io::Write;
use std::sync::{Arc, Mutex};

use super::perfetto::{PerfettoSink, convert};
use super::text::{Line, Parsed, TextSink};
use super::{Glob, Record, Value, events};
use crate::device::{Device, DeviceType, Line as Wire, Mmio, ResetPhase};
use crate::host::Completion;
use crate::line::LineId;
use crate::{
    Access, ClockRate, Ctx, DeviceId, LoadError, Properties, Region, Register, SavedState, System, VirtualTime, role,
};

crate::trace_events! {
    /// Events of the probe.
    pub(crate) mod probe_events {
        probe_poked(value: hex, by: text) "somebody wrote DATA";
    }
}

/// A device with everything that can be traced. DATA: memory, and what came from the host; LINE: the output; TIMER: fires so many
/// nanoseconds later and pulses the output.
#[derive(Default)]
pub(crate) struct Probe {
    data: u64,
    results: Vec<i64>,
}

pub(crate) const DATA: u64 = 0x1000;
pub(crate) const LINE: u64 = 0x1004;
pub(crate) const TIMER: u64 = 0x1008;
const IRQ: LineId = 0;

pub(crate) static PROBE: DeviceType = DeviceType {
    name: "probe",
    summary: "a device to look at",
    regions: &[Region::mmio32(
        "regs",
        0x40,
        &[
            Register::rw(0, "DATA"),
            Register::rw(4, "LINE"),
            Register::wo(8, "TIMER"),
            Register::ro(0x10, "RESULT").times(2, 4),
        ],
    )],
    lines: &[Wire::out("irq")],
    roles: &[role!(Probe as dyn Mmio)],
    events: &probe_events::EVENTS,
    create: |_, _| Ok(Box::new(Probe::default())),
    ..DeviceType::BASE
};

impl Mmio for Probe {
    fn read(&mut self, access: Access, _: &mut Ctx<'_>) -> u64 {
        match access.offset {
            0 => self.data,
            0x10 => self.results.len() as u64,
            0x14 => self.results.last().copied().unwrap_or(0) as u64,
            _ => 0,
        }
    }
    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        match access.offset {
            0 => {
                self.data = value;
                probe_events::probe_poked(cx, value, "the guest");
            }
            4 => cx.set_line(IRQ, value & 1 != 0),
            _ => cx.set_timer(0, cx.now().after_ns(value)),
        }
    }
}

impl Device for Probe {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }
    fn load(&mut self, _: &SavedState) -> Result<(), LoadError> {
        Ok(())
    }
    fn on_timer(&mut self, _: u16, cx: &mut Ctx<'_>) {
        cx.pulse_line(IRQ);
    }
    fn on_completion(&mut self, done: Completion, _: &mut Ctx<'_>) {
        self.results.push(done.result);
        self.data = done.data.first().copied().unwrap_or(0).into();
    }
}

#[derive(Clone, Default)]
pub(crate) struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the text").extend(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Text {
    pub(crate) fn get(&self) -> String {
        String::from_utf8(self.0.lock().expect("the text").clone()).expect("text")
    }
}

pub(crate) fn board() -> (System, DeviceId, Text) {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).expect("a host");
    let text = Text::default();
    sys.trace.add_sink(Box::new(TextSink(Box::new(text.clone()))));
    let probe = sys
        .add_device(&PROBE, Some("p"), Properties::default(), &[])
        .expect("a probe");
    sys.map_device(probe, 0, DATA, 0).expect("a place");
    (sys, probe, text)
}

/// The same run for every test: a write, a read, a line, a timer.
fn exercise(sys: &mut System, probe: DeviceId) {
    sys.write(DATA, 4, 0x55).expect("a write");
    assert_eq!(sys.read(DATA, 1), Ok(0x55));
    sys.write(LINE, 4, 1).expect("a write");
    sys.write(TIMER, 4, 1000).expect("a write");
    sys.advance_to(VirtualTime(500));
    sys.write(LINE, 4, 0).expect("a write");
    sys.advance_to(VirtualTime(5000));
    sys.deliver_completion(probe, Completion::plain(1, 2, -5));
    sys.reset();
}

#[test]
fn globs() {
    for (pattern, name, is) in [
        ("*", "", true),
        ("pl011_*", "pl011_read", true),
        ("pl011_*", "pl01_read", false),
        ("*_re?d", "mmio_read", true),
        ("*a*b*", "xaxxbx", true),
        ("*a*b", "ab_abc", false),
        ("a", "ab", false),
        ("a**", "a", true),
    ] {
        assert_eq!(Glob::new(pattern).matches(name), is, "{pattern} {name}");
    }
}

#[test]
fn off_is_silent_and_everything_is_told_in_order() {
    let (mut sys, probe, text) = board();
    exercise(&mut sys, probe);
    assert_eq!(text.get(), "");

    let (mut sys, probe, text) = board();
    assert!(sys.trace_enable("*", true) > 10);
    exercise(&mut sys, probe);
    let expected = "\
[0.000000000] mmio_write p region=regs register=DATA offset=0x0 size=4 value=0x55
[0.000000000] probe_poked p value=0x55 by=\"the guest\"
[0.000000000] mmio_read p region=regs register=DATA offset=0x0 size=1 value=0x55
[0.000000000] mmio_write p region=regs register=LINE offset=0x4 size=4 value=0x1
[0.000000000] line_set p line=irq level=1
[0.000000000] mmio_write p region=regs register=TIMER offset=0x8 size=4 value=0x3e8
[0.000000000] timer_set p timer=0 deadline=1000
[0.000000500] mmio_write p region=regs register=LINE offset=0x4 size=4 value=0x0
[0.000000500] line_set p line=irq level=0
[0.000001000] timer_fire p timer=0
[0.000001000] line_set p line=irq level=1
[0.000001000] line_set p line=irq level=0
[0.000005000] completion p port=1 token=0x2 result=-5 bytes=0
[0.000005000] system_reset machine
[0.000005000] device_reset p phase=enter
[0.000005000] device_reset p phase=hold
[0.000005000] device_reset p phase=exit
";
    assert_eq!(text.get(), expected);
}

#[test]
fn the_last_rule_wins_and_holds_for_later_devices() {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).expect("a host");
    assert_eq!(sys.trace_enable("probe_*", true), 0, "nothing of that name yet");
    sys.add_device(&PROBE, None, Properties::default(), &[])
        .expect("a probe");
    let on = |sys: &System| -> Vec<_> { sys.trace.events().filter(|(_, on)| *on).map(|(e, _)| e.name).collect() };
    assert_eq!(on(&sys), ["probe_poked"]);
    assert_eq!(sys.trace_enable("mmio_*", true), 2);
    assert_eq!(sys.trace_enable("*_read", false), 1);
    assert_eq!(on(&sys), ["mmio_write", "probe_poked"]);
    for _ in 0..100 {
        sys.trace_enable("*", false);
    }
    assert!(on(&sys).is_empty());
    assert!(sys.trace.rules.len() <= 4, "toggling does not fill memory");
}

#[test]
fn names_are_unique_and_explained() {
    let all: Vec<_> = events::core::EVENTS.iter().chain(&events::cpu::EVENTS).collect();
    for (i, e) in all.iter().enumerate() {
        assert!(!e.help.is_empty(), "{}", e.name);
        assert!(all[..i].iter().all(|o| o.name != e.name), "{} twice", e.name);
    }
    assert_eq!(
        events::core::EVENTS.map(|e| e.name),
        [
            "mmio_read",
            "mmio_write",
            "line_set",
            "timer_set",
            "timer_cancel",
            "timer_fire",
            "completion",
            "clock_set",
            "device_reset",
            "system_reset",
            "fault_injected"
        ],
        "the order on which `refresh_probes` relies"
    );
}

#[test]
fn lines_read_back() {
    let values = [
        Value::Hex(1),
        Value::Text("a \"b\"\\\nc"),
        Value::Int(-3),
        Value::Text(""),
    ];
    let record = Record {
        at: VirtualTime(61_000_000_007),
        name: "x_y",
        source: "p",
        fields: &["a", "b", "c", "d"],
        values: &values,
    };
    let line = Line(&record).to_string();
    let parsed = Parsed::read(&line).expect("a line");
    assert_eq!(parsed.at, record.at);
    let values: Vec<_> = parsed.fields.iter().map(|(_, v)| v.as_str()).collect();
    assert_eq!(values, ["0x1", "a \"b\"\\\nc", "-3", ""]);
    for bad in [
        "",
        "hello",
        "[1.2] a b",
        "[0.000000001] a",
        "[0.000000001] a b c",
        "[x.000000001] a b",
        "[0.000000001",
    ] {
        assert_eq!(Parsed::read(bad), None, "{bad}");
    }
}

/// Checks that a file is what a viewer expects, and gives the slices by track: (name, begin, end).
fn slices(json: &str) -> Vec<(String, String, f64, f64)> {
    let file: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let events = file["traceEvents"].as_array().expect("an array");
    let mut names = std::collections::HashMap::new();
    let mut open: std::collections::HashMap<u64, Vec<(String, f64)>> = std::collections::HashMap::new();
    let mut out = Vec::new();
    let mut last = 0.0;
    for e in events {
        let tid = e["tid"].as_u64().unwrap_or(0);
        let name = || e["name"].as_str().expect("a name").to_owned();
        if e["ph"] == "M" {
            names.insert(tid, e["args"]["name"].as_str().expect("a track's name").to_owned());
            continue;
        }
        let ts = e["ts"].as_f64().expect("a time");
        assert!(ts >= last, "times never go back");
        last = ts;
        assert!(names.contains_key(&tid), "a track is named before it is used");
        match e["ph"].as_str() {
            Some("B") => open.entry(tid).or_default().push((name(), ts)),
            Some("E") => {
                let (name, begin) = open.entry(tid).or_default().pop().expect("an end has a beginning");
                out.push((names[&tid].clone(), name, begin, ts));
            }
            Some("i") => assert_eq!(e["s"], "t"),
            other => panic!("phase {other:?}"),
        }
    }
    assert!(open.values().all(Vec::is_empty), "every slice ends");
    out
}

#[test]
fn perfetto_gets_nested_slices() {
    let input = "\
CPU 0: a line of the log between
[0.000001000] cpu_exception_exit cpu0 number=15 exception=SysTick chained=0 to=0x0
[0.000002000] cpu_exception_enter cpu0 number=15 exception=SysTick priority=64 from=0x0 handler=0x0
[0.000003000] line_set uart line=irq level=1
[0.000003000] cpu_exception_enter cpu0 number=21 exception=IRQ5 priority=0 from=0x0 handler=0x0
[0.000004500] cpu_exception_exit cpu0 number=21 exception=IRQ5 chained=0 to=0x0
[0.000005000] cpu_exception_exit cpu0 number=15 exception=SysTick chained=1 to=0xfffffff9
[0.000005000] cpu_sleep cpu0 event=0
[0.000006000] ivshmem_flat_doorbell_out \"an \\\"odd\\\" name\" peer=1 vector=0
[0.000007000] cpu_wake cpu0
[0.000008000] cpu_exception_enter cpu0 number=3 exception=HardFault priority=-1 from=0x0 handler=0x0
[0.000009000] cpu_reset cpu0 pc=0x0 sp=0x0
";
    let out = Text::default();
    let n = convert(input.as_bytes(), Box::new(out.clone()), "board").expect("converted");
    assert_eq!(n, 11);
    let t = |track: &str, name: &str, a, b| (track.to_owned(), name.to_owned(), a, b);
    assert_eq!(
        slices(&out.get()),
        [
            t("cpu0", "IRQ5", 3.0, 4.5),
            t("cpu0", "SysTick", 2.0, 5.0),
            t("cpu0", "sleep", 5.0, 7.0),
            t("cpu0", "HardFault", 8.0, 9.0),
            t("uart irq", "irq", 3.0, 9.0),
        ]
    );
}

#[test]
fn the_sink_and_the_converter_agree() {
    let direct = Text::default();
    let lines = {
        let (mut sys, probe, text) = board();
        sys.trace
            .add_sink(Box::new(PerfettoSink::new(Box::new(direct.clone()), "board")));
        sys.trace_enable("*", true);
        exercise(&mut sys, probe);
        text.get()
    };
    let converted = Text::default();
    convert(lines.as_bytes(), Box::new(converted.clone()), "board").expect("converted");
    assert_eq!(direct.get(), converted.get());
    assert_eq!(slices(&direct.get()).len(), 2);
}
