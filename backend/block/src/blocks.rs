//! All block nodes and drives of a machine, by name.

use southbridge_core::host::{Backend, Host, HostCx, HostEvent};
use southbridge_core::{BackendId, Properties};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::{BlockBackend, Habits};
use crate::drive::Drive;
use crate::drivers::{self, Driver};
use crate::error::BlockError;
use crate::node::{Common, Node};
use crate::overlay::Overlay;
use crate::pool::Pool;

/// All nodes and drives of a machine.
#[derive(Default)]
pub struct Blocks {
    pool: Pool,
    nodes: BTreeMap<String, Arc<Node>>,
    /// Back ends: of every node that has a name of its own, and of every drive.
    places: BTreeMap<String, BackendId>,
    counted: u32,
    /// The machine is elsewhere, or not here yet.
    elsewhere: Arc<AtomicBool>,
}

/// Options by name, as the command line spells them: `cache.direct`, `file.filename`.
pub type Pairs = Vec<(String, String)>;

/// What a node under another takes over from it, where nothing is said about it.
const INHERITED: [&str; 5] = [
    "read-only",
    "auto-read-only",
    "cache.direct",
    "cache.no-flush",
    "force-share",
];

/// Where a machine keeps its [`Blocks`]: among its back ends, of which this one is none.
#[derive(Default)]
struct Keeper(Blocks);

impl Backend for Keeper {
    fn on_host(&mut self, _: HostEvent, _: &mut HostCx<'_>) {}
}

impl Blocks {
    /// Works with the nodes and drives of the machine whose host side this is.
    pub fn of<T>(host: &mut Host, f: impl FnOnce(&mut Self, &mut Host) -> T) -> T {
        let keeper = host.find_or_add::<Keeper>();
        let mut blocks = match host.get::<Keeper>(keeper) {
            Some((kept, _)) => std::mem::take(&mut kept.0),
            None => Self::default(),
        };
        let answer = f(&mut blocks, host);
        if let Some((kept, _)) = host.get::<Keeper>(keeper) {
            kept.0 = blocks;
        }
        answer
    }

    /// The same, to look only; `None` if there never was one.
    pub fn peek(host: &Host) -> Option<&Self> {
        host.peek::<Keeper>(host.find::<Keeper>()?).map(|k| &k.0)
    }

    /// The back end that a device's `drive=` names.
    pub fn find(host: &Host, name: &str) -> Option<BackendId> {
        Self::peek(host)?.get(name)
    }

    /// Makes a node (`-blockdev`, `blockdev-add`), and those below it that it describes.
    ///
    /// # Errors
    /// When a word is wrong or the host refuses; nothing stays.
    pub fn add(&mut self, host: &mut Host, pairs: &[(String, String)]) -> Result<(), BlockError> {
        let name = pairs.iter().rfind(|(n, _)| n == "node-name").map(|(_, v)| v.as_str());
        let name = name.filter(|n| !n.is_empty()).ok_or_else(|| BlockError::Missing {
            driver: "-blockdev".into(),
            option: "node-name".into(),
        })?;
        let name = name.to_owned();
        let mut made = Vec::new();
        self.make(pairs, "", &mut made)?;
        for node in made {
            self.enter(host, node);
        }
        debug_assert!(self.nodes.contains_key(&name));
        Ok(())
    }

    /// Makes a drive.
    ///
    /// # Errors
    /// As [`Blocks::add`].
    pub fn add_drive(&mut self, host: &mut Host, drive: &Drive) -> Result<BackendId, BlockError> {
        self.check_free(&drive.id)?;
        let mut made = Vec::new();
        drive.check_format()?;
        let mut pairs = drive.node.clone();
        let read_only = pairs.iter().rfind(|(n, _)| n == "read-only");
        let over = drive.temporary && read_only.is_none_or(|(_, v)| v != "on");
        if over {
            pairs.push(("read-only".into(), "on".into()));
        }
        let mut node = self.make(&pairs, "", &mut made)?;
        if over {
            node = self.overlay(node)?;
            made.push(node.clone());
        }
        for node in made {
            self.enter(host, node);
        }
        let backend = self.back_end(host, &drive.id, true, node, drive.habits);
        Ok(backend)
    }

    /// A node that takes what is written to it, for as long as it lives, over one that stays as it is.
    fn overlay(&mut self, below: Arc<Node>) -> Result<Arc<Node>, BlockError> {
        let image = Overlay::over(below.clone()).map_err(|source| BlockError::Host {
            option: Some("snapshot".into()),
            what: "no temporary file for what is written".into(),
            source,
        })?;
        let common = Common {
            driver: "overlay",
            unmap: true,
            ..Common::default()
        };
        let (name, elsewhere) = (self.count(), self.elsewhere.clone());
        let node = Node::new(&name, true, common, Box::new(image), Some(below), elsewhere);
        Ok(Arc::new(node))
    }

    fn check_free(&self, name: &str) -> Result<(), BlockError> {
        if self.nodes.contains_key(name) || self.places.contains_key(name) {
            return Err(BlockError::Duplicate(name.to_owned()));
        }
        Ok(())
    }

    fn enter(&mut self, host: &mut Host, node: Arc<Node>) {
        if !node.is_implicit() {
            let name = node.name().to_owned();
            self.back_end(host, &name, false, node.clone(), Habits::default());
        }
        self.nodes.insert(node.name().to_owned(), node);
    }

    fn back_end(&mut self, host: &mut Host, name: &str, is_drive: bool, node: Arc<Node>, habits: Habits) -> BackendId {
        let pool = self.pool.clone();
        let made = host.add(|cx| {
            let backend = BlockBackend::new(name, is_drive, node, habits, pool, cx);
            Ok::<Box<dyn Backend>, std::convert::Infallible>(Box::new(backend))
        });
        let Ok(id) = made;
        self.places.insert(name.to_owned(), id);
        id
    }

    /// A node from its options, after those below it. `place` is where the options stand in the user's words, to tell of errors.
    fn make(
        &mut self,
        pairs: &[(String, String)],
        place: &str,
        made: &mut Vec<Arc<Node>>,
    ) -> Result<Arc<Node>, BlockError> {
        let at_place = |e: BlockError| e.within(place);
        let driver = pairs.iter().rfind(|(n, _)| n == "driver").map(|(_, v)| v.as_str());
        let driver = match driver {
            Some(name) => drivers::find(name).map_err(at_place)?,
            // Below another node it is a file unless something else is said.
            None if !place.is_empty() => drivers::find("file")?,
            None => {
                return Err(BlockError::Missing {
                    driver: "-blockdev".into(),
                    option: "driver".into(),
                });
            }
        };
        let (own, nested) = split(driver, pairs);
        let options = drivers::parse(driver, &own).map_err(at_place)?;
        let below = match driver.has_below {
            true => Some(self.below(&options, nested, made)?),
            false => None,
        };
        let name = match options.str("node-name") {
            Some(name) => self.chosen(name, made).map_err(at_place)?,
            None => self.count(),
        };
        let open = driver.open.ok_or(BlockError::DriverMissing { driver: driver.name })?;
        let image = open(&options, below.as_ref()).map_err(at_place)?;
        let implicit = options.str("node-name").is_none();
        let common = drivers::common(driver, &options);
        let node = Arc::new(Node::new(&name, implicit, common, image, below, self.elsewhere.clone()));
        made.push(node.clone());
        Ok(node)
    }

    fn below(
        &mut self,
        options: &Properties,
        nested: Pairs,
        made: &mut Vec<Arc<Node>>,
    ) -> Result<Arc<Node>, BlockError> {
        if let Some(name) = options.str("file") {
            if let Some((wrong, _)) = nested.first() {
                return Err(BlockError::BadValue {
                    option: format!("file.{wrong}"),
                    value: String::new(),
                    expected: "nothing, where 'file' names a node".into(),
                });
            }
            let found = self.nodes.get(name).cloned();
            return found.ok_or_else(|| BlockError::BadValue {
                option: "file".into(),
                value: name.to_owned(),
                expected: match self.nodes.is_empty() {
                    true => "the node-name of an earlier node, and there is none".into(),
                    false => format!("one of the nodes {}", self.names().collect::<Vec<_>>().join(", ")),
                },
            });
        }
        if nested.is_empty() {
            return Err(BlockError::Missing {
                driver: "raw".into(),
                option: "file".into(),
            });
        }
        let mut nested = nested;
        for name in INHERITED {
            if !nested.iter().any(|(n, _)| n == name) {
                let value = if options.bool(name) { "on" } else { "off" };
                nested.push((name.to_owned(), value.to_owned()));
            }
        }
        if !nested.iter().any(|(n, _)| n == "discard") {
            // The node above has decided by then.
            nested.push(("discard".into(), "unmap".into()));
        }
        self.make(&nested, "file.", made)
    }

    fn chosen(&self, name: &str, made: &[Arc<Node>]) -> Result<String, BlockError> {
        if !is_name(name) {
            return Err(BlockError::BadValue {
                option: "node-name".into(),
                value: name.to_owned(),
                expected: "a letter, then letters, digits and any of '-._', 31 at most".into(),
            });
        }
        self.check_free(name)?;
        if made.iter().any(|n| n.name() == name) {
            return Err(BlockError::Duplicate(name.to_owned()));
        }
        Ok(name.to_owned())
    }

    fn count(&mut self) -> String {
        self.counted += 1;
        format!("#block{:03}", self.counted)
    }

    /// The back end of a node or drive.
    pub fn get(&self, name: &str) -> Option<BackendId> {
        self.places.get(name).copied()
    }

    /// All back ends, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, BackendId)> {
        self.places.iter().map(|(n, b)| (n.as_str(), *b))
    }

    /// Names that a device's `drive=` may give.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// All nodes, by name; those without a name of their own, too.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(name)
    }

    /// Removes a node that nobody uses, and those below it that have no name of their own.
    ///
    /// # Errors
    /// When there is none of that name, or somebody uses it.
    pub fn remove(&mut self, host: &mut Host, name: &str) -> Result<(), BlockError> {
        let node = self.nodes.get(name).cloned();
        let node = node.ok_or_else(|| BlockError::NoNode(name.to_owned()))?;
        let refuse = |why: &str| {
            Err(BlockError::InUse {
                node: name.to_owned(),
                why: why.to_owned(),
            })
        };
        if let Some(b) = self.get(name)
            && let Some((backend, _)) = host.get::<BlockBackend>(b)
        {
            backend.tidy();
        }
        if node.is_used() {
            return refuse("is in use by a device");
        }
        if node.is_implicit() {
            return refuse("belongs to a drive or to another node, with which it goes");
        }
        let over = self
            .nodes
            .values()
            .find(|n| n.below().is_some_and(|b| Arc::ptr_eq(b, &node)));
        if let Some(over) = over {
            return refuse(&format!("is below node '{}'", over.name()));
        }
        self.forget(host, name);
        let mut below = node.below().cloned();
        while let Some(node) = below.filter(|n| n.is_implicit()) {
            self.nodes.remove(node.name());
            below = node.below().cloned();
        }
        Ok(())
    }

    fn forget(&mut self, host: &mut Host, name: &str) {
        if let Some(backend) = self.places.remove(name) {
            host.remove(backend);
        }
        self.nodes.remove(name);
    }

    /// Says whether the machine is here. While it is not (it waits for a state from elsewhere, or has gone), its images are another
    /// process's and not locked.
    ///
    /// # Errors
    /// An image is in use elsewhere. The machine is not here then.
    pub fn set_here(&mut self, here: bool) -> Result<(), BlockError> {
        if self.elsewhere.swap(!here, Ordering::Relaxed) != here {
            return Ok(());
        }
        let locked = self.nodes.values().try_for_each(|n| n.relock());
        if locked.is_err() && here {
            self.elsewhere.store(true, Ordering::Relaxed);
            for node in self.nodes.values() {
                // To need nothing cannot fail for want of a right.
                let _ = node.relock();
            }
        }
        locked
    }

    /// The machine is here although its images could not be locked.
    pub fn do_without_locks(&mut self) {
        self.elsewhere.store(false, Ordering::Relaxed);
    }

    /// Removes a drive. A device that uses it stays, and finds that every request fails.
    ///
    /// # Errors
    /// When there is no drive of that name.
    pub fn remove_drive(&mut self, host: &mut Host, name: &str) -> Result<(), BlockError> {
        let id = self.get(name).ok_or_else(|| BlockError::NoNode(name.to_owned()))?;
        let Some((backend, mut cx)) = host.get::<BlockBackend>(id).filter(|(b, _)| b.is_drive()) else {
            return Err(BlockError::InUse {
                node: name.to_owned(),
                why: "was made by -blockdev or blockdev-add; blockdev-del removes it".into(),
            });
        };
        backend.tidy();
        let node = backend.node().clone();
        let is_used = backend.users().next().is_some();
        if is_used {
            backend.pull(&mut cx);
            self.places.remove(name);
        } else {
            self.forget(host, name);
        }
        self.forget_implicit(Some(node));
        Ok(())
    }

    /// Forgets nodes from one downward, up to the first that somebody named.
    fn forget_implicit(&mut self, mut node: Option<Arc<Node>>) {
        while let Some(n) = node.filter(|n| n.is_implicit()) {
            self.nodes.remove(n.name());
            node = n.below().cloned();
        }
    }

    /// Lets go of what devices that are gone have used: their locks, and, as in QEMU, their drives.
    pub fn sweep(&mut self, host: &mut Host) {
        let mut spent = Vec::new();
        for (name, id) in &self.places {
            if let Some((backend, _)) = host.get::<BlockBackend>(*id) {
                backend.tidy();
                if backend.is_spent() {
                    spent.push((name.clone(), backend.node().clone()));
                }
            }
        }
        for (name, node) in spent {
            self.forget(host, &name);
            self.forget_implicit(Some(node));
        }
    }

    /// Gives a node (or the node of a drive) another length, and tells the devices that see it.
    ///
    /// # Errors
    /// When there is none of that name, it can only be read, or the host refuses.
    pub fn resize(&mut self, host: &mut Host, name: &str, len: u64) -> Result<(), BlockError> {
        let node = match self.nodes.get(name) {
            Some(node) => node.clone(),
            None => {
                let id = self.get(name).ok_or_else(|| BlockError::NoNode(name.to_owned()))?;
                let found = host.peek::<BlockBackend>(id).map(|b| b.node().clone());
                found.ok_or_else(|| BlockError::NoNode(name.to_owned()))?
            }
        };
        if node.is_read_only() {
            return Err(BlockError::ReadOnly(node.name().to_owned()));
        }
        node.image().resize(len).map_err(|source| BlockError::Host {
            option: None,
            what: format!("node '{}' cannot become {len} bytes long", node.name()),
            source,
        })?;
        for id in self.places.values() {
            if let Some((backend, mut cx)) = host.get::<BlockBackend>(*id) {
                backend.tell_len(&mut cx);
            }
        }
        Ok(())
    }
}

/// The options of the node itself, and those of the node below it without their prefix.
fn split(driver: &Driver, pairs: &[(String, String)]) -> (Pairs, Pairs) {
    let mut own = Pairs::new();
    let mut nested = Pairs::new();
    for (name, value) in pairs {
        match name.strip_prefix("file.").filter(|_| driver.has_below) {
            Some(below) => nested.push((below.to_owned(), value.clone())),
            None => own.push((name.clone(), value.clone())),
        }
    }
    (own, nested)
}

fn is_name(name: &str) -> bool {
    name.len() < 32
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}
