//! A shared folder as a back end, and the directory of all of a machine.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Resource, getrlimit};
use southbridge_core::Properties;
use southbridge_core::host::{Backend, BackendId, Host, HostCx, HostEvent};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{FAMILY, FsError};
use crate::front::completion;
use crate::fs::FileSystem;
use crate::kind::{self, Driver, Kind, PERMISSIONS};
use crate::local::{Local, Model};
use crate::pool::Pool;
use crate::qid::MultiDevices;
use crate::session::Export;
use crate::synth::Synth;
use crate::throttle::Throttle;

/// A shared folder.
pub struct Fsdev {
    pool: Arc<Pool>,
}

impl Fsdev {
    pub(crate) fn pool(&self) -> Arc<Pool> {
        self.pool.clone()
    }
}

impl Backend for Fsdev {
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>) {
        if event == HostEvent::Woken {
            for done in self.pool.take_done() {
                cx.post(done.link.device, completion(done.link.port, done.token, done.reply));
            }
        }
    }

    fn close(&mut self, _cx: &mut HostCx<'_>) {
        self.pool.close();
    }
}

/// All shared folders of a machine, by id. They stand among its back ends, where whoever adds a device finds them.
#[derive(Debug, Default)]
pub struct Fsdevs {
    ids: BTreeMap<String, BackendId>,
}

impl Backend for Fsdevs {
    fn on_host(&mut self, _event: HostEvent, _cx: &mut HostCx<'_>) {}
}

impl Fsdevs {
    /// Makes a folder from options as the command line spells them (without `id` and the driver's own name). `for_tests`: the machine
    /// is driven by tests (`-qtest`), and `synth` has the files that they look for.
    ///
    /// # Errors
    /// Names the option that is wrong and what would be right. Nothing is left behind.
    pub fn open<'t>(
        host: &mut Host,
        driver: &str,
        id: &str,
        pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
        for_tests: bool,
    ) -> Result<BackendId, FsError> {
        let kind = kind::find(driver)?;
        let options = kind::parse(kind, pairs)?;
        if Self::get(host, id).is_some() {
            return Err(FsError::DuplicateId {
                family: FAMILY,
                id: id.to_owned(),
            });
        }
        let export = export(kind, &options, for_tests)?;
        let throttle = Throttle::of(&options)?;
        let backend = host.add(|cx| {
            let pool = Arc::new(Pool::new(export, throttle, cx.waker()));
            Ok::<_, FsError>(Box::new(Fsdev { pool }) as _)
        })?;
        let all = host.find_or_add::<Self>();
        if let Some((all, _)) = host.get::<Self>(all) {
            all.ids.insert(id.to_owned(), backend);
        }
        Ok(backend)
    }

    /// A folder by its id.
    pub fn get(host: &Host, id: &str) -> Option<BackendId> {
        host.peek::<Self>(host.find::<Self>()?)?.ids.get(id).copied()
    }

    /// All ids, by name.
    pub fn ids(host: &Host) -> Vec<&str> {
        let all = host.find::<Self>().and_then(|all| host.peek::<Self>(all));
        all.map_or_else(Vec::new, |all| all.ids.keys().map(String::as_str).collect())
    }
}

fn export(kind: &'static Kind, options: &Properties, for_tests: bool) -> Result<Export, FsError> {
    let fs: Box<dyn FileSystem> = match kind.driver {
        Driver::Local => Box::new(local(kind, options)?),
        Driver::Synth => Box::new(Synth::new(for_tests)),
        Driver::Missing(why) => {
            return Err(FsError::KindMissing {
                family: FAMILY,
                kind: kind.name,
                why,
            });
        }
    };
    let multidevs = match options.str("multidevs") {
        Some("forbid") => MultiDevices::Forbid,
        Some("warn") => MultiDevices::Warn,
        _ => MultiDevices::Remap,
    };
    Ok(Export {
        fs,
        readonly: options.bool("readonly"),
        multidevs,
        most_open: most_open(),
    })
}

/// Most files that guests of one folder may have open: the rest of the process needs descriptors too.
fn most_open() -> usize {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(1 << 16);
    usize::try_from(most / 2).unwrap_or(usize::MAX).clamp(64, 16384)
}

fn local(kind: &'static Kind, options: &Properties) -> Result<Local, FsError> {
    let missing = |option, expected| FsError::Missing {
        kind: kind.name,
        option,
        expected,
    };
    let model = match options.str("security_model") {
        None => return Err(missing("security_model", "mapped-xattr|mapped-file|passthrough|none")),
        Some("mapped" | "mapped-xattr") => Model::MappedXattr,
        Some("mapped-file") => Model::MappedFile,
        Some("passthrough") => Model::Passthrough,
        Some(_) => Model::None,
    };
    let mode = |option: &'static str, default: u32| match options.str(option) {
        None => Ok(default),
        Some(_) if !model.is_mapped() => Err(FsError::Conflict {
            option,
            why: "only says something with security_model=mapped-xattr or mapped-file".into(),
        }),
        Some(text) => kind::number(text).map(|m| m & 0o777).ok_or_else(|| FsError::BadValue {
            option: option.into(),
            value: text.into(),
            expected: PERMISSIONS.into(),
        }),
    };
    let (fmode, dmode) = (mode("fmode", 0o600)?, mode("dmode", 0o700)?);
    let path = options.str("path").filter(|p| !p.is_empty());
    let path = path.ok_or_else(|| missing("path", "FOLDER"))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| FsError::Host {
        option: Some("path"),
        what: format!("cannot share '{path}'"),
        source: e.into(),
    })?;
    let mut local = Local::new(root, model, fmode, dmode);
    local.write_through = options.str("writeout").is_some();
    Ok(local)
}
