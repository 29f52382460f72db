//! `-machine`, `-cpu`, `-accel`, `-smp`, `-m`, `-display`.

use crate::argv::RawOption;
use crate::command::HelpTopic;
use crate::error::{ErrorKind, OptError};
use crate::keyval::value::{EXPECT_SIZE, Unit, parse_size};
use crate::keyval::{Grammar, Props};
use crate::location::{Located, Location};
use crate::options;

use super::{Config, Info, accel, boot};

/// `-machine`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineOpt {
    /// The board's name; `None` if none was given.
    pub type_name: Option<Located<String>>,
    /// Its properties, with `-` for `_` in keys. What has a field of its own in [`Config`] is not among them.
    pub props: Props,
}

impl MachineOpt {
    /// The board's name, which a run cannot do without.
    ///
    /// # Errors
    /// When none was given.
    pub fn required(&self) -> Result<&Located<String>, OptError> {
        self.type_name.as_ref().ok_or_else(|| {
            let error = OptError::nowhere(ErrorKind::Refused {
                why: "no machine is chosen".to_owned(),
            });
            error.with_help("write -machine NAME; -machine help lists them")
        })
    }
}

impl Default for MachineOpt {
    fn default() -> Self {
        Self {
            type_name: None,
            props: Props::empty("-machine"),
        }
    }
}

pub(super) fn machine(props: Props, config: &mut Config) -> Result<(), OptError> {
    config.kernel = props.text("kernel");
    config.append = props.text("append");
    if let Some(entry) = props.get("accel") {
        // A list of preferences, separated by colons; `-accel` says the same with properties.
        let mut start = 0;
        for name in entry.value.split(':') {
            let at = entry.value_at.part(start..start + name.len());
            start += name.len() + 1;
            accel::add(name, at, &Props::empty("-machine"), config)?;
        }
    }
    config.bios = props.text("firmware");
    config.initrd = props.text("initrd");
    config.dtb = props.text("dtb");
    boot::machine_flash(&props, config)?;
    let later = [("shim", "shim")];
    for (key, option) in later {
        if let (Some(entry), Some(def)) = (props.get(key), options::find(option)) {
            let what = format!("the machine property '{key}' ({})", def.dashed());
            return Err(OptError::not_yet(what, entry.key_at.clone()));
        }
    }
    props.switch("graphics")?;
    config.machine.type_name = props.text("type");
    config.machine.props = props.without(&[
        "type", "kernel", "append", "firmware", "initrd", "dtb", "pflash0", "pflash1", "accel", "graphics",
    ]);
    Ok(())
}

/// `-cpu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuOpt {
    /// The processor's name.
    pub model: Located<String>,
    /// Its properties; `+feature` and `-feature` of QEMU are kept as keys.
    pub props: Props,
}

pub(super) fn cpu(option: &RawOption, config: &mut Config) -> Result<Option<CpuOpt>, OptError> {
    let mut props = Props::parse(&option.source, Grammar::list("model"))?;
    if props.text("model").is_some_and(|m| m.value == "help" || m.value == "?") {
        config.show(Info::Help(HelpTopic::Cpus));
        return Ok(None);
    }
    let model = props.required("-cpu", "model")?;
    props = props.without(&["model"]);
    Ok(Some(CpuOpt { model, props }))
}

/// `-smp`: numbers as given; what is not given is for the machine to work out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the key of that name")]
pub struct SmpOpt {
    pub cpus: Option<Located<u64>>,
    pub maxcpus: Option<Located<u64>>,
    pub drawers: Option<Located<u64>>,
    pub books: Option<Located<u64>>,
    pub sockets: Option<Located<u64>>,
    pub dies: Option<Located<u64>>,
    pub clusters: Option<Located<u64>>,
    pub modules: Option<Located<u64>>,
    pub cores: Option<Located<u64>>,
    pub threads: Option<Located<u64>>,
}

impl SmpOpt {
    const KEYS: [&str; 10] = [
        "cpus", "maxcpus", "drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads",
    ];

    pub(super) fn parse(props: &Props) -> Result<Self, OptError> {
        props.only("-smp", &Self::KEYS)?;
        let positive = |key| match props.number(key)? {
            Some(n) if n.value == 0 => Err(OptError::bad_value(Some(key), "0", "a number from 1 up", n.at)),
            n => Ok(n),
        };
        Ok(Self {
            cpus: positive("cpus")?,
            maxcpus: positive("maxcpus")?,
            drawers: positive("drawers")?,
            books: positive("books")?,
            sockets: positive("sockets")?,
            dies: positive("dies")?,
            clusters: positive("clusters")?,
            modules: positive("modules")?,
            cores: positive("cores")?,
            threads: positive("threads")?,
        })
    }
}

/// `-m`, sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryOpt {
    /// Size of the guest's memory; `None` for the board's own.
    pub size: Option<Located<u64>>,
    /// Slots for memory that is plugged in later.
    pub slots: Option<Located<u64>>,
    /// Limit for that.
    pub maxmem: Option<Located<u64>>,
}

impl MemoryOpt {
    pub(super) fn parse(props: &Props) -> Result<Self, OptError> {
        props.only("-m", &["size", "slots", "maxmem"])?;
        let size = props.read("size", EXPECT_SIZE, |text| parse_size(text, Unit::Mebibyte))?;
        let this = Self {
            size,
            slots: props.number("slots")?,
            maxmem: props.size("maxmem")?,
        };
        if let (Some(size), Some(max)) = (&this.size, &this.maxmem)
            && max.value < size.value
        {
            let why = "'maxmem' is smaller than 'size'".to_owned();
            return Err(OptError::new(ErrorKind::Refused { why }, max.at.clone()));
        }
        Ok(this)
    }
}

/// Displays of QEMU that are not here.
const LATER_DISPLAYS: &[&str] = &[
    "gtk",
    "sdl",
    "curses",
    "cocoa",
    "egl-headless",
    "spice-app",
    "dbus",
    "vnc",
];

pub(super) fn display(option: &RawOption, config: &mut Config) -> Result<(), OptError> {
    let text = &option.source.text;
    let name = text.split([',', '=']).next().unwrap_or(text);
    let at = Location::new(&option.source, 0..name.len());
    match name {
        "none" => Ok(()),
        "help" | "?" => {
            config.show(Info::Help(HelpTopic::Displays));
            Ok(())
        }
        later if LATER_DISPLAYS.contains(&later) => {
            Err(OptError::not_yet(format!("-display {later}"), at).with_help("it comes with displays; 'none' works"))
        }
        other => Err(OptError::no_such("display", other, ["none"], at)),
    }
}
