//! `-action` and its shorthands, `-semihosting`, `-name`, `-uuid`, `-seed`.

use crate::argv::RawOption;
use crate::error::{OptError, alternatives};
use crate::keyval::Props;
use crate::keyval::value::{EXPECT_NUMBER, parse_u64};
use crate::location::Located;

/// What happens where the guest reboots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RebootAction {
    /// Reset the machine and go on.
    #[default]
    Reset,
    /// End the run.
    Shutdown,
}

/// What happens where the guest switches off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShutdownAction {
    /// End the run.
    #[default]
    Poweroff,
    /// Pause the machine.
    Pause,
}

/// What happens where the guest panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PanicAction {
    /// Pause the machine.
    Pause,
    /// End the run.
    #[default]
    Shutdown,
    /// End the run with a status other than 0.
    ExitFailure,
    /// Go on.
    None,
}

/// What happens where a watchdog expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchdogAction {
    /// Reset the machine.
    #[default]
    Reset,
    /// Ask the guest to shut down.
    Shutdown,
    /// End the run.
    Poweroff,
    /// A non-maskable interrupt.
    InjectNmi,
    /// Pause the machine.
    Pause,
    /// Say so in the log.
    Debug,
    /// Nothing.
    None,
}

const REBOOT: [(&str, RebootAction); 2] = [("reset", RebootAction::Reset), ("shutdown", RebootAction::Shutdown)];
const SHUTDOWN: [(&str, ShutdownAction); 2] =
    [("poweroff", ShutdownAction::Poweroff), ("pause", ShutdownAction::Pause)];
const PANIC: [(&str, PanicAction); 4] = [
    ("pause", PanicAction::Pause),
    ("shutdown", PanicAction::Shutdown),
    ("exit-failure", PanicAction::ExitFailure),
    ("none", PanicAction::None),
];
const WATCHDOG: [(&str, WatchdogAction); 7] = [
    ("reset", WatchdogAction::Reset),
    ("shutdown", WatchdogAction::Shutdown),
    ("poweroff", WatchdogAction::Poweroff),
    ("inject-nmi", WatchdogAction::InjectNmi),
    ("pause", WatchdogAction::Pause),
    ("debug", WatchdogAction::Debug),
    ("none", WatchdogAction::None),
];

/// `-action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActionOpt {
    /// At reboot.
    pub reboot: RebootAction,
    /// At shutdown.
    pub shutdown: ShutdownAction,
    /// At a panic.
    pub panic: PanicAction,
    /// At the end of a watchdog's patience.
    pub watchdog: WatchdogAction,
}

impl ActionOpt {
    pub(super) fn apply(&mut self, props: &Props) -> Result<(), OptError> {
        props.only("-action", &["reboot", "shutdown", "panic", "watchdog"])?;
        set(&mut self.reboot, props, "reboot", &REBOOT)?;
        set(&mut self.shutdown, props, "shutdown", &SHUTDOWN)?;
        set(&mut self.panic, props, "panic", &PANIC)?;
        set(&mut self.watchdog, props, "watchdog", &WATCHDOG)
    }

    pub(super) fn watchdog(&mut self, option: &RawOption) -> Result<(), OptError> {
        let mut props = Props::at_source(&option.source);
        props.push("watchdog", &option.source.text, &option.at_argument());
        set(&mut self.watchdog, &props, "watchdog", &WATCHDOG)
    }
}

fn set<T: Copy>(slot: &mut T, props: &Props, key: &str, words: &[(&str, T)]) -> Result<(), OptError> {
    let expected = alternatives(&words.iter().map(|(w, _)| *w).collect::<Vec<_>>());
    let found = props.read(key, &expected, |text| {
        words.iter().find(|(w, _)| *w == text).map(|(_, v)| *v)
    })?;
    if let Some(found) = found {
        *slot = found.value;
    }
    Ok(())
}

/// `-semihosting` and `-semihosting-config`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SemihostingOpt {
    /// Whether the guest may use it.
    pub enabled: bool,
    /// Also for unprivileged code.
    pub userspace: bool,
    /// The channel for its console; standard error without it.
    pub chardev: Option<Located<String>>,
    /// The guest program's command line, word by word. Empty: the kernel's name and the words of `-append`.
    pub args: Vec<String>,
}

impl SemihostingOpt {
    pub(super) fn enable(&mut self) {
        self.enabled = true;
    }

    pub(super) fn apply(&mut self, props: &Props) -> Result<(), OptError> {
        props.only(
            "-semihosting-config",
            &["enable", "target", "chardev", "userspace", "arg"],
        )?;
        self.enabled = props.switch("enable")?.is_none_or(|e| e.value);
        self.userspace = props.switch("userspace")?.is_some_and(|u| u.value);
        if let Some(target) = props.one_of("target", &["auto", "native", "gdb"])?
            && target.value == 2
        {
            return Err(OptError::not_yet("semihosting through gdb", target.at).with_help("use target=native"));
        }
        self.chardev = props.text("chardev");
        self.args.extend(props.all("arg").map(|e| e.value.clone()));
        Ok(())
    }
}

/// `-name`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameOpt {
    /// The guest's name.
    pub guest: Option<String>,
    /// The process's name, as `top` shows it.
    pub process: Option<String>,
    /// Name the threads.
    pub debug_threads: bool,
}

impl NameOpt {
    pub(super) fn parse(props: &Props) -> Result<Self, OptError> {
        props.only("-name", &["guest", "process", "debug-threads"])?;
        Ok(Self {
            guest: props.text("guest").map(|t| t.value),
            process: props.text("process").map(|t| t.value),
            debug_threads: props.switch("debug-threads")?.is_some_and(|t| t.value),
        })
    }
}

/// `-uuid`: 8-4-4-4-12 hexadecimal digits.
pub(super) fn uuid(option: &RawOption) -> Result<[u8; 16], OptError> {
    let text = &option.source.text;
    parse_uuid(text).ok_or_else(|| {
        let expected = "a UUID, such as 12345678-1234-1234-1234-123456789abc";
        OptError::bad_value(None, text, expected, option.at_argument())
    })
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    if groups != [8, 4, 4, 4, 12] || !text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
        return None;
    }
    let digits = text.replace('-', "");
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

/// `-seed`.
pub(super) fn seed(option: &RawOption) -> Result<u64, OptError> {
    let text = &option.source.text;
    parse_u64(text).ok_or_else(|| OptError::bad_value(None, text, EXPECT_NUMBER, option.at_argument()))
}
