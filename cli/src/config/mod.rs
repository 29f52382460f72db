//! The typed configuration: what the command line says, checked as far as words alone can be.
//!
//! One struct per option, beside its parser. Nothing here knows which devices or machines exist; their names and
//! properties stay words with places ([`Props`], [`Located`]), and the machine layer judges them.

pub mod accel;
pub mod block;
pub mod boot;
pub mod chardev;
pub mod device;
pub mod fsdev;
pub mod habit;
pub mod log;
pub mod machine;
pub mod monitor;
pub mod net;
pub mod numa;
pub mod run;
pub mod serial;
#[cfg(test)]
mod tests;
pub mod time;
pub mod trace;

use crate::argv::{CommandLine, RawOption};
use crate::command::HelpTopic;
use crate::error::OptError;
use crate::ini;
use crate::keyval::Props;
use crate::keyval::value::{EXPECT_ID, is_id};
use crate::location::{Located, Location, Source};
use crate::options::Handler;

pub use accel::{AccelOpt, JitOpt};
pub use block::{BlockNode, DriveOpt};
pub use boot::FlashOpt;
pub use chardev::ChardevOpt;
pub use device::{DeviceOpt, GlobalOpt, LoaderOpt, LoaderWhat, ObjectOpt};
pub use fsdev::FsdevOpt;
pub use habit::MessageOpt;
pub use log::{LogItem, LogOpt};
pub use machine::{CpuOpt, MachineOpt, MemoryOpt, SmpOpt};
pub use monitor::MonitorOpt;
pub use net::{NetOpts, NetdevOpt, NicOpt};
pub use numa::NumaOpt;
pub use run::{ActionOpt, NameOpt, PanicAction, RebootAction, SemihostingOpt, ShutdownAction, WatchdogAction};
pub use serial::{SerialBackend, SerialOpt};
pub use time::{IcountOpt, Pace, RecordReplay, RtcBase, RtcClock, RtcOpt, Shift};
pub use trace::{TraceFormat, TraceOpt};

/// Something to show instead of running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Info {
    /// A help text.
    Help(HelpTopic),
    /// The version.
    Version,
}

/// All that the command line says.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `-machine`, and the options that QEMU keeps among its properties.
    pub machine: MachineOpt,
    /// `-cpu`.
    pub cpu: Option<CpuOpt>,
    /// `-accel`, in order of preference.
    pub accels: Vec<AccelOpt>,
    /// Engines of QEMU that are asked for and not here. They are passed over where another one is asked for too.
    pub(crate) other_accels: Vec<Located<String>>,
    /// `-smp`.
    pub smp: SmpOpt,
    /// `-m`.
    pub memory: MemoryOpt,
    /// `-device`, in order.
    pub devices: Vec<DeviceOpt>,
    /// `-global`, in order: later ones win.
    pub globals: Vec<GlobalOpt>,
    /// `-object`, in order.
    pub objects: Vec<ObjectOpt>,
    /// `-chardev`, in order. Those that `-serial` makes are in [`Config::serial_ports`].
    pub chardevs: Vec<ChardevOpt>,
    /// `-netdev`, `-nic` and `-net`.
    pub net: NetOpts,
    /// `-fsdev`, in order, and those that `-virtfs` makes; its devices are among [`Config::devices`].
    pub fsdevs: Vec<FsdevOpt>,
    /// `-serial` as given; see [`Config::serial_ports`] for what the board gets.
    pub serials: Vec<SerialOpt>,
    /// `-monitor none`, or another option that leaves no default monitor.
    pub no_monitor: bool,
    /// `-qmp`, `-qmp-pretty` and `-mon`, in order.
    pub monitors: Vec<MonitorOpt>,
    /// `-kernel`.
    pub kernel: Option<Located<String>>,
    /// `-bios`.
    pub bios: Option<Located<String>>,
    /// `-initrd`.
    pub initrd: Option<Located<String>>,
    /// `-dtb`.
    pub dtb: Option<Located<String>>,
    /// Contents of flash chips: `-drive if=pflash`, `-pflash`, `-machine pflash0=`.
    pub flash: Vec<FlashOpt>,
    /// `-blockdev`, in order.
    pub block_nodes: Vec<BlockNode>,
    /// `-drive`, in order, but for contents of flash chips.
    pub drives: Vec<DriveOpt>,
    /// `-numa node`, in order.
    pub numa: Vec<NumaOpt>,
    /// `-append`.
    pub append: Option<Located<String>>,
    /// `-nographic`.
    pub nographic: Option<Location>,
    /// `-nodefaults`.
    pub nodefaults: bool,
    /// `-S`.
    pub start_paused: bool,
    /// `-icount`.
    pub icount: Option<IcountOpt>,
    /// `-incoming`.
    pub incoming: Option<Located<String>>,
    /// `-loadvm`.
    pub loadvm: Option<Located<String>>,
    /// `-snapshot-dir`.
    pub snapshot_dir: Option<Located<String>>,
    /// `-pace`.
    pub pace: Option<Located<Pace>>,
    /// `-rtc`.
    pub rtc: RtcOpt,
    /// `-semihosting` and `-semihosting-config`.
    pub semihosting: SemihostingOpt,
    /// `-d` and `-D`.
    pub log: LogOpt,
    /// `-trace`, in order.
    pub traces: Vec<TraceOpt>,
    /// `-gdb` and `-s`.
    pub gdb: Option<SerialOpt>,
    /// `-qtest`.
    pub qtest: Option<SerialOpt>,
    /// `-qtest-log`.
    pub qtest_log: Option<Located<String>>,
    /// `-name`.
    pub name: NameOpt,
    /// `-uuid`.
    pub uuid: Option<[u8; 16]>,
    /// `-pidfile`.
    pub pidfile: Option<Located<String>>,
    /// `-daemonize`.
    pub daemonize: Option<Location>,
    /// `-writeconfig`; the text is [`Config::to_ini`].
    pub write_config: Option<Located<String>>,
    /// `-action`, `-no-reboot`, `-no-shutdown`, `-watchdog-action`.
    pub action: ActionOpt,
    /// `-msg`.
    pub messages: MessageOpt,
    /// `-seed`.
    pub seed: Option<u64>,
    /// The first help or version text that was asked for.
    pub info: Option<Info>,
    options: Vec<RawOption>,
}

impl Config {
    /// Whether no processor shall execute: the first engine asked for is `qtest`.
    pub fn only_tests(&self) -> bool {
        self.accels.first().is_some_and(|a| a.name.value == "qtest")
    }

    /// From the arguments of a program, its name first; `-readconfig` is refused with this short form.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn from_args<S: AsRef<str>>(args: &[S]) -> Result<Self, OptError> {
        let refuse = |_: &str| Err(std::io::Error::from(std::io::ErrorKind::Unsupported));
        Self::build(CommandLine::parse(args)?.expand(refuse)?)
    }

    /// From a command line whose `-readconfig` is expanded.
    ///
    /// # Errors
    /// When an argument is wrong, or two of them do not go together.
    pub fn build(line: CommandLine) -> Result<Self, OptError> {
        let mut config = Self::default();
        let mut lists = Lists::default();
        for option in line.options() {
            config.take(option, &mut lists)?;
        }
        if let Some(at) = lists.snapshot.take() {
            block::snapshot(&at, &mut config);
        }
        lists.finish(&mut config)?;
        monitor::on_terminal(&mut config)?;
        config.options = line.options().to_vec();
        if config.info.is_none() {
            config.check()?;
        }
        Ok(config)
    }

    /// The options as a file for `-readconfig`.
    ///
    /// # Errors
    /// When a value cannot stand in such a file.
    pub fn to_ini(&self) -> Result<String, OptError> {
        ini::write(&self.options)
    }

    /// The options this configuration was built from.
    pub fn options(&self) -> &[RawOption] {
        &self.options
    }

    fn take(&mut self, option: &RawOption, lists: &mut Lists) -> Result<(), OptError> {
        let text = || Located::new(option.source.text.clone(), option.at_argument());
        match option.def.handler {
            Handler::Help => self.show(Info::Help(HelpTopic::Usage)),
            Handler::Version => self.show(Info::Version),
            Handler::Kernel => lists.machine_key("kernel", option),
            Handler::Append => lists.machine_key("append", option),
            Handler::Bios => lists.machine_key("firmware", option),
            Handler::Initrd => lists.machine_key("initrd", option),
            Handler::Dtb => lists.machine_key("dtb", option),
            Handler::Pflash => boot::pflash(option, self)?,
            Handler::Nographic => {
                lists.machine_key("graphics", option);
                self.nographic = Some(option.at());
            }
            Handler::Cpu => self.cpu = machine::cpu(option, self)?,
            Handler::Display => machine::display(option, self)?,
            Handler::Serial => self.serials.push(serial::parse(option, self.serials.len())?),
            Handler::Monitor => monitor::human(option, self)?,
            Handler::Qmp => monitor::qmp(option, false, self)?,
            Handler::QmpPretty => monitor::qmp(option, true, self)?,
            Handler::Nodefaults => self.nodefaults = true,
            Handler::StartPaused => self.start_paused = true,
            Handler::Semihosting => self.semihosting.enable(),
            Handler::Daemonize => self.daemonize = Some(option.at()),
            Handler::Pidfile => self.pidfile = Some(text()),
            Handler::Incoming => self.incoming = Some(text()),
            Handler::Loadvm => self.loadvm = Some(text()),
            Handler::SnapshotDir => self.snapshot_dir = Some(text()),
            Handler::WriteConfig => self.write_config = Some(text()),
            Handler::LogFile => self.log.file = Some(text()),
            Handler::LogItems => log::parse(option, self)?,
            Handler::Gdb => self.gdb = Some(serial::gdb(&option.source)?),
            Handler::GdbDefault => self.gdb = Some(serial::gdb(&Source::implied("-s", "tcp::1234"))?),
            Handler::Qtest => self.qtest = Some(serial::channel(&option.source, "qtest")?),
            Handler::QtestLog => self.qtest_log = Some(text()),
            Handler::Uuid => self.uuid = Some(run::uuid(option)?),
            Handler::Seed => self.seed = Some(run::seed(option)?),
            Handler::Pace => self.pace = Some(time::pace(option)?),
            Handler::Snapshot => lists.snapshot = Some(option.at()),
            Handler::NoReboot => self.action.reboot = RebootAction::Shutdown,
            Handler::NoShutdown => self.action.shutdown = ShutdownAction::Pause,
            Handler::WatchdogAction => self.action.watchdog(option)?,
            Handler::Global => self.globals.push(device::global(option)?),
            // Nothing to do: no user configuration exists, and `-readconfig` has been expanded.
            Handler::NoUserConfig | Handler::NoneOnly | Handler::ReadConfig | Handler::Absent => {}
            _ => self.take_list(option, lists)?,
        }
        Ok(())
    }

    fn take_list(&mut self, option: &RawOption, lists: &mut Lists) -> Result<(), OptError> {
        let props = option.props()?;
        let asked = props.help_at().is_some();
        match option.def.handler {
            Handler::Machine => lists.merge_machine(props, self),
            Handler::Accel => accel::parse(props, self)?,
            Handler::Device => device::device(props, self)?,
            Handler::Object => device::object(props, self)?,
            Handler::Chardev => chardev::option(props, self)?,
            Handler::Blockdev => block::blockdev(props, self)?,
            Handler::Fsdev => fsdev::fsdev(props, self)?,
            Handler::Virtfs => fsdev::virtfs(props, self)?,
            Handler::Netdev => net::netdev(props, self)?,
            Handler::Nic => net::nic(props, self)?,
            Handler::Net => net::net(props, self)?,
            Handler::Mon if !asked => monitor::mon(&props, self)?,
            Handler::Trace => trace::parse(&props, self)?,
            _ if asked => self.show(Info::Help(HelpTopic::of(option.def))),
            Handler::Drive => block::drive(&props, self)?,
            Handler::Numa => numa::parse(&props, self)?,
            Handler::Smp => merge(&mut lists.smp, props),
            Handler::Memory => merge(&mut lists.memory, props),
            Handler::Icount => merge(&mut lists.icount, props),
            Handler::Rtc => merge(&mut lists.rtc, props),
            Handler::Name => merge(&mut lists.name, props),
            Handler::Action => self.action.apply(&props)?,
            Handler::Boot => habit::boot(&props)?,
            Handler::Overcommit => habit::overcommit(&props)?,
            Handler::Sandbox => habit::sandbox(&props)?,
            Handler::Msg => self.messages.apply(&props)?,
            Handler::SemihostingConfig => self.semihosting.apply(&props)?,
            other => debug_assert!(false, "no parser for {other:?}"),
        }
        Ok(())
    }

    /// Remembers the first thing to show.
    pub(crate) fn show(&mut self, info: Info) {
        self.info.get_or_insert(info);
    }

    /// What can only be seen when all options are known.
    fn check(&self) -> Result<(), OptError> {
        accel::check(self)?;
        chardev::check_references(self)?;
        net::check_references(self)?;
        time::check(self)?;
        serial::check(self)
    }
}

/// The lists that merge over several occurrences, until all are read.
#[derive(Debug, Default)]
struct Lists {
    machine: Option<Props>,
    smp: Option<Props>,
    memory: Option<Props>,
    icount: Option<Props>,
    rtc: Option<Props>,
    name: Option<Props>,
    /// Where `-snapshot` stands: it is for drives that come after it, too.
    snapshot: Option<Location>,
}

fn merge(slot: &mut Option<Props>, props: Props) {
    *slot = Some(match slot.take() {
        Some(earlier) => earlier.merged(props),
        None => props,
    });
}

impl Lists {
    /// QEMU keeps some options among the machine's properties, so that the later of the two spellings wins.
    fn machine_key(&mut self, key: &str, option: &RawOption) {
        let mut props = Props::empty("-machine");
        let value = if key == "graphics" { "off" } else { &option.source.text };
        let at = if key == "graphics" {
            option.at()
        } else {
            option.at_argument()
        };
        props.push(key, value, &at);
        self.add_machine(props);
    }

    fn add_machine(&mut self, props: Props) {
        merge(&mut self.machine, props);
    }

    fn merge_machine(&mut self, props: Props, config: &mut Config) {
        let asked = props.help_at().is_some();
        self.add_machine(props.dashed());
        if asked {
            let name = self.machine.as_ref().and_then(|m| m.text("type")).map(|t| t.value);
            config.show(Info::Help(match name {
                Some(name) if name != "help" && name != "?" => HelpTopic::MachineProperties(name),
                _ => HelpTopic::Machines,
            }));
        }
    }

    fn finish(self, config: &mut Config) -> Result<(), OptError> {
        if let Some(props) = self.machine {
            machine::machine(props, config)?;
        }
        if let Some(props) = self.smp {
            config.smp = SmpOpt::parse(&props)?;
        }
        if let Some(props) = self.memory {
            config.memory = MemoryOpt::parse(&props)?;
        }
        if let Some(props) = self.icount {
            config.icount = Some(IcountOpt::parse(&props)?);
        }
        if let Some(props) = self.rtc {
            config.rtc = RtcOpt::parse(&props)?;
        }
        if let Some(props) = self.name {
            config.name = NameOpt::parse(&props)?;
        }
        Ok(())
    }
}

/// The `id` of a list, checked for its form and against those already there.
pub(crate) fn id<'a>(
    props: &Props,
    what: &str,
    taken: impl IntoIterator<Item = &'a Located<String>>,
) -> Result<Option<Located<String>>, OptError> {
    let Some(id) = props.text("id") else { return Ok(None) };
    if !is_id(&id.value) {
        return Err(OptError::bad_value(Some("id"), &id.value, EXPECT_ID, id.at));
    }
    match taken.into_iter().find(|t| t.value == id.value) {
        Some(first) => Err(OptError::duplicate_id(what, &id.value, id.at, first.at.clone())),
        None => Ok(Some(id)),
    }
}
