//! Trace events: what happens in a machine, as typed records with virtual time.
//!
//! Events are declared in one table per family ([`crate::trace_events!`]): those of every machine in [`events`], a device type's own
//! in [`crate::DeviceType::events`]. Which are on is decided by glob rules, in order, the last match wins; a rule also holds for
//! tables that come later (a device plugged in). Off costs one test of a flag in [`crate::System`] at each place; nothing is formatted
//! and no name is looked up before that test. It is not the log of `-d`, which is prose; but events can be written into that log.

pub mod events;
mod glob;
pub mod perfetto;
pub mod text;

pub use glob::Glob;

use crate::clock::VirtualTime;
use crate::log::Log;
use crate::system::Ctx;

/// One event as declared.
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// Name, unique over all families: `family_what`.
    pub name: &'static str,
    /// Names of its values.
    pub fields: &'static [&'static str],
    /// One line for people.
    pub help: &'static str,
}

/// A value of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Shown decimal.
    Uint(u64),
    /// Shown hexadecimal: addresses, bits.
    Hex(u64),
    /// Signed: results, errnos.
    Int(i64),
    /// A level or a choice.
    Flag(bool),
    /// A name.
    Text(&'a str),
}

/// An event as it happened.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When.
    pub at: VirtualTime,
    /// Name of the event.
    pub name: &'a str,
    /// Who: a device by its id or `type@address`, `cpu0`, `machine`. No spaces.
    pub source: &'a str,
    /// Names of the values.
    pub fields: &'a [&'a str],
    /// Values.
    pub values: &'a [Value<'a>],
}

impl<'a> Record<'a> {
    /// A value by name.
    pub fn get(&self, field: &str) -> Option<Value<'a>> {
        let i = self.fields.iter().position(|f| *f == field)?;
        self.values.get(i).copied()
    }
}

/// Takes records.
pub trait Sink: Send {
    /// One record, in order of time.
    fn record(&mut self, record: &Record<'_>);
}

/// What events can be sent to; the functions that [`crate::trace_events!`] makes take one.
pub trait Tracer {
    /// Whether event `index` of a table is on.
    fn traces(&self, table: &'static [Event], index: usize) -> bool;
    /// Sends it, with its values in the order of the table.
    fn trace(&mut self, table: &'static [Event], index: usize, values: &[Value<'_>]);
}

/// Declares a family of events: a module with the table `EVENTS` and one function for each event, typed as declared and free when the
/// event is off.
///
/// ```
/// southbridge_core::trace_events! {
///     /// Events of the UART.
///     pub mod uart_events {
///         uart_sent(byte: hex, waiting: uint) "a byte leaves the transmitter";
///     }
/// }
/// assert_eq!(uart_events::EVENTS[0].fields, ["byte", "waiting"]);
/// ```
/// Kinds of fields: `uint` and `hex` (`u64`), `int` (`i64`), `flag` (`bool`), `text` (`&str`). A table has at most 64 events.
#[macro_export]
macro_rules! trace_events {
    (@type uint) => { u64 };
    (@type hex) => { u64 };
    (@type int) => { i64 };
    (@type flag) => { bool };
    (@type text) => { &str };
    (@value uint $v:ident) => { $crate::trace::Value::Uint($v) };
    (@value hex $v:ident) => { $crate::trace::Value::Hex($v) };
    (@value int $v:ident) => { $crate::trace::Value::Int($v) };
    (@value flag $v:ident) => { $crate::trace::Value::Flag($v) };
    (@value text $v:ident) => { $crate::trace::Value::Text($v) };
    ($(#[$meta:meta])* $vis:vis mod $module:ident {
        $($name:ident ( $($field:ident : $kind:ident),* ) $help:literal;)*
    }) => {
        $(#[$meta])*
        #[allow(unreachable_pub, reason = "the module says how far it reaches")]
        $vis mod $module {
            /// The table.
            // A static of the array itself: its address is what names the table in a machine.
            pub static EVENTS: [$crate::trace::Event; [$(stringify!($name)),*].len()] = [$(
                $crate::trace::Event { name: stringify!($name), fields: &[$(stringify!($field)),*], help: $help }
            ),*];

            #[expect(non_camel_case_types, reason = "named as the events are")]
            enum Index { $($name),* }

            $(
                #[doc = concat!("Event: ", $help, ".")]
                #[inline]
                pub fn $name(to: &mut impl $crate::trace::Tracer $(, $field: $crate::trace_events!(@type $kind))*) {
                    if to.traces(&EVENTS, Index::$name as usize) {
                        to.trace(&EVENTS, Index::$name as usize, &[$($crate::trace_events!(@value $kind $field)),*]);
                    }
                }
            )*
        }
    };
}

/// A declared table, by number within one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FamilyId(usize);

struct Family {
    table: &'static [Event],
    /// Bit i: event i is on.
    mask: u64,
}

/// The tracing state of one machine.
pub struct Trace {
    rules: Vec<(Glob, bool)>,
    families: Vec<Family>,
    sinks: Vec<Box<dyn Sink>>,
    /// Records go into the log too: with `-d trace:` or when there is no sink.
    pub to_log: bool,
}

/// The table of what every machine does, and that of CPUs.
pub(crate) const CORE: FamilyId = FamilyId(0);
pub(crate) const CPU: FamilyId = FamilyId(1);

impl Default for Trace {
    fn default() -> Self {
        let family = |table: &'static [Event]| Family { table, mask: 0 };
        Self {
            rules: Vec::new(),
            families: vec![family(&events::core::EVENTS), family(&events::cpu::EVENTS)],
            sinks: Vec::new(),
            to_log: false,
        }
    }
}

impl Trace {
    /// Makes a table known; the rules so far hold for it.
    pub(crate) fn declare(&mut self, table: &'static [Event]) -> FamilyId {
        if let Some(known) = self.family(table) {
            return known;
        }
        let mask = self.mask(table);
        self.families.push(Family { table, mask });
        FamilyId(self.families.len() - 1)
    }

    fn family(&self, table: &'static [Event]) -> Option<FamilyId> {
        let same = |f: &Family| f.table.len() == table.len() && std::ptr::eq(f.table.as_ptr(), table.as_ptr());
        self.families.iter().position(same).map(FamilyId)
    }

    fn mask(&self, table: &[Event]) -> u64 {
        let on = |e: &Event| {
            let rule = self.rules.iter().rev().find(|(glob, _)| glob.matches(e.name));
            rule.is_some_and(|(_, on)| *on)
        };
        let bits = table.iter().take(64).enumerate().filter(|(_, e)| on(e));
        bits.fold(0, |mask, (i, _)| mask | 1 << i)
    }

    /// Adds a rule; the number of known events that it matches.
    pub(crate) fn rule(&mut self, pattern: &str, on: bool) -> usize {
        let glob = Glob::new(pattern);
        let matched = self.events().filter(|(e, _)| glob.matches(e.name)).count();
        // The same rule again moves to the end, so that a monitor that toggles an event does not fill memory.
        self.rules.retain(|(g, _)| *g != glob);
        self.rules.push((glob, on));
        for i in 0..self.families.len() {
            self.families[i].mask = self.mask(self.families[i].table);
        }
        matched
    }

    /// All known events, and whether they are on.
    pub fn events(&self) -> impl Iterator<Item = (&'static Event, bool)> {
        let each = |f: &Family| {
            let (table, mask) = (f.table, f.mask);
            table
                .iter()
                .take(64)
                .enumerate()
                .map(move |(i, e)| (e, mask >> i & 1 != 0))
        };
        self.families.iter().flat_map(each)
    }

    /// Bits of the events of a table that are on.
    pub(crate) fn family_mask(&self, family: FamilyId) -> u64 {
        self.families.get(family.0).map_or(0, |f| f.mask)
    }

    /// Whether any device type's own event is on.
    pub(crate) fn devices_on(&self) -> bool {
        self.families.iter().skip(2).any(|f| f.mask != 0)
    }

    fn on(&self, table: &'static [Event], index: usize) -> bool {
        self.family(table)
            .is_some_and(|f| self.family_mask(f) >> index & 1 != 0)
    }

    /// Adds a place to which records go.
    pub fn add_sink(&mut self, sink: Box<dyn Sink>) {
        self.sinks.push(sink);
    }

    fn record(&mut self, record: &Record<'_>, log: &mut Log) {
        for sink in &mut self.sinks {
            sink.record(record);
        }
        if self.to_log || self.sinks.is_empty() {
            log.line(format_args!("{}", text::Line(record)));
        }
    }
}

/// A part of the machine that is no device method: the bus, the clock, a CPU.
pub struct Source<'a> {
    /// The machine.
    pub sys: &'a mut crate::System,
    /// Its name in records; no spaces.
    pub name: &'a str,
}

impl Tracer for Source<'_> {
    fn traces(&self, table: &'static [Event], index: usize) -> bool {
        self.sys.trace.on(table, index)
    }
    fn trace(&mut self, table: &'static [Event], index: usize, values: &[Value<'_>]) {
        self.sys.emit(table, index, self.name, values);
    }
}

impl Tracer for Ctx<'_> {
    #[inline]
    fn traces(&self, table: &'static [Event], index: usize) -> bool {
        self.sys().traces_devices() && self.sys().trace.on(table, index)
    }
    #[cold]
    fn trace(&mut self, table: &'static [Event], index: usize, values: &[Value<'_>]) {
        let me = self.me();
        let name = self.sys().label(me);
        self.sys_mut().emit(table, index, &name, values);
    }
}

impl crate::System {
    #[cold]
    pub(crate) fn emit(&mut self, table: &'static [Event], index: usize, source: &str, values: &[Value<'_>]) {
        let Some(event) = table.get(index) else { return };
        let record = Record {
            at: self.clock.now(),
            name: event.name,
            source,
            fields: event.fields,
            values,
        };
        self.trace.record(&record, &mut self.log);
    }

    /// Switches all events on or off whose names match a glob (`*` any text, `?` any character), now and when tables come later.
    /// Gives the number of events that match now.
    pub fn trace_enable(&mut self, pattern: &str, on: bool) -> usize {
        let matched = self.trace.rule(pattern, on);
        self.refresh_probes();
        matched
    }

    /// How a device is called in records: its id, else its type and where it stands.
    pub fn label(&self, device: crate::DeviceId) -> String {
        let Some(slot) = self.slot(device) else {
            return format!("device{}", device.index());
        };
        if let Some(id) = &slot.id {
            return id.replace(' ', "_");
        }
        let mapped = slot.regions.iter().flat_map(|r| &r.mappings).next();
        match mapped.and_then(|m| self.memory.mapping(*m)) {
            Some(m) => format!("{}@{:x}", slot.device_type.name, m.start),
            None => format!("{}#{}", slot.device_type.name, device.index()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
