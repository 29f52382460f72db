//! `-M`, `-cpu`, `-smp`, `-m`: which board, and what the user says about it.

use southbridge_cli::error::ErrorKind;
use southbridge_cli::personality::Role;
use southbridge_cli::{Config, Location, OptError, Personality};
use southbridge_core::{Machine, PropKind, Property};
use southbridge_machine::board::{BOARDS, Board, Unassigned};
use southbridge_machine::build::{Options, build as build_board};
use southbridge_machine::{Built, registry};

use super::BuildError;
use super::chardevs::Chardevs;
use super::devices;

/// Properties that every machine has.
pub(crate) static PROPERTIES: &[Property] = &[Property {
    name: "bus-faults",
    kind: PropKind::OnOffAuto,
    default: Some("auto"),
    help: "Whether an access to an address where nothing stands is a bus fault; auto is what the board is known for",
}];

/// Boards that the program shows under the name it was called by.
pub(crate) fn available(personality: &Personality) -> impl Iterator<Item = &'static Board> + use<> {
    let all = match personality.role {
        Role::QemuSystem(target) => matches!(target, "arm" | "aarch64"),
        _ => true,
    };
    BOARDS.iter().copied().filter(move |b| all || b.cpu.is_none())
}

/// The board by name.
///
/// # Errors
/// When there is none.
pub(crate) fn find(name: &str, config: &Config, personality: &Personality) -> Result<&'static Board, OptError> {
    available(personality).find(|b| b.name == name).ok_or_else(|| {
        let at = config
            .machine
            .type_name
            .as_ref()
            .map_or_else(|| Location::implied("-machine"), |t| t.at.clone());
        OptError::no_such("machine", name, available(personality).map(|b| b.name), at)
    })
}

/// The board that `-M` names.
///
/// # Errors
/// When it names none, or was not given: like QEMU for Arm, no board is the default.
pub(crate) fn choose(config: &Config, personality: &Personality) -> Result<&'static Board, OptError> {
    match &config.machine.type_name {
        Some(name) => find(&name.value, config, personality),
        None => {
            let names: Vec<_> = available(personality).map(|b| b.name).collect();
            let why = "no machine is chosen, and there is no default".to_owned();
            Err(OptError::nowhere(ErrorKind::Refused { why })
                .with_help(format!("add -M NAME; NAME is one of {}", names.join(", "))))
        }
    }
}

/// What the user may say about a board, checked.
#[derive(Default)]
pub(crate) struct BoardOptions {
    unassigned: Option<Unassigned>,
}

/// Checks everything that is said about the board, before anything is opened.
///
/// # Errors
/// At the first word that does not fit the board.
pub(crate) fn check(config: &Config, board: &'static Board) -> Result<BoardOptions, OptError> {
    let names: Vec<_> = PROPERTIES.iter().map(|p| p.name).collect();
    config
        .machine
        .props
        .only(&format!("machine '{}'", board.name), &names)?;
    let unassigned = match config
        .machine
        .props
        .one_of("bus-faults", &["on", "off", "auto"])?
        .map(|w| w.value)
    {
        Some(0) => Some(Unassigned::Fault),
        Some(1) => Some(Unassigned::Ignored),
        _ => None,
    };
    check_cpu(config, board)?;
    check_smp(config, board)?;
    check_memory(config, board)?;
    Ok(BoardOptions { unassigned })
}

fn check_cpu(config: &Config, board: &Board) -> Result<(), OptError> {
    let Some(cpu) = &config.cpu else { return Ok(()) };
    let model = board.cpu.as_ref().map(|c| c.model);
    if model != Some(cpu.model.value.as_str()) {
        let what = format!("processor of machine '{}' called", board.name);
        return Err(OptError::no_such(&what, &cpu.model.value, model, cpu.model.at.clone()));
    }
    cpu.props.only(&format!("processor '{}'", cpu.model.value), &[])
}

fn check_smp(config: &Config, board: &Board) -> Result<(), OptError> {
    let most = u64::from(board.cpu.is_some());
    let counts = [("cpus", &config.smp.cpus), ("maxcpus", &config.smp.maxcpus)];
    for (key, count) in counts {
        if let Some(n) = count.as_ref().filter(|n| n.value > most.max(1)) {
            let expected = format!("1 for machine '{}'", board.name);
            return Err(OptError::bad_value(
                Some(key),
                &n.value.to_string(),
                expected,
                n.at.clone(),
            ));
        }
    }
    Ok(())
}

fn check_memory(config: &Config, board: &Board) -> Result<(), OptError> {
    let Some(size) = &config.memory.size else { return Ok(()) };
    if board.ram_size == 0 && board.cpu.is_some() {
        // As in QEMU, boards with fixed memory take -m and go by their own size.
        return Ok(());
    }
    if board.ram_size != 0 && size.value != board.ram_size {
        let expected = format!("{}M for machine '{}'", board.ram_size >> 20, board.name);
        return Err(OptError::bad_value(
            Some("size"),
            size.at.word(),
            expected,
            size.at.clone(),
        ));
    }
    Ok(())
}

/// Builds the board.
///
/// # Errors
/// When a device of it refuses what the user said, or the host lacks something.
pub(crate) fn build(
    machine: Machine,
    board: &'static Board,
    config: &Config,
    options: &BoardOptions,
    chardevs: &Chardevs,
) -> Result<Built, OptError> {
    let options = Options {
        serial: chardevs.serial.clone(),
        globals: devices::globals(config)?,
        unassigned: options.unassigned,
    };
    build_board(machine, board, &registry(), &options).map_err(|e| refused(&e))
}

fn refused(error: &BuildError) -> OptError {
    OptError::nowhere(ErrorKind::Refused { why: error.to_string() })
}

/// The host lacks something basic.
pub(crate) fn no_host(error: std::io::Error) -> OptError {
    let why = format!("the host does not give what a machine needs: {error}");
    OptError::nowhere(ErrorKind::Refused { why })
}
