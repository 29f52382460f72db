//! `-device`, `-global`, `-object`, and the loader, which is a device only by its spelling.

use crate::argv::RawOption;
use crate::command::HelpTopic;
use crate::error::OptError;
use crate::keyval::{Grammar, Props};
use crate::location::{Located, Location};

use super::{Config, Info, id};

/// `-device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceOpt {
    /// The type's name.
    pub driver: Located<String>,
    /// The user's name for it.
    pub id: Option<Located<String>>,
    /// The bus it is to be plugged into.
    pub bus: Option<Located<String>>,
    /// The properties, without the three above.
    pub props: Props,
}

impl DeviceOpt {
    /// The option's own name, to be marked when no single word is wrong.
    pub fn at(&self) -> Location {
        self.props.at()
    }
}

pub(super) fn device(props: Props, config: &mut Config) -> Result<(), OptError> {
    if props.help_at().is_some() {
        config.show(Info::Help(match asked_name(&props, "driver") {
            Some(name) => HelpTopic::DeviceProperties(name),
            None => HelpTopic::Devices,
        }));
        return Ok(());
    }
    let driver = props.required("-device", "driver")?;
    let id = id(&props, "device", config.devices.iter().filter_map(|d| d.id.as_ref()))?;
    let bus = props.text("bus");
    config.devices.push(DeviceOpt {
        driver,
        id,
        bus,
        props: props.without(&["driver", "id", "bus"]),
    });
    Ok(())
}

/// The name whose help is asked for; `None` when the help is about all.
fn asked_name(props: &Props, key: &str) -> Option<String> {
    props.text(key).map(|n| n.value).filter(|n| n != "help" && n != "?")
}

/// `-object`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectOpt {
    /// The type's name.
    pub type_name: Located<String>,
    /// Its name; every object has one.
    pub id: Located<String>,
    /// The properties, without the two above.
    pub props: Props,
}

pub(super) fn object(props: Props, config: &mut Config) -> Result<(), OptError> {
    if props.help_at().is_some() {
        config.show(Info::Help(match asked_name(&props, "qom-type") {
            Some(name) => HelpTopic::ObjectProperties(name),
            None => HelpTopic::Objects,
        }));
        return Ok(());
    }
    let type_name = props.required("-object", "qom-type")?;
    let id = id(&props, "object", config.objects.iter().map(|o| &o.id))?
        .ok_or_else(|| OptError::missing("-object", "'id'", props.at()).with_help("add id=NAME"))?;
    config.objects.push(ObjectOpt {
        type_name,
        id,
        props: props.without(&["qom-type", "id"]),
    });
    Ok(())
}

/// `-global`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalOpt {
    /// The type's name.
    pub driver: Located<String>,
    /// The property's name.
    pub property: Located<String>,
    /// Its value.
    pub value: Located<String>,
}

pub(super) fn global(option: &RawOption) -> Result<GlobalOpt, OptError> {
    let props = global_props(option)?;
    props.only("-global", &["driver", "property", "value"])?;
    Ok(GlobalOpt {
        driver: props.required("-global", "driver")?,
        property: props.required("-global", "property")?,
        value: props
            .text("value")
            .ok_or_else(|| OptError::missing("-global", "'value'", props.at()))?,
    })
}

/// `-global` as a list, whichever form was used. The short form is `DRIVER.PROPERTY=VALUE`, the value being everything
/// after the first `=`, commas and all.
pub(crate) fn global_props(option: &RawOption) -> Result<Props, OptError> {
    if option.ready.is_some() {
        return option.props();
    }
    let text = &option.source.text;
    let at = |range| Location::new(&option.source, range);
    let Some(equals) = text.find('=') else {
        let error = OptError::missing("-global", "DRIVER.PROPERTY=VALUE", at(0..text.len()));
        return Err(error.with_help("for example -global pl011.chardev=con"));
    };
    let Some(dot) = text[..equals].find('.').filter(|dot| *dot > 0 && *dot + 1 < equals) else {
        return Props::parse(&option.source, Grammar::plain());
    };
    let mut props = Props::at_source(&option.source);
    props.push("driver", &text[..dot], &at(0..dot));
    props.push("property", &text[dot + 1..equals], &at(dot + 1..equals));
    props.push("value", &text[equals + 1..], &at(equals + 1..text.len()));
    Ok(props)
}

/// `-device loader`: puts a file or a value into guest memory, or sets a processor's program counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderOpt {
    /// What to load.
    pub what: LoaderWhat,
    /// Guest address; for a file that knows its own addresses it may be missing.
    pub addr: Option<Located<u64>>,
    /// The processor through whose address space to load; with a file or an address alone, its program counter is set.
    pub cpu: Option<Located<u64>>,
}

/// What a loader loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoaderWhat {
    /// A file: ELF or Intel HEX by its contents, else raw; `raw` forces raw.
    File {
        /// Its name.
        path: Located<String>,
        /// Do not look into it.
        raw: bool,
    },
    /// A value of 1 to 8 bytes.
    Data {
        /// The value.
        value: Located<u64>,
        /// How many bytes.
        len: u8,
        /// Big-endian.
        big_endian: bool,
    },
    /// Only the program counter.
    ProgramCounter,
}

impl LoaderOpt {
    /// The name of this pseudo device.
    pub const DRIVER: &str = "loader";
    /// Its properties.
    pub const KEYS: [&str; 7] = ["addr", "data", "data-len", "data-be", "cpu-num", "force-raw", "file"];

    /// Reads the properties of a `-device loader`. Rules as in QEMU's generic loader.
    ///
    /// # Errors
    /// When they contradict each other or say nothing.
    pub fn from_device(device: &DeviceOpt) -> Result<Self, OptError> {
        let props = &device.props;
        props.only("device 'loader'", &Self::KEYS)?;
        let (addr, cpu) = (props.number("addr")?, props.number("cpu-num")?);
        let has_data = ["data", "data-len", "data-be"].iter().any(|k| props.get(k).is_some());
        let what = if has_data {
            Self::data(props)?
        } else {
            Self::file(props)?
        };
        if what == LoaderWhat::ProgramCounter {
            if addr.is_none() {
                return Err(OptError::missing(
                    "device 'loader'",
                    "'file', 'data' or 'addr'",
                    props.at(),
                ));
            }
            if cpu.is_none() {
                let error = OptError::missing("device 'loader'", "'cpu-num'", props.at());
                return Err(error.with_help("an address alone sets the program counter of that processor"));
            }
        }
        Ok(Self { what, addr, cpu })
    }

    fn data(props: &Props) -> Result<LoaderWhat, OptError> {
        for other in ["file", "force-raw"] {
            if let Some(entry) = props.get(other) {
                let this = format!("'{other}'");
                return Err(OptError::conflict(
                    this,
                    "'data', 'data-len' and 'data-be'",
                    entry.key_at.clone(),
                ));
            }
        }
        let missing = |key| OptError::missing("device 'loader'", format!("'{key}'"), props.at());
        let value = props.number("data")?.ok_or_else(|| missing("data"))?;
        let len = props.number("data-len")?.ok_or_else(|| missing("data-len"))?;
        let Some(bytes) = u8::try_from(len.value).ok().filter(|n| (1..=8).contains(n)) else {
            let text = len.value.to_string();
            return Err(OptError::bad_value(
                Some("data-len"),
                &text,
                "a number from 1 to 8",
                len.at,
            ));
        };
        let big_endian = props.switch("data-be")?.is_some_and(|b| b.value);
        Ok(LoaderWhat::Data {
            value,
            len: bytes,
            big_endian,
        })
    }

    fn file(props: &Props) -> Result<LoaderWhat, OptError> {
        let raw = props.switch("force-raw")?;
        match (props.text("file"), raw) {
            (Some(path), raw) => Ok(LoaderWhat::File {
                path,
                raw: raw.is_some_and(|r| r.value),
            }),
            (None, Some(_)) => Err(OptError::missing("device 'loader'", "'file'", props.at())),
            (None, None) => Ok(LoaderWhat::ProgramCounter),
        }
    }
}
