//! Errors and power management events: what a function logs, and the messages that go up to the root port and interrupt there (PCI
//! Express Base 6.0, sections 6.2 and 5.3.3).

use serde::{Deserialize, Serialize};
use southbridge_core::Ctx;

use crate::PciFunction;
use crate::caps::aer::*;
use crate::caps::express::regs::{DEVCTL, DEVSTA, RTCTL, RTSTA};
use crate::caps::{PM_CONTROL, PM_PME_ENABLE, PM_PME_STATUS};
use crate::config::ConfigSpace;
use crate::function::Pci;
use crate::regs::*;

/// How bad: the bit of root command, and of device control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is lost.
    Correctable = 1,
    /// A transaction is lost.
    NonFatal = 2,
    /// The link is in doubt.
    Fatal = 4,
}

/// What goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PciMessage {
    /// An error, and the routing id of who reports it.
    Error(Severity, u16),
    /// A power management event, and who has it.
    PowerEvent(u16),
}

/// An error as a function finds it, or as it is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErrorReport {
    /// One bit of the status register.
    pub status: u32,
    /// The correctable status register, else the uncorrectable one.
    pub correctable: bool,
    /// An uncorrectable error that is not fatal may count as an advisory, correctable one.
    pub advisory: bool,
    /// Header of the transaction.
    pub header: Option<[u32; 4]>,
    /// Its prefix.
    pub prefix: Option<[u32; 4]>,
}

/// Why an error cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ErrorRefused {
    /// No PCI Express function.
    #[error("it is no PCI Express device")]
    NotExpress,
    /// No such bit, or more than one.
    #[error("the status must be one bit of an error that devices can have")]
    BadStatus,
}

/// Names of errors as the `aer-inject` tool has them, with their bit and whether they are correctable.
pub const NAMES: [(&str, u32, bool); 24] = [
    ("DLP", 1 << 4, false),
    ("SDN", 1 << 5, false),
    ("POISON_TLP", 1 << 12, false),
    ("FCP", 1 << 13, false),
    ("COMP_TIME", 1 << 14, false),
    ("COMP_ABORT", 1 << 15, false),
    ("UNX_COMP", 1 << 16, false),
    ("RX_OVER", 1 << 17, false),
    ("MALF_TLP", 1 << 18, false),
    ("ECRC", 1 << 19, false),
    ("UNSUP", UNSUPPORTED_REQUEST, false),
    ("ACSV", 1 << 21, false),
    ("INTN", 1 << 22, false),
    ("MCBTLP", 1 << 23, false),
    ("ATOP_EBLOCKED", 1 << 24, false),
    ("TLP_PRF_BLOCKED", 1 << 25, false),
    ("RCVR", 1, true),
    ("BAD_TLP", 1 << 6, true),
    ("BAD_DLLP", 1 << 7, true),
    ("REP_ROLL", 1 << 8, true),
    ("REP_TIMER", 1 << 12, true),
    ("ADV_NONFATAL", ADVISORY, true),
    ("INTERNAL", 1 << 14, true),
    ("HL_OVERFLOW", OVERFLOW, true),
];

const UNSUPPORTED_REQUEST: u32 = 1 << 20;
const ADVISORY: u32 = 1 << 13;
const OVERFLOW: u32 = 1 << 15;
/// Severity of uncorrectable errors where no register says it.
const FATAL: u32 = 0x0046_2030;
/// Device status and control: unsupported request.
const UNSUPPORTED: u16 = 8;
/// Status: signalled system error. Secondary status: received one.
const SYSTEM_ERROR: u16 = 1 << 14;
/// Bridge control: errors go through.
const BRIDGE_SERR: u16 = 2;
/// Capabilities and control: first error pointer, several headers, prefix present.
const POINTER: u32 = 0x1f;
const SEVERAL: u32 = 1 << 10;
const PREFIX_PRESENT: u32 = 1 << 11;
/// Root control: interrupt for power events. Root status: there is one; one more waits.
const PME_INTERRUPT: u16 = 8;
const PME_STATUS: u32 = 1 << 16;
const PME_PENDING: u32 = 1 << 17;

/// Power events that wait at a root port: more make no difference, as software looks at all functions then.
const MAX_POWER_EVENTS: usize = 64;

/// An uncorrectable error that waits for its turn in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Logged {
    status: u32,
    header: Option<[u32; 4]>,
    prefix: Option<[u32; 4]>,
}

/// A function has an error: logs it and sends the message up, as far as software lets it.
///
/// # Errors
/// When there is no such error.
pub fn report(f: &mut dyn PciFunction, error: &ErrorReport, cx: &mut Ctx<'_>) -> Result<(), ErrorRefused> {
    let (severity, overflow) = f.pci_mut().log_error(error)?;
    if let Some(severity) = severity {
        let source = routing_id(cx);
        send(f, PciMessage::Error(severity, source), cx);
    }
    if overflow {
        let lost = ErrorReport {
            status: OVERFLOW,
            correctable: true,
            ..ErrorReport::default()
        };
        report(f, &lost, cx)?;
    }
    Ok(())
}

/// A function wants the system to wake up: notes it, and tells the root port if software enabled that.
pub fn power_event(f: &mut dyn PciFunction, cx: &mut Ctx<'_>) {
    if f.pci_mut().note_power_event() {
        let source = routing_id(cx);
        send(f, PciMessage::PowerEvent(source), cx);
    }
}

/// Bus, slot and function of the device that runs.
fn routing_id(cx: &mut Ctx<'_>) -> u16 {
    let Some((parent, at)) = cx.parent_of(cx.me()) else {
        return 0;
    };
    let bus = cx.with_role::<dyn PciFunction, _>(parent, |f, _| f.pci().bridge_decode().map_or(0, |b| b.secondary));
    u16::from(bus.unwrap_or(0)) << 8 | (at as u16 & 0xff)
}

fn send(f: &mut dyn PciFunction, message: PciMessage, cx: &mut Ctx<'_>) {
    let mut goes_on = f.message(message, cx);
    let mut at = cx.me();
    // The tree of devices is finite.
    while goes_on && let Some((parent, _)) = cx.parent_of(at) {
        let answer = cx.with_role::<dyn PciFunction, _>(parent, |f, cx| f.message(message, cx));
        goes_on = answer.unwrap_or(false);
        at = parent;
    }
}

impl Pci {
    /// Logs an error. The message to send, if any, and whether the log was full.
    fn log_error(&mut self, e: &ErrorReport) -> Result<(Option<Severity>, bool), ErrorRefused> {
        let at = self.express_at().ok_or(ErrorRefused::NotExpress)?;
        let known = if e.correctable { CORRECTABLE } else { UNCORRECTABLE };
        let status = e.status & known;
        if !status.is_power_of_two() {
            return Err(ErrorRefused::BadStatus);
        }
        let severities = match self.aer_at() {
            Some(aer) => self.config.u32(aer + UNCORRECTABLE_SEVERITY),
            None => FATAL,
        };
        let fatal = severities & status != 0;
        Ok(if e.correctable {
            self.log_correctable(at, status, 0, e)
        } else if !fatal && e.advisory {
            self.log_correctable(at, ADVISORY, status, e)
        } else {
            self.log_uncorrectable(at, status, fatal, e)
        })
    }

    fn is_unsupported(e: &ErrorReport) -> bool {
        !e.correctable && e.status == UNSUPPORTED_REQUEST
    }

    fn log_correctable(&mut self, at: u16, status: u32, advisory: u32, e: &ErrorReport) -> (Option<Severity>, bool) {
        let unsupported = Self::is_unsupported(e);
        self.config
            .set_bits16(at + DEVSTA, 1 | if unsupported { UNSUPPORTED } else { 0 }, true);
        let mut overflow = false;
        if let Some(aer) = self.aer_at() {
            self.add_bits(aer + CORRECTABLE_STATUS, status);
            if self.config.u32(aer + CORRECTABLE_MASK) & status != 0 {
                return (None, false);
            }
            if advisory != 0 {
                if self.config.u32(aer + UNCORRECTABLE_MASK) & advisory == 0 {
                    overflow = self.record(aer, advisory, e);
                }
                self.add_bits(aer + UNCORRECTABLE_STATUS, advisory);
            }
        }
        let control = self.config.u16(at + DEVCTL);
        let told = control & 1 != 0 && (!unsupported || control & UNSUPPORTED != 0);
        (told.then_some(Severity::Correctable), overflow)
    }

    fn log_uncorrectable(&mut self, at: u16, status: u32, fatal: bool, e: &ErrorReport) -> (Option<Severity>, bool) {
        let severity = if fatal { Severity::Fatal } else { Severity::NonFatal };
        let unsupported = Self::is_unsupported(e);
        let bits = severity as u16 | if unsupported { UNSUPPORTED } else { 0 };
        self.config.set_bits16(at + DEVSTA, bits, true);
        let mut overflow = false;
        if let Some(aer) = self.aer_at() {
            let masked = self.config.u32(aer + UNCORRECTABLE_MASK) & status != 0;
            if !masked {
                overflow = self.record(aer, status, e);
            }
            self.add_bits(aer + UNCORRECTABLE_STATUS, status);
            if masked {
                return (None, false);
            }
        }
        let serr = self.command().contains(Command::SERR);
        let control = self.config.u16(at + DEVCTL);
        let told = serr || (control & severity as u16 != 0 && (!unsupported || control & UNSUPPORTED != 0));
        (told.then_some(severity), overflow)
    }

    fn add_bits(&mut self, at: u16, bits: u32) {
        let now = self.config.u32(at) | bits;
        self.config.set_u32(at, now);
    }

    /// Puts an error into the log, or behind those that wait; tells whether there was no room.
    fn record(&mut self, aer: u16, status: u32, e: &ErrorReport) -> bool {
        let logged = Logged {
            status,
            header: e.header,
            prefix: e.prefix,
        };
        let control = self.config.u32(aer + CONTROL);
        let first_stands = self.config.u32(aer + UNCORRECTABLE_STATUS) >> (control & POINTER) & 1 != 0;
        if control & SEVERAL != 0 && first_stands {
            if self.errors.len() >= self.errors_max.into() {
                return true;
            }
            self.errors.push(logged);
        } else {
            self.show(aer, Some(logged));
        }
        false
    }

    /// The log registers: an error, or nothing.
    fn show(&mut self, aer: u16, logged: Option<Logged>) {
        let c = &mut self.config;
        let pointer = logged.map_or(0, |l| l.status.trailing_zeros() & POINTER);
        let prefix = logged.and_then(|l| l.prefix);
        let present = if prefix.is_some() { PREFIX_PRESENT } else { 0 };
        let control = c.u32(aer + CONTROL) & !(POINTER | PREFIX_PRESENT) | pointer | present;
        c.set_u32(aer + CONTROL, control);
        let header = logged.and_then(|l| l.header).unwrap_or_default();
        for (words, at) in [(header, HEADER_LOG), (prefix.unwrap_or_default(), PREFIX_LOG)] {
            for (n, word) in (0..).zip(words) {
                c.set_u32(aer + at + 4 * n, word.swap_bytes());
            }
        }
    }

    /// After a write of configuration space: the next error comes into the log when the first is cleared.
    pub(crate) fn errors_written(&mut self, offset: u16, size: u8) {
        let Some(aer) = self.aer_at() else { return };
        if !ConfigSpace::touches(offset, size, aer + UNCORRECTABLE_STATUS, CONTROL) {
            return;
        }
        let control = self.config.u32(aer + CONTROL);
        let first_stands = self.config.u32(aer + UNCORRECTABLE_STATUS) >> (control & POINTER) & 1 != 0;
        if control & SEVERAL == 0 {
            self.errors.clear();
        }
        // Errors that wait keep their bits, whatever software cleared.
        let waiting = self.errors.iter().fold(0, |bits, e| bits | e.status);
        self.add_bits(aer + UNCORRECTABLE_STATUS, waiting);
        if !first_stands {
            let next = (!self.errors.is_empty()).then(|| self.errors.remove(0));
            self.show(aer, next);
        }
    }

    /// What a message does on its way through this function (sections 6.2.6 and 6.2.10, figure 6-3), and whether it goes on upwards.
    pub fn pass_message(&mut self, message: PciMessage) -> bool {
        let Some(at) = self.express_at() else { return false };
        let kind = self.config.u16(at + 2) >> 4 & 0xf;
        let is_port = matches!(kind, 4..=6);
        let PciMessage::Error(severity, _) = message else {
            return true;
        };
        if is_port {
            if severity != Severity::Correctable {
                self.config.set_bits16(SECONDARY_STATUS, SYSTEM_ERROR, true);
            }
            if self.config.u16(BRIDGE_CONTROL) & BRIDGE_SERR == 0 {
                return false;
            }
        }
        let enabled = self.config.u16(at + DEVCTL) & severity as u16 != 0;
        let serr = severity != Severity::Correctable && self.command().contains(Command::SERR);
        if enabled || serr {
            self.config.set_bits16(STATUS, SYSTEM_ERROR, true);
        }
        enabled
    }

    /// A message at the root port, where its way ends: the root registers note it.
    pub fn root_message(&mut self, message: PciMessage) {
        match message {
            PciMessage::Error(severity, source) => self.root_error(severity, source),
            PciMessage::PowerEvent(source) => {
                let known = self.power_events.contains(&source) || self.power_events.len() >= MAX_POWER_EVENTS;
                if !known {
                    self.power_events.push(source);
                }
                self.next_power_event();
            }
        }
    }

    /// The root status register shows the first event that waits once software has cleared the last.
    pub(crate) fn next_power_event(&mut self) {
        let Some(at) = self.express_at() else { return };
        let mut status = self.config.u32(at + RTSTA);
        if status & PME_STATUS == 0 && !self.power_events.is_empty() {
            status = PME_STATUS | u32::from(self.power_events.remove(0));
        }
        let pending = if self.power_events.is_empty() { 0 } else { PME_PENDING };
        self.config.set_u32(at + RTSTA, status & !PME_PENDING | pending);
    }

    fn root_error(&mut self, severity: Severity, source: u16) {
        let Some(aer) = self.aer_at() else { return };
        let c = &mut self.config;
        let mut status = c.u32(aer + ROOT_STATUS);
        let (first, several, source_at) = match severity {
            Severity::Correctable => (1, 2, ROOT_SOURCE),
            _ => (4, 8, ROOT_SOURCE + 2),
        };
        if severity == Severity::Fatal && status & 4 == 0 {
            status |= 1 << 4;
        }
        if status & first != 0 {
            status |= several;
        } else {
            c.set_u16(aer + source_at, source);
        }
        status |= first
            | match severity {
                Severity::Correctable => 0,
                Severity::NonFatal => 1 << 5,
                Severity::Fatal => 1 << 6,
            };
        c.set_u32(aer + ROOT_STATUS, status);
    }

    /// Whether a root port has an error to tell by interrupt.
    pub fn wants_error_interrupt(&self) -> bool {
        let Some(aer) = self.aer_at() else { return false };
        let status = self.config.u32(aer + ROOT_STATUS);
        let came = status & 1 | (status >> 5 & 1) << 1 | (status >> 6 & 1) << 2;
        self.config.u32(aer + ROOT_COMMAND) & came != 0
    }

    /// Whether a root port has a power event to tell by interrupt.
    pub fn wants_power_interrupt(&self) -> bool {
        let Some(at) = self.express_at() else { return false };
        self.config.u16(at + RTCTL) & PME_INTERRUPT != 0 && self.config.u32(at + RTSTA) & PME_STATUS != 0
    }

    /// The function has a power event; tells whether software wants to hear of it.
    fn note_power_event(&mut self) -> bool {
        let Some(at) = self.pm_at() else { return false };
        self.config.set_bits16(at + PM_CONTROL, PM_PME_STATUS, true);
        self.config.u16(at + PM_CONTROL) & PM_PME_ENABLE != 0
    }
}
