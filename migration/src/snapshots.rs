//! Saved states by name: `savevm`, `loadvm`, `delvm`, `info snapshots`, `-loadvm`.
//!
//! QEMU keeps them inside disk images. A machine without disks has nowhere to put them, so they are files of a folder, a stream each; or,
//! when no folder was named, they live in this process and end with it.

use southbridge_core::Machine;
use southbridge_core::machine::RestoreError;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

use crate::date;
use crate::stream::{self, About, Picture, StreamError};

/// How files of snapshots end.
const SUFFIX: &str = "sbvm";
/// Longest name, in bytes.
const MAX_NAME: usize = 128;

/// Why something about a snapshot failed. The machine is as it was.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The name cannot be one.
    #[error(
        "'{0}' cannot be the name of a snapshot: up to {MAX_NAME} letters, digits, '-', '_', '.' and spaces, not beginning with '.'"
    )]
    Name(String),
    /// There is none of that name.
    #[error("there is no snapshot '{0}'")]
    None(String),
    /// The machine cannot be saved now.
    #[error("this machine cannot be saved now: {0}")]
    Blocked(String),
    /// The run is recorded or replayed, and what it would go on from is not on the record.
    #[error("a recorded run cannot go on from a snapshot")]
    Recorded,
    /// The snapshot is not whole, or of another machine.
    #[error("snapshot '{name}': {error}")]
    Stream {
        /// Which.
        name: String,
        /// Why.
        error: StreamError,
    },
    /// The machine refuses it.
    #[error("snapshot '{name}': {error}")]
    Refused {
        /// Which.
        name: String,
        /// Why.
        error: RestoreError,
    },
    /// The host refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

/// One snapshot in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its name.
    pub name: String,
    /// Bytes of its stream.
    pub size: u64,
    /// When it was taken, seconds since 1970.
    pub written: u64,
    /// Virtual time in nanoseconds.
    pub virtual_time: u64,
    /// Executed instructions.
    pub executed: u64,
}

/// The snapshots of a machine. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Snapshots(Arc<Store>);

struct Store {
    board: String,
    folder: Option<PathBuf>,
    memory: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Snapshots {
    /// Those in a folder, or in memory. `board` is the name for `-M`.
    pub fn new(board: &str, folder: Option<&Path>) -> Self {
        Self(Arc::new(Store {
            board: board.to_owned(),
            folder: folder.map(Path::to_owned),
            memory: Mutex::default(),
        }))
    }

    /// Whether they outlive this process.
    pub fn are_kept(&self) -> bool {
        self.0.folder.is_some()
    }

    /// `savevm`: takes one, over an older one of that name. Without a name it gets one of the date. Gives the name.
    ///
    /// # Errors
    /// The machine cannot be saved now, the name cannot be one, or the host refuses.
    pub fn save(&self, machine: &mut Machine, name: Option<&str>) -> Result<String, SnapshotError> {
        let written = date::now();
        let name = name.map_or_else(|| format!("vm-{}", date::digits(written)), str::to_owned);
        check_name(&name)?;
        let mut picture = Picture::take(machine, &self.0.board).map_err(SnapshotError::Blocked)?;
        picture.about.written = written;
        picture.about.name = Some(name.clone());
        match self.file(&name) {
            Some(path) => write_file(&path, &picture).map_err(|e| SnapshotError::Io(path, e))?,
            None => {
                let len = stream::encoded_len(&picture);
                let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
                // Writing into memory cannot fail.
                let _ = stream::write(&picture, &mut bytes);
                self.memory().insert(name.clone(), bytes);
            }
        }
        Ok(name)
    }

    /// `loadvm`: the machine goes on from there. Whether it runs or stands is as it was.
    ///
    /// # Errors
    /// There is none, it is damaged or of another machine. The machine is as it was.
    pub fn load(&self, machine: &mut Machine, name: &str) -> Result<(), SnapshotError> {
        check_name(name)?;
        let tape = &machine.sys.tape;
        if tape.mode() != southbridge_core::tape::Mode::Off && (tape.is_foreign() || machine.has_past().is_err()) {
            return Err(SnapshotError::Recorded);
        }
        let here = stream::describe(machine, &self.0.board).map_err(SnapshotError::Blocked)?;
        let picture = self.read(name, |input| stream::read(input, &here))?;
        let name = name.to_owned();
        machine
            .load_whole(&picture.whole)
            .map_err(|error| SnapshotError::Refused { name, error })
    }

    /// `delvm`.
    ///
    /// # Errors
    /// There is none, or the host refuses.
    pub fn delete(&self, name: &str) -> Result<(), SnapshotError> {
        check_name(name)?;
        let none = || SnapshotError::None(name.to_owned());
        match self.file(name) {
            Some(path) => std::fs::remove_file(&path).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => none(),
                _ => SnapshotError::Io(path, e),
            }),
            None => self.memory().remove(name).map(|_| ()).ok_or_else(none),
        }
    }

    /// All that there are, by date. Files that are none are left out.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<SnapshotInfo>, SnapshotError> {
        let mut all = match &self.0.folder {
            Some(folder) => list_folder(folder).map_err(|e| SnapshotError::Io(folder.clone(), e))?,
            None => {
                let memory = self.memory();
                let infos = memory.iter();
                infos
                    .filter_map(|(n, b)| info(n, b.len() as u64, &stream::read_about(b.as_slice()).ok()?))
                    .collect()
            }
        };
        all.sort_by(|a, b| (a.written, &a.name).cmp(&(b.written, &b.name)));
        Ok(all)
    }

    /// What `info snapshots` shows, as QEMU lays it out.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn render(&self) -> Result<String, SnapshotError> {
        let all = self.list()?;
        if all.is_empty() {
            return Ok("There is no snapshot available.\n".into());
        }
        let mut out = format!(
            "List of snapshots:\n{:<7} {:<16} {:>8} {:>19} {:>15} {:>10}\n",
            "ID", "TAG", "VM_SIZE", "DATE", "VM_CLOCK", "ICOUNT"
        );
        for s in all {
            let ms = s.virtual_time / 1_000_000;
            let (h, m, sec) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
            let clock = format!("{h:04}:{m:02}:{sec:02}.{:03}", ms % 1000);
            let (size, date) = (size_text(s.size), date::text(s.written));
            out += &format!(
                "{:<7} {:<16} {size:>8} {date:>19} {clock:>15} {:>10}\n",
                "--", s.name, s.executed
            );
        }
        Ok(out)
    }

    fn memory(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.folder.as_ref()?.join(format!("{name}.{SUFFIX}")))
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(&mut dyn io::Read) -> Result<T, StreamError>,
    ) -> Result<T, SnapshotError> {
        let done = match self.file(name) {
            Some(path) => match File::open(&path) {
                Ok(file) => read(&mut BufReader::with_capacity(1 << 16, file)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(SnapshotError::None(name.to_owned())),
                Err(e) => return Err(SnapshotError::Io(path, e)),
            },
            None => match self.memory().get(name) {
                Some(bytes) => read(&mut bytes.as_slice()),
                None => return Err(SnapshotError::None(name.to_owned())),
            },
        };
        done.map_err(|error| SnapshotError::Stream {
            name: name.to_owned(),
            error,
        })
    }
}

/// A name is also that of a file: it must not lead elsewhere.
fn check_name(name: &str) -> Result<(), SnapshotError> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    let ok = !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.') && name.chars().all(good);
    if ok {
        Ok(())
    } else {
        Err(SnapshotError::Name(name.to_owned()))
    }
}

/// Under another name first, so that an older snapshot stays whole until the new one is.
fn write_file(path: &Path, picture: &Picture) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let unfinished = path.with_extension(format!("{SUFFIX}.new"));
    let written = (|| {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(&unfinished)?);
        stream::write(picture, &mut out)?;
        out.flush()?;
        std::fs::rename(&unfinished, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

fn list_folder(folder: &Path) -> io::Result<Vec<SnapshotInfo>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let one = |path: &Path| {
        let name = path.file_stem()?.to_str()?;
        let file = path
            .extension()
            .is_some_and(|e| e == SUFFIX)
            .then(|| File::open(path).ok())??;
        let size = file.metadata().ok()?.len();
        info(name, size, &stream::read_about(BufReader::new(file)).ok()?)
    };
    Ok(entries.filter_map(|e| one(&e.ok()?.path())).collect())
}

fn info(name: &str, size: u64, about: &About) -> Option<SnapshotInfo> {
    Some(SnapshotInfo {
        name: name.to_owned(),
        size,
        written: about.written,
        virtual_time: about.virtual_time,
        executed: about.executed,
    })
}

fn size_text(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ if value < 10.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}
