//! The commands: names, arguments, a line of help, and who does it. Help, usage, parsing and completion read this and nothing else.

use super::{Call, Refusal, block, info, input, log, memory, more, net, pci, plug, riscv, run, snapshot, tree, virtio};
use Kind::{Flag, Format, Number, Rest, Switch, Word};
use Source as S;

/// What an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `-f`.
    Flag(char),
    /// One word, or a text in quotes.
    Word(Source),
    /// The rest of the line, not empty.
    Rest(Source),
    /// `/8xb`.
    Format,
    /// An expression.
    Number,
    /// `on` or `off`.
    Switch,
}

/// Where completion finds an argument's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Nothing,
    Commands,
    Infos,
    DeviceTypes,
    Devices,
    ObjectTypes,
    Objects,
    ChardevKinds,
    Chardevs,
    Paths,
    Snapshots,
    LogItems,
    Events,
    Keys,
    Words(&'static [&'static str]),
}

/// An argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) optional: bool,
}

pub(super) type Run = fn(&mut Call<'_, '_>) -> Result<(), Refusal>;

/// A command.
pub(super) struct Command {
    /// The name and its short forms.
    pub(super) names: &'static [&'static str],
    pub(super) args: &'static [Arg],
    pub(super) help: &'static str,
    pub(super) run: Run,
    /// It reaches into the host: opens files or channels.
    pub(super) host: bool,
}

const fn must(name: &'static str, kind: Kind) -> Arg {
    Arg {
        name,
        kind,
        optional: false,
    }
}

const fn may(name: &'static str, kind: Kind) -> Arg {
    Arg {
        name,
        kind,
        optional: true,
    }
}

const fn command(names: &'static [&'static str], args: &'static [Arg], help: &'static str, run: Run) -> Command {
    Command {
        names,
        args,
        help,
        run,
        host: false,
    }
}

const fn on_host(mut c: Command) -> Command {
    c.host = true;
    c
}

pub(super) static COMMANDS: &[Command] = &[
    command(
        &["announce_self"],
        &[may("interfaces", Word(S::Nothing)), may("id", Word(S::Nothing))],
        "have network devices tell the switches where they are",
        net::announce_self,
    ),
    command(
        &["balloon"],
        &[must("target", Number)],
        "let the guest have so many megabytes",
        more::balloon,
    ),
    command(
        &["block_resize"],
        &[must("device", Word(S::Nothing)), must("size", Word(S::Nothing))],
        "give a disk another length (in MiB, or with a suffix)",
        block::resize,
    ),
    on_host(command(
        &["chardev-add"],
        &[must("backend,id=ID[,option=value][,...]", Rest(S::ChardevKinds))],
        "add a character device, as -chardev does",
        plug::chardev_add,
    )),
    on_host(command(
        &["chardev-change"],
        &[must("id", Word(S::Chardevs)), must("args", Rest(S::ChardevKinds))],
        "give a character device another back end",
        plug::chardev_change,
    )),
    command(
        &["chardev-remove"],
        &[must("id", Word(S::Chardevs))],
        "remove a character device",
        plug::chardev_remove,
    ),
    command(
        &["chardev-send-break"],
        &[must("id", Word(S::Chardevs))],
        "send a break on a character device",
        plug::chardev_send_break,
    ),
    command(&["cont", "c"], &[], "let the machine run", run::cont),
    command(
        &["cpu"],
        &[must("index", Number)],
        "choose the processor that commands are about",
        info::choose,
    ),
    command(
        &["delvm"],
        &[must("tag", Word(S::Snapshots))],
        "forget a snapshot",
        snapshot::delvm,
    ),
    on_host(command(
        &["device_add"],
        &[must("driver[,prop=value][,...]", Rest(S::DeviceTypes))],
        "add a device, as -device does",
        plug::device_add,
    )),
    on_host(command(
        &["drive_add"],
        &[
            may("-n", Flag('n')),
            must("[[domain:]bus:]slot", Word(S::Nothing)),
            must("if=none,id=ID[,file=FILE][,option=value][,...]", Rest(S::Nothing)),
        ],
        "add a drive for a device, as -drive does; -n: a node, as -blockdev does",
        block::drive_add,
    )),
    command(
        &["drive_del"],
        &[must("id", Word(S::Nothing))],
        "remove a drive; a device that uses it finds that every request fails",
        block::drive_del,
    ),
    command(
        &["device_del"],
        &[must("device", Word(S::Devices))],
        "unplug a device by its id or path",
        plug::device_del,
    ),
    on_host(command(
        &["dump-guest-memory"],
        &[
            may("-d", Flag('d')),
            must("filename", Word(S::Nothing)),
            may("begin", Number),
            may("length", Number),
        ],
        "write memory and registers to an ELF core file (-d: in the background)",
        more::dump_guest_memory,
    )),
    on_host(command(
        &["gdbserver"],
        &[may("device", Word(S::Words(&["tcp::1234", "none"])))],
        "let gdb debug the machine on a channel (tcp::1234 if none is named); 'none' ends it",
        plug::gdbserver,
    )),
    command(
        &["gpa2hva"],
        &[must("addr", Number)],
        "where memory of the guest is in this program; it does not tell",
        more::gpa2hva,
    ),
    on_host(command(
        &["hostfwd_add"],
        &[
            must(
                "[netdev_id] [tcp|udp|unix]:[hostaddr]:hostport-[guestaddr]:guestport",
                Word(S::Nothing),
            ),
            may("rule", Word(S::Nothing)),
        ],
        "have a port of the host lead to the guest",
        net::hostfwd_add,
    )),
    on_host(command(
        &["hostfwd_remove"],
        &[
            must("[netdev_id] [tcp|udp|unix]:[hostaddr]:hostport", Word(S::Nothing)),
            may("rule", Word(S::Nothing)),
        ],
        "end that",
        net::hostfwd_remove,
    )),
    command(
        &["gva2gpa"],
        &[must("addr", Number)],
        "the physical address behind a virtual one",
        more::gva2gpa,
    ),
    command(
        &["help", "?"],
        &[may("cmd", Rest(S::Commands))],
        "show all commands, or one",
        info::help,
    ),
    command(
        &["i"],
        &[may("/fmt", Format), must("addr", Number)],
        "read an I/O port",
        memory::port_read,
    ),
    command(
        &["info"],
        &[may("subcommand", Word(S::Infos))],
        "show things of the machine",
        info::list,
    ),
    command(
        &["loadvm"],
        &[must("tag", Word(S::Snapshots))],
        "go back to a snapshot",
        snapshot::loadvm,
    ),
    command(
        &["log"],
        &[must("item1[,...]", Word(S::LogItems))],
        "log these items ('none': nothing), as -d does",
        log::log,
    ),
    on_host(command(
        &["logfile"],
        &[must("filename", Word(S::Nothing))],
        "write the log to a file",
        log::logfile,
    )),
    on_host(command(
        &["memsave"],
        &[
            must("addr", Number),
            must("size", Number),
            must("file", Word(S::Nothing)),
        ],
        "write memory as the processor sees it to a file",
        more::memsave,
    )),
    command(
        &["migrate"],
        &[may("-d", Flag('d')), must("uri", Word(S::Nothing))],
        "send the machine to another process (never waits; info migrate says how far it is)",
        snapshot::migrate,
    ),
    command(
        &["migrate_cancel"],
        &[],
        "take a migration back",
        snapshot::migrate_cancel,
    ),
    command(
        &["migrate_incoming"],
        &[must("uri", Word(S::Nothing))],
        "say from where the state comes for which this machine waits",
        snapshot::migrate_incoming,
    ),
    command(
        &["migrate_set_capability"],
        &[must("capability", Word(S::Nothing)), must("state", Switch)],
        "switch a capability for migrations on or off",
        snapshot::migrate_set_capability,
    ),
    command(
        &["migrate_set_parameter"],
        &[must("parameter", Word(S::Nothing)), must("value", Word(S::Nothing))],
        "set a parameter for migrations",
        snapshot::migrate_set_parameter,
    ),
    command(
        &["mouse_button"],
        &[must("state", Number)],
        "press and let go buttons of the pointer (1: left, 2: right, 4: middle)",
        input::mouse_button,
    ),
    command(
        &["mouse_move"],
        &[
            must("dx", Word(S::Nothing)),
            must("dy", Word(S::Nothing)),
            may("dz", Word(S::Nothing)),
        ],
        "move the pointer by so much, and the wheel",
        input::mouse_move,
    ),
    command(
        &["mouse_set"],
        &[must("index", Number)],
        "choose which pointer gets the events (info mice has their numbers)",
        input::mouse_set,
    ),
    on_host(command(
        &["netdev_add"],
        &[must("type,id=ID[,option=value][,...]", Rest(S::Nothing))],
        "make a network back end, as -netdev does",
        net::netdev_add,
    )),
    command(
        &["netdev_del"],
        &[must("id", Word(S::Nothing))],
        "end a network back end",
        net::netdev_del,
    ),
    command(&["nmi"], &[], "raise a non-maskable interrupt", run::nmi),
    command(
        &["o"],
        &[may("/fmt", Format), must("addr", Number), must("value", Number)],
        "write an I/O port",
        memory::port_write,
    ),
    on_host(command(
        &["object_add"],
        &[must("[qom-type=]type,id=ID[,prop=value][,...]", Rest(S::ObjectTypes))],
        "make an object, as -object does",
        plug::object_add,
    )),
    command(
        &["object_del"],
        &[must("id", Word(S::Objects))],
        "end an object",
        plug::object_del,
    ),
    command(
        &["pcie_aer_inject_error"],
        &[
            may("-a", Flag('a')),
            may("-c", Flag('c')),
            must("id", Word(S::Devices)),
            must("error_status", Word(S::Words(&pci::ERRORS))),
            may("h0", Number),
            may("h1", Number),
            may("h2", Number),
            may("h3", Number),
            may("p0", Number),
            may("p1", Number),
            may("p2", Number),
            may("p3", Number),
        ],
        "give a PCI device an error (-a: advisory; -c: correctable)",
        pci::inject_error,
    ),
    on_host(command(
        &["pmemsave"],
        &[
            must("addr", Number),
            must("size", Number),
            must("file", Word(S::Nothing)),
        ],
        "write memory of the machine to a file",
        more::pmemsave,
    )),
    command(
        &["print", "p"],
        &[may("/fmt", Format), must("expr", Number)],
        "print the value of an expression ($reg is a register of the processor)",
        memory::print,
    ),
    command(
        &["qom-get"],
        &[must("path", Word(S::Paths)), must("property", Word(S::Nothing))],
        "print a property of an object",
        tree::qom_get,
    ),
    command(
        &["qom-list"],
        &[may("path", Word(S::Paths))],
        "list the properties of an object",
        tree::qom_list,
    ),
    command(
        &["qom-set"],
        &[
            may("-j", Flag('j')),
            must("path", Word(S::Paths)),
            must("property", Word(S::Nothing)),
            must("value", Rest(S::Nothing)),
        ],
        "set a property of an object (-j: the value is JSON)",
        tree::qom_set,
    ),
    command(&["quit", "q"], &[], "end the program", run::quit),
    command(
        &["ringbuf_read"],
        &[must("device", Word(S::Chardevs)), must("size", Number)],
        "take what a ring buffer holds",
        more::ringbuf_read,
    ),
    command(
        &["ringbuf_write"],
        &[must("device", Word(S::Chardevs)), must("data", Word(S::Nothing))],
        "put a text into a ring buffer",
        more::ringbuf_write,
    ),
    command(
        &["savevm"],
        &[may("tag", Word(S::Nothing))],
        "take a snapshot of the machine (kept in memory without -snapshot-dir)",
        snapshot::savevm,
    ),
    command(
        &["sendkey"],
        &[must("keys", Word(S::Keys)), may("hold_ms", Number)],
        "press keys and let them go (ctrl-alt-f1, or numbers as in 0x1d-0x38)",
        input::sendkey,
    ),
    command(
        &["set_link"],
        &[must("name", Word(S::Nothing)), must("on|off", Switch)],
        "plug the cable of a network device in or out",
        net::set_link,
    ),
    command(&["stop", "s"], &[], "stop the machine", run::stop),
    command(
        &["sum"],
        &[must("addr", Number), must("size", Number)],
        "checksum of memory of the machine",
        more::sum,
    ),
    command(
        &["system_powerdown"],
        &[],
        "press the power button",
        run::system_powerdown,
    ),
    command(&["system_reset"], &[], "press the reset button", run::system_reset),
    command(
        &["trace-event"],
        &[must("name", Word(S::Events)), must("on|off", Switch)],
        "switch trace events on or off (* stands for any text)",
        log::trace_event,
    ),
    command(
        &["watchdog_action"],
        &[must(
            "action",
            Word(S::Words(&[
                "reset",
                "shutdown",
                "poweroff",
                "pause",
                "debug",
                "none",
                "inject-nmi",
            ])),
        )],
        "choose what happens where a watchdog expires",
        more::watchdog_action,
    ),
    command(
        &["x"],
        &[may("/fmt", Format), must("addr", Number)],
        "show memory as the processor sees it, or instructions (/3i)",
        memory::virtual_dump,
    ),
    command(
        &["xp"],
        &[may("/fmt", Format), must("addr", Number)],
        "show memory of the machine, or instructions",
        memory::physical_dump,
    ),
];

pub(super) static INFOS: &[Command] = &[
    command(&["balloon"], &[], "how much memory the guest has", more::info_balloon),
    command(
        &["block"],
        &[may("device", Word(S::Nothing))],
        "disks and what is behind them",
        block::info,
    ),
    command(&["blockstats"], &[], "what disks have done", block::stats),
    command(&["chardev"], &[], "character devices", info::chardev),
    command(&["cpus"], &[], "processors", info::cpus),
    command(&["dump"], &[], "how far the last dump is", more::dump_status),
    command(&["history"], &[], "lines typed before", info::history),
    command(
        &["hotpluggable-cpus"],
        &[],
        "places for processors",
        more::hotpluggable_cpus,
    ),
    command(&["iothreads"], &[], "threads for back ends", more::iothreads),
    command(&["irq"], &[], "interrupt lines that are wired", info::irq),
    command(&["jit"], &[], "the execution engine", info::jit),
    command(&["kvm"], &[], "whether the host's virtualization is used", more::kvm),
    command(
        &["mem"],
        &[],
        "ranges of virtual addresses that a processor's page table maps",
        riscv::mappings,
    ),
    command(&["memdev"], &[], "memory that -m or an object gave", more::memdev),
    command(
        &["memory_size_summary"],
        &[],
        "how much memory the guest has",
        more::memory_size,
    ),
    command(&["mice"], &[], "devices that move the guest's pointer", input::mice),
    command(&["migrate"], &[], "how far a migration is", snapshot::info_migrate),
    command(
        &["migrate_capabilities"],
        &[],
        "what is switched on for migrations",
        snapshot::info_migrate_capabilities,
    ),
    command(
        &["migrate_parameters"],
        &[],
        "parameters for migrations",
        snapshot::info_migrate_parameters,
    ),
    command(
        &["mtree"],
        &[may("-f", Flag('f'))],
        "what stands in the address space (-f: flat, what an access finds)",
        tree::mtree,
    ),
    command(&["name"], &[], "name of the machine", info::name),
    command(&["network"], &[], "network devices and back ends", net::network),
    command(&["numa"], &[], "NUMA nodes", more::numa),
    command(&["pci"], &[], "what is on the PCI buses", pci::info),
    command(&["pic"], &[], "interrupt controllers", info::pic),
    command(
        &["qom-tree"],
        &[may("path", Word(S::Paths))],
        "tree of objects",
        tree::qom_tree,
    ),
    command(
        &["qtree"],
        &[may("-b", Flag('b'))],
        "tree of buses and devices (-b: without properties)",
        tree::qtree,
    ),
    command(&["ramblock"], &[], "blocks of memory", more::ramblock),
    command(
        &["registers"],
        &[may("-a", Flag('a')), may("vcpu", Number)],
        "registers of a processor (-a: of all)",
        info::registers,
    ),
    command(&["roms"], &[], "images that the loader put into memory", info::roms),
    command(&["snapshots"], &[], "snapshots that savevm took", snapshot::list),
    command(&["status"], &[], "whether the machine runs", info::status),
    command(
        &["trace-events"],
        &[may("name", Word(S::Events))],
        "trace events and whether they are on",
        log::trace_events,
    ),
    command(&["usernet"], &[], "connections of networks of our own", net::usernet),
    command(&["uuid"], &[], "UUID of the machine", info::uuid),
    command(&["version"], &[], "version of the program", info::version),
    command(&["virtio"], &[], "virtio devices", virtio::list),
    command(
        &["virtio-queue-element"],
        &[
            must("path", Word(S::Paths)),
            must("queue", Number),
            may("index", Number),
        ],
        "a chain of buffers in a queue of a virtio device",
        virtio::queue_element,
    ),
    command(
        &["virtio-queue-status"],
        &[must("path", Word(S::Paths)), must("queue", Number)],
        "a queue of a virtio device, and how far the device is in it",
        virtio::queue_status,
    ),
    command(
        &["virtio-status"],
        &[must("path", Word(S::Paths))],
        "a virtio device from inside",
        virtio::status,
    ),
    command(
        &["virtio-vhost-queue-status"],
        &[must("path", Word(S::Paths)), must("queue", Number)],
        "a queue that another process serves; no device has such queues here",
        virtio::vhost_queue_status,
    ),
];

/// A command by one of its names.
pub(super) fn find(table: &'static [Command], name: &str) -> Option<&'static Command> {
    table.iter().find(|c| c.names.contains(&name))
}

impl Command {
    /// Its line of help, after `prefix`.
    pub(super) fn line(&self, prefix: &str) -> String {
        let mut line = format!("{prefix}{}", self.names.join("|"));
        for arg in self.args {
            let (open, close) = match (arg.optional, arg.kind) {
                (true, k) if k != Format => ("[", "]"),
                _ => ("", ""),
            };
            line += &format!(" {open}{}{close}", arg.name);
        }
        if self.args.is_empty() {
            line.push(' ');
        }
        format!("{line} -- {}\n", self.help)
    }
}
