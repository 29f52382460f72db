//! `-M`, `-cpu`, `-smp`, `-m`, `-numa`: which board, and what the user says about it.

use southbridge_cli::config::{FlashOpt, ObjectOpt};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::personality::Role;
use southbridge_cli::{Config, Located, Location, OptError, Personality};
use southbridge_core::property::parse_value;
use southbridge_core::{Machine, PropKind, PropValue, Property};
use southbridge_machine::board::{
    BOARDS, Board, Choices, Core, FlashFile, Isa, Jit, NumaNode, Ram, Unassigned, can_compile,
};
use southbridge_machine::boot::Boot;
use southbridge_machine::build::{Options, build as build_board};
use southbridge_machine::{Built, Objects, registry};

use super::BuildError;
use super::chardevs::Chardevs;
use super::devices;
use super::netdevs::Netdevs;

/// Properties that every machine has.
static COMMON: &[Property] = &[property(
    "bus-faults",
    PropKind::OnOffAuto,
    Some("auto"),
    "Whether an access to an address where nothing stands is a bus fault; auto is what the board is known for",
)];

/// Properties of machines whose memory the user chooses.
static WITH_MEMORY: &[Property] = &[property(
    "memory-backend",
    PropKind::Str,
    None,
    "The memory back end (-object memory-backend-...) that is the main memory",
)];

/// Properties of machines that start from files.
static WITH_TREE: &[Property] = &[property(
    "dumpdtb",
    PropKind::Str,
    None,
    "Write the device tree to this file and end",
)];

const fn property(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// The properties of a machine: its own, and those that it shares with others.
pub(crate) fn properties(board: &Board) -> impl Iterator<Item = &'static Property> {
    let memory = matches!(board.ram, Ram::Any { .. }).then_some(WITH_MEMORY);
    let tree = matches!(board.boot, Boot::Firmware(_)).then_some(WITH_TREE);
    let own = board.properties.iter().chain(COMMON);
    own.chain(memory.unwrap_or_default()).chain(tree.unwrap_or_default())
}

/// Boards that the program shows under the name it was called by.
pub(crate) fn available(personality: &Personality) -> impl Iterator<Item = &'static Board> + use<> {
    let target = match personality.role {
        Role::QemuSystem(target) => Some(target),
        _ => None,
    };
    let fits = move |core: &Core| match (core.isa(), target) {
        (_, None) => true,
        (Isa::Arm, Some(target)) => matches!(target, "arm" | "aarch64"),
        (Isa::Rv64, Some(target)) => target == "riscv64",
    };
    BOARDS.iter().copied().filter(move |b| b.cpu.as_ref().is_none_or(fits))
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
pub(crate) struct BoardOptions {
    unassigned: Option<Unassigned>,
    choices: Choices,
}

/// Checks everything that is said about the board, before anything is opened.
///
/// # Errors
/// At the first word that does not fit the board.
pub(crate) fn check(config: &Config, board: &'static Board) -> Result<BoardOptions, OptError> {
    let mut choices = Choices::of(board);
    let unassigned = check_properties(config, board, &mut choices)?;
    check_cpu(config, board, &mut choices)?;
    check_smp(config, board, &mut choices)?;
    check_memory(config, board, &mut choices)?;
    check_numa(config, board, &mut choices)?;
    check_boot(config, board)?;
    choices.flash = config.flash.iter().map(flash_file).collect();
    choices.seed = config.seed.unwrap_or(0);
    choices.jit = compiler(config)?;
    choices.built_in_firmware =
        matches!(board.boot, Boot::Firmware(_)) && config.bios.as_ref().is_none_or(|b| b.value == "default");
    Ok(BoardOptions { unassigned, choices })
}

/// How guest code is compiled. Where this host has no compiler the interpreter serves, unless the compiler was asked for by name.
fn compiler(config: &Config) -> Result<Option<Jit>, OptError> {
    let asked = config.accels.first();
    if asked.is_some_and(|a| !a.compiles()) {
        return Ok(None);
    }
    if let Err(why) = can_compile() {
        return match asked.filter(|a| a.name.value == "jit") {
            Some(a) => {
                let why = format!("nothing can be compiled here: {why}");
                Err(OptError::new(ErrorKind::Refused { why }, a.name.at.clone()))
            }
            None => Ok(None),
        };
    }
    let wish = asked.map(|a| a.jit.clone()).unwrap_or_default();
    let default = Jit::default();
    let number = |n: Option<u64>, or: usize| n.and_then(|n| n.try_into().ok()).unwrap_or(or);
    Ok(Some(Jit {
        cache_size: number(wish.cache_size, default.cache_size),
        threads: number(wish.threads, default.threads),
        perf_map: wish.perf_map,
        check: wish.check,
        hot: wish.hot.and_then(|n| n.try_into().ok()).unwrap_or(default.hot),
    }))
}

fn flash_file(flash: &FlashOpt) -> FlashFile {
    FlashFile {
        chip: flash.unit,
        path: flash.file.value.clone(),
        readonly: flash.readonly,
        temporary: flash.temporary == Some(true),
    }
}

fn check_properties(
    config: &Config,
    board: &'static Board,
    choices: &mut Choices,
) -> Result<Option<Unassigned>, OptError> {
    let owner = format!("machine '{}'", board.name);
    for entry in config.machine.props.entries() {
        let Some(p) = properties(board).find(|p| p.name == entry.key) else {
            return Err(entry.unknown_key(&owner, properties(board).map(|p| p.name)));
        };
        let value = parse_value(p.kind, &entry.value).ok_or_else(|| entry.bad_value(p.kind.takes()))?;
        choices.properties.set(p.name, value);
    }
    choices.ram_backend = choices.properties.str("memory-backend").map(str::to_owned);
    Ok(match choices.properties.get("bus-faults") {
        Some(PropValue::OnOffAuto(Some(true))) => Some(Unassigned::Fault),
        Some(PropValue::OnOffAuto(Some(false))) => Some(Unassigned::Ignored),
        _ => None,
    })
}

fn check_cpu(config: &Config, board: &Board, choices: &mut Choices) -> Result<(), OptError> {
    let Some(cpu) = &config.cpu else { return Ok(()) };
    let models = board.cpu.as_ref().map_or(&[][..], Core::models);
    if !models.contains(&cpu.model.value.as_str()) {
        let what = format!("processor of machine '{}' called", board.name);
        return Err(OptError::no_such(&what, &cpu.model.value, models, cpu.model.at.clone()));
    }
    choices.model.clone_from(&cpu.model.value);
    let pairs = cpu.props.entries().iter().map(|e| (e.key.clone(), e.value.clone()));
    choices.features = pairs.collect();
    let Some(core) = &board.cpu else { return Ok(()) };
    let owner = format!("processor '{}'", cpu.model.value);
    core.check_features(choices)
        .map_err(|(i, why)| match cpu.props.entries().get(i) {
            Some(e) if !core.features().contains(&e.key.as_str()) => e.unknown_key(&owner, core.features()),
            Some(e) => e.bad_value("on or off"),
            None => OptError::new(ErrorKind::Refused { why }, cpu.model.at.clone()),
        })
}

fn check_smp(config: &Config, board: &Board, choices: &mut Choices) -> Result<(), OptError> {
    let most = board.cpu.as_ref().map_or(1, Core::most).max(1);
    let smp = &config.smp;
    let levels = [
        &smp.drawers,
        &smp.books,
        &smp.sockets,
        &smp.dies,
        &smp.clusters,
        &smp.modules,
        &smp.cores,
        &smp.threads,
    ];
    let refuse = |key, n: &Located<u64>, expected: String| {
        OptError::bad_value(Some(key), &n.value.to_string(), expected, n.at.clone())
    };
    let limit = || match most {
        1 => format!("1 for machine '{}'", board.name),
        most => format!("1 to {most} for machine '{}'", board.name),
    };
    let product = levels.iter().filter_map(|l| l.as_ref()).map(|l| l.value);
    let product = product.fold(1, u64::saturating_mul);
    for (key, count) in [("cpus", &smp.cpus), ("maxcpus", &smp.maxcpus)] {
        if let Some(n) = count.as_ref().filter(|n| n.value > most.into()) {
            return Err(refuse(key, n, limit()));
        }
    }
    let count = smp.cpus.as_ref().map_or(product, |n| n.value);
    if let (Some(n), Some(level)) = (
        smp.cpus.as_ref().or(smp.maxcpus.as_ref()),
        levels.iter().find_map(|l| l.as_ref()),
    ) {
        let room = smp.maxcpus.as_ref().map_or(n.value, |m| m.value);
        if !room.is_multiple_of(product) {
            let expected = format!("levels whose product divides {room}");
            return Err(refuse("cpus", level, expected));
        }
    }
    match levels.iter().find_map(|l| l.as_ref()) {
        Some(level) if count > most.into() => return Err(refuse("cpus", level, limit())),
        _ => {}
    }
    choices.cpus = choices.cpus.min(1) * u8::try_from(count).unwrap_or(1);
    Ok(())
}

fn check_memory(config: &Config, board: &Board, choices: &mut Choices) -> Result<(), OptError> {
    let Some(size) = &config.memory.size else { return Ok(()) };
    let refuse = |expected: String| {
        let at = size.at.clone();
        Err(OptError::bad_value(Some("size"), size.at.word(), expected, at))
    };
    match board.ram {
        // As in QEMU, boards with fixed memory take -m and go by their own size.
        Ram::Own => Ok(()),
        Ram::Fixed(n) if size.value == n => Ok(()),
        Ram::Fixed(n) => refuse(format!("{}M for machine '{}'", n >> 20, board.name)),
        Ram::Any { least, most, .. } if (least..=most).contains(&size.value) && size.value.is_multiple_of(4096) => {
            choices.ram = size.value;
            Ok(())
        }
        Ram::Any { least, most, .. } => refuse(format!(
            "{}M to {}G in whole pages of 4K for machine '{}'",
            least >> 20,
            most >> 30,
            board.name
        )),
    }
}

fn check_numa(config: &Config, board: &Board, choices: &mut Choices) -> Result<(), OptError> {
    let Some(first) = config.numa.first() else {
        return Ok(());
    };
    if !matches!(board.ram, Ram::Any { .. }) {
        let why = format!("machine '{}' has no NUMA nodes", board.name);
        return Err(OptError::new(ErrorKind::Refused { why }, first.at.clone()));
    }
    let share = choices.ram / config.numa.len() as u64 / 4096 * 4096;
    for node in &config.numa {
        let size = match (&node.memory, &node.memdev) {
            (Some(n), _) => n.value,
            (None, Some(id)) => backend_size(config, id)?,
            (None, None) => share,
        };
        let mut cpus = Vec::new();
        for range in &node.cpus {
            let (first, last) = range.value;
            if last >= u64::from(choices.cpus) {
                let expected = format!("processors 0 to {}", choices.cpus.saturating_sub(1));
                let said = format!("{first}-{last}");
                return Err(OptError::bad_value(Some("cpus"), &said, expected, range.at.clone()));
            }
            cpus.extend((first..=last).filter_map(|n| u8::try_from(n).ok()));
        }
        choices.numa.push(NumaNode {
            cpus,
            memory: size,
            memdev: node.memdev.as_ref().map(|m| m.value.clone()),
        });
    }
    let all: u64 = choices.numa.iter().map(|n| n.memory).fold(0, u64::saturating_add);
    let mixed = config.numa.iter().any(|n| n.memdev.is_some()) && config.numa.iter().any(|n| n.memdev.is_none());
    let why = if mixed {
        "all nodes have a 'memdev' or none has".to_owned()
    } else if all != choices.ram {
        format!("the nodes have {all:#x} bytes together, and -m says {:#x}", choices.ram)
    } else {
        return Ok(());
    };
    Err(OptError::new(ErrorKind::Refused { why }, first.at.clone()))
}

/// What `-object` says of a memory back end, before it is made.
fn backend_size(config: &Config, id: &Located<String>) -> Result<u64, OptError> {
    let memory = |o: &&ObjectOpt| o.type_name.value.starts_with("memory-backend-");
    let all = || config.objects.iter().filter(memory);
    let found = all().find(|o| o.id.value == id.value);
    let found = found.ok_or_else(|| {
        OptError::no_such(
            "memory back end",
            &id.value,
            all().map(|o| o.id.value.as_str()),
            id.at.clone(),
        )
    })?;
    Ok(found.props.size("size")?.map_or(0, |s| s.value))
}

/// Options that only boards take that start from files.
fn check_boot(config: &Config, board: &Board) -> Result<(), OptError> {
    if matches!(board.boot, Boot::Firmware(_)) {
        return Ok(());
    }
    let flash = config.flash.first().map(|f| &f.file);
    let files = [&config.bios, &config.initrd, &config.dtb].into_iter().flatten();
    let Some(word) = files.chain(flash).next() else {
        return Ok(());
    };
    let why = format!(
        "machine '{}' starts its program by itself and takes no such file",
        board.name
    );
    Err(OptError::new(ErrorKind::Refused { why }, word.at.clone()))
}

/// Builds the board.
///
/// # Errors
/// When a device of it refuses what the user said, or the host lacks something.
pub(crate) fn build(
    machine: Machine,
    board: &'static Board,
    config: &Config,
    options: BoardOptions,
    chardevs: &Chardevs,
    netdevs: &Netdevs,
    objects: &Objects,
) -> Result<Built, OptError> {
    check_backends(config, &options.choices, objects)?;
    let options = Options {
        serial: chardevs.serial.clone(),
        globals: devices::globals(config)?,
        unassigned: options.unassigned,
        choices: Some(options.choices),
        memory: objects
            .memories()
            .map(|(id, block)| (id.to_owned(), block.clone()))
            .collect(),
        nics: netdevs.wishes(config)?,
    };
    build_board(machine, board, &registry(), &options).map_err(|e| refused(&e))
}

/// The main memory's back end is there and of the right size.
fn check_backends(config: &Config, choices: &Choices, objects: &Objects) -> Result<(), OptError> {
    let Some(entry) = config.machine.props.get("memory-backend") else {
        return Ok(());
    };
    let Some((_, block)) = objects.memory(&entry.value) else {
        return Err(entry.no_such("memory back end", objects.memories().map(|(id, _)| id)));
    };
    if block.len() == choices.ram {
        return Ok(());
    }
    let why = format!(
        "'{}' has {:#x} bytes, and -m says {:#x}",
        entry.value,
        block.len(),
        choices.ram
    );
    Err(OptError::new(ErrorKind::Refused { why }, entry.value_at.clone()))
}

fn refused(error: &BuildError) -> OptError {
    OptError::nowhere(ErrorKind::Refused { why: error.to_string() })
}

/// The host lacks something basic.
pub(crate) fn no_host(error: std::io::Error) -> OptError {
    let why = format!("the host does not give what a machine needs: {error}");
    OptError::nowhere(ErrorKind::Refused { why })
}
