//! From a typed configuration to a running machine, in short steps; each step's words and checks stand in a file of its own.

pub(crate) mod blocks;
pub(crate) mod board;
pub(crate) mod chardevs;
mod daemon;
pub(crate) mod devices;
pub(crate) mod fsdevs;
mod gdb;
mod load;
mod log;
mod migration;
mod monitor;
pub(crate) mod netdevs;
pub(crate) mod objects;
mod options;
mod qtest;
mod semihosting;
mod shared;
mod signals;
mod time;
pub(crate) mod trace;

use southbridge_cli::config::{PanicAction, RebootAction, ShutdownAction, WatchdogAction};
use southbridge_cli::{Config, OptError, Personality};
use southbridge_core::machine::{PanicPolicy, Policy};
use southbridge_core::system::WatchdogPolicy;
use southbridge_core::{ClockRate, Machine, Outcome};
use southbridge_machine::board::Irq;
use southbridge_machine::{Built, Layout, build};

/// Builds and runs the machine that `config` describes; gives the exit status.
///
/// # Errors
/// When something in the configuration is wrong. Whatever was opened or made by then is closed and removed again.
pub(crate) fn run(config: &Config, personality: &Personality) -> Result<u8, OptError> {
    crate::say::begin_as(config);
    if let Some(path) = &config.write_config {
        daemon::write_config(path, &config.to_ini()?)?;
    }
    let board = board::choose(config, personality)?;
    let board_options = board::check(config, board)?;
    chardevs::check(config)?;
    devices::check(config, board)?;
    netdevs::check(config, board)?;
    fsdevs::check(config)?;
    shared::check(config)?;
    if let Some(status) = daemon::become_daemon(config)? {
        return Ok(status);
    }
    daemon::take_name(config);
    let pid_file = daemon::PidFile::create(config)?;
    let mut machine = Machine::empty(ClockRate::Hz(1)).map_err(board::no_host)?;
    machine.sys.log = log::open(config)?;
    trace::attach(config, &mut machine, personality)?;
    let signals = signals::Signals::catch(&machine).map_err(board::no_host)?;
    let mut objects = objects::start(config, &mut machine)?;
    let mut chardevs = chardevs::open(config, board, &mut machine, &signals)?;
    blocks::open(config, board, &mut machine)?;
    fsdevs::open(config, &mut machine)?;
    let netdevs = netdevs::open(config, &mut machine, &chardevs)?;
    objects::start_late(config, &mut machine, &mut objects, &|kind, id| match kind {
        "chardev" => chardevs.get(id),
        "netdev" => netdevs.get(id),
        _ => None,
    })?;
    let mut built = board::build(machine, board, config, board_options, &chardevs, &netdevs, &objects)?;
    devices::add(config, &mut built, &chardevs, &netdevs, &objects)?;
    if let load::Loaded::Done = load::kernel_and_images(config, &mut built)? {
        return Ok(0);
    }
    semihosting::attach(config, &mut built, &chardevs)?;
    time::apply(config, &mut built.machine);
    qtest::attach(config, &mut built, &mut chardevs)?;
    gdb::attach(config, &mut built, &mut chardevs)?;
    let Built { mut machine, layout } = built;
    apply_policy(config, &mut machine, &layout);
    let saved = migration::attach(config, board, &mut machine);
    let around = monitor::Around {
        layout,
        netdevs: &netdevs,
        objects,
        saved: &saved,
    };
    monitor::attach(config, personality, &mut machine, &mut chardevs, around)?;
    let run = saved.apply(config, board, &mut machine)?;
    daemon::ready(config);
    let status = if chardevs.wait(&mut machine, &signals) {
        finish(&mut machine, run, personality)
    } else {
        0
    };
    drop(machine);
    drop(pid_file);
    Ok(status)
}

fn apply_policy(config: &Config, machine: &mut Machine, layout: &Layout) {
    machine.policy = Policy {
        reset_ends: config.action.reboot == RebootAction::Shutdown,
        shutdown_pauses: config.action.shutdown == ShutdownAction::Pause,
        panic: match config.action.panic {
            PanicAction::Pause => PanicPolicy::Pause,
            PanicAction::Shutdown => PanicPolicy::Shutdown,
            PanicAction::ExitFailure => PanicPolicy::ExitFailure,
            PanicAction::None => PanicPolicy::None,
        },
    };
    machine.sys.watchdog = match config.action.watchdog {
        WatchdogAction::Reset => WatchdogPolicy::Reset,
        // These boards have no way to ask the guest for it, so it is switched off.
        WatchdogAction::Shutdown | WatchdogAction::Poweroff => WatchdogPolicy::Poweroff,
        WatchdogAction::Pause => WatchdogPolicy::Pause,
        WatchdogAction::InjectNmi => layout
            .irq_sink(Irq::Nmi)
            .map_or(WatchdogPolicy::Ignore, WatchdogPolicy::Nmi),
        WatchdogAction::Debug => WatchdogPolicy::Tell,
        WatchdogAction::None => WatchdogPolicy::Ignore,
    };
    machine.start_paused = config.start_paused;
}

/// Runs to the end and puts the outcome into words and a status.
fn finish(machine: &mut Machine, run: migration::Run, personality: &Personality) -> u8 {
    let program = &personality.program;
    let outcome = match run.run_to_end(machine) {
        Ok(outcome) => outcome,
        Err(why) => {
            crate::say::tell(&format!("{program}: {why}"));
            return 1;
        }
    };
    match outcome {
        Outcome::GuestExit(status) => u8::try_from(status & 0xff).unwrap_or(1),
        Outcome::Lockup(text) => {
            crate::say::tell(&format!("{program}: the guest's processor is locked up: {text}"));
            1
        }
        Outcome::Shutdown | Outcome::Stopped | Outcome::Deadline | Outcome::Debug => 0,
    }
}

/// What a board was built with; re-exported for the steps.
pub(crate) use build::BuildError;
