//! The fast tier of an engine: regions in, host code to call.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::code::CodeCache;
use crate::compile::{Compiler, Done, PANICKED, QUEUE, Workers, isa};
use crate::emit::{self, ENTRY, Shared};
use crate::ir::Region;
use crate::layout::Layout;
use crate::perf::PerfMap;
use crate::quick;

/// Entries of the table in which regions find each other; a power of two.
const TABLE: usize = 1 << 15;
/// For each so many bytes of code there is one of words beside it.
const DATA: usize = 8;

/// Code that can be run: valid until the [`Jit`] is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(u64);

/// How a run of compiled code ended. The guest's registers, PC and count of instructions are at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u64);

impl Exit {
    /// Nothing special: the engine is to look what comes next at the PC.
    pub const LOOK: Exit = Exit(0);

    /// What a called instruction leaves in [`Layout::exit`] to end the run: `how` it ended (not 0), which instruction of which block.
    pub const fn word(how: u8, index: u8, block: u32) -> u64 {
        (how as u64 | (index as u64) << 8 | (block as u64) << 16) << 1 | 1
    }

    /// What [`Exit::hot`] says.
    const HOT: u8 = 0xff;

    /// The number of a block whose quick code has run so often that better code is worth while. It was about to run: nothing of it is
    /// done.
    pub fn hot(self) -> Option<u32> {
        (self.0 as u8 == Self::HOT).then_some((self.0 >> 16) as u32)
    }

    /// `how`, instruction and block, if a called instruction ended the run. The PC and the count are those of the start of the block,
    /// unless the instruction set the PC.
    pub fn called(self) -> Option<(u8, u8, u32)> {
        (self.0 != 0 && self.0 as u8 != Self::HOT).then_some((self.0 as u8, (self.0 >> 8) as u8, (self.0 >> 16) as u32))
    }
}

/// What the user may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of code kept.
    pub cache_size: usize,
    /// Threads that compile; 0: the one that runs the guest does.
    pub threads: usize,
    /// Runs of a piece of code after which it is compiled.
    pub hot: u32,
    /// Whether `/tmp/perf-PID.map` names the code.
    pub perf_map: bool,
    /// Whether the engine does again what compiled code did, and compares.
    pub check: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_size: 64 << 20,
            threads: 1,
            hot: 1500,
            perf_map: false,
            check: false,
        }
    }
}

/// What `info jit` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Regions that were compiled.
    pub regions: u64,
    /// Guest instructions in them.
    pub instructions: u64,
    /// Bytes of host code made for them.
    pub bytes: u64,
    /// Blocks for which code was made quickly, guest instructions in them, and bytes of host code.
    pub quick_blocks: u64,
    /// The same.
    pub quick_instructions: u64,
    /// The same.
    pub quick_bytes: u64,
    /// Regions dropped because their code was written to.
    pub dropped: u64,
    /// Times that the cache was full and emptied.
    pub emptied: u64,
    /// Regions that could not be compiled.
    pub failed: u64,
    /// Bytes of the cache in use.
    pub cache_used: u64,
    /// Bytes of the cache.
    pub cache_size: u64,
}

impl Statistics {
    /// Lines for people.
    pub fn lines(&self) -> Vec<String> {
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let expansion = self.bytes.checked_div(self.instructions).unwrap_or(0);
        vec![
            format!("Compiled regions       {}", self.regions),
            format!("Guest instructions     {}", self.instructions),
            format!(
                "Host code              {} KiB, {expansion} bytes an instruction",
                kib(self.bytes)
            ),
            format!("Quick blocks           {}", self.quick_blocks),
            format!("Guest instructions     {}", self.quick_instructions),
            format!(
                "Host code              {} KiB, {} bytes an instruction",
                kib(self.quick_bytes),
                self.quick_bytes.checked_div(self.quick_instructions).unwrap_or(0)
            ),
            format!(
                "Code cache             {} KiB of {} KiB",
                kib(self.cache_used),
                kib(self.cache_size)
            ),
            format!("Times emptied          {}", self.emptied),
            format!("Dropped regions        {}", self.dropped),
            format!("Could not be compiled  {}", self.failed),
        ]
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Entry {
    key: u64,
    code: u64,
}

const _: () = assert!(size_of::<Entry>() as i64 == ENTRY);

/// The key of nothing: instructions begin at even addresses.
const NOTHING: Entry = Entry { key: u64::MAX, code: 0 };

/// The function with which an engine executes one instruction for compiled code: its struct, its world, what. It leaves 0 or an
/// [`Exit::word`] in [`Layout::exit`].
pub type CallFn<G, W> = extern "C" fn(&mut G, &mut W, u64);

/// Compiled code for an engine with state `G` in a world `W`.
pub struct Jit<G, W> {
    layout: Arc<Layout>,
    call: CallFn<G, W>,
    options: Options,
    each_block: bool,
    /// What takes time and memory to set up: there with the first region.
    tools: Option<Box<Tools>>,
    /// Keys for which code is being made.
    waiting: HashMap<u64, u64>,
    tickets: u64,
    statistics: Statistics,
    perf: Option<PerfMap>,
    /// Whether it was said that the compiler has a mistake.
    warned: bool,
    types: PhantomData<fn(&mut G, &mut W)>,
}

/// Compiler, threads, and what they make.
struct Tools {
    cache: CodeCache,
    /// Code that is never dropped ends here.
    base: usize,
    table: Box<[Cell<Entry>]>,
    enter: u64,
    fail: u64,
    shared: Shared,
    compiler: Compiler,
    workers: Option<Workers>,
    /// Numbers of the records by key: two words each behind the code, the address of the code of the key and the counter of its quick code.
    records: HashMap<u64, u32, BuildHasherDefault<KeyHasher>>,
}

/// Keys are addresses: a multiplication spreads them well enough.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }
    fn write_u64(&mut self, v: u64) {
        let v = (self.0 ^ v).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = v ^ v >> 32;
    }
}

impl Tools {
    fn new(layout: &Arc<Layout>, call: u64, options: &Options, each_block: bool) -> Result<Self, String> {
        let isa = isa(cfg!(debug_assertions), true)?;
        let table = vec![Cell::new(NOTHING); TABLE].into_boxed_slice();
        let size = options.cache_size.max(1 << 16);
        let mut cache =
            CodeCache::new(size, (size / DATA).max(1 << 16)).map_err(|e| format!("no memory for code: {e}"))?;
        let mut compiler = Compiler::new(isa.clone());
        let full = || "no room for the entry code".to_owned();
        let thunk = cache.put(&compiler.thunk(call)?).ok_or_else(full)?;
        let enter = cache.put(&compiler.entry()?).ok_or_else(full)?;
        let fail = cache.put(&compiler.fail()?).ok_or_else(full)?;
        let shared = Shared {
            table: table.as_ptr() as u64,
            entries: TABLE as u64,
            thunk,
            each_block,
        };
        let workers = match options.threads {
            0 => None,
            n => Some(Workers::new(n, &isa, layout, shared).map_err(|e| format!("no thread to compile on: {e}"))?),
        };
        Ok(Self {
            base: cache.used(),
            cache,
            table,
            enter,
            fail,
            shared,
            compiler,
            workers,
            records: HashMap::default(),
        })
    }

    /// The words of a key: where the address of its code stands, and its counter. `None` if there is no room.
    fn record(&mut self, key: u64) -> Option<[&Cell<u64>; 2]> {
        let next = self.records.len() as u32;
        let (n, is_new) = match self.records.entry(key) {
            std::collections::hash_map::Entry::Occupied(e) => (*e.get(), false),
            std::collections::hash_map::Entry::Vacant(e) => {
                // The last one must be there, too.
                self.cache.word(next as usize * 2 + 1)?;
                (*e.insert(next), true)
            }
        };
        let words = [self.cache.word(n as usize * 2)?, self.cache.word(n as usize * 2 + 1)?];
        if is_new {
            words[0].set(self.fail);
            words[1].set(0);
        }
        Some(words)
    }

    /// The words of a key that has been referred to.
    #[inline]
    fn known(&self, key: u64) -> Option<[&Cell<u64>; 2]> {
        let n = *self.records.get(&key)? as usize;
        Some([self.cache.word(n * 2)?, self.cache.word(n * 2 + 1)?])
    }

    /// Makes the words for keys that code will go to.
    fn links(&mut self, keys: Vec<u64>) -> Option<Vec<(u64, u64)>> {
        let address = |words: [&Cell<u64>; 2]| words[0].as_ptr() as u64;
        keys.into_iter().map(|k| Some((k, address(self.record(k)?)))).collect()
    }

    #[inline]
    fn entry(&self, key: u64) -> &Cell<Entry> {
        &self.table[self.shared.slot(key) as usize & (TABLE - 1)]
    }

    fn forget(&self, key: u64) {
        let entry = self.entry(key);
        if entry.get().key == key {
            entry.set(NOTHING);
        }
        if let Some([link, _]) = self.known(key) {
            link.set(self.fail);
        }
    }

    #[inline]
    fn remember(&self, key: u64, code: u64) {
        let entry = self.entry(key);
        if (entry.get().key, entry.get().code) == (key, code) {
            return;
        }
        entry.set(Entry { key, code });
        if let Some([link, _]) = self.known(key) {
            link.set(code);
        }
    }
}

/// A region that has become code.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The region's.
    pub key: u64,
    /// What to run.
    pub code: Code,
}

impl<G, W> Jit<G, W> {
    /// A compiler for engines laid out so. An error says why this host has none.
    pub fn new(layout: Layout, call: CallFn<G, W>, options: Options) -> Result<Self, String> {
        Self::with(layout, call, options, true)
    }

    /// The same for an engine that takes it well if code returns some hundred instructions before the limit, and may have done nothing at
    /// all: then it is the engine's turn. A limit of 0 ends the run at the next loop or so rather than at the end of the block, and
    /// `attention` is for the engine to look at: it sets limits that are near.
    pub fn loose(layout: Layout, call: CallFn<G, W>, options: Options) -> Result<Self, String> {
        Self::with(layout, call, options, false)
    }

    fn with(layout: Layout, call: CallFn<G, W>, options: Options, each_block: bool) -> Result<Self, String> {
        is_available()?;
        Ok(Self {
            layout: Arc::new(layout),
            call,
            options,
            each_block,
            tools: None,
            waiting: HashMap::new(),
            tickets: 0,
            statistics: Statistics::default(),
            perf: options.perf_map.then(PerfMap::new).flatten(),
            warned: false,
            types: PhantomData,
        })
    }

    /// Compiler and threads. `None` if they cannot be set up now: then nothing is compiled.
    fn tools(&mut self) -> Option<&mut Tools> {
        if self.tools.is_none() {
            let tools = Tools::new(&self.layout, self.call as usize as u64, &self.options, self.each_block);
            self.tools = tools.ok().map(Box::new);
        }
        self.tools.as_deref_mut()
    }

    /// Has a region compiled. It comes back at once or through [`Jit::take`].
    ///
    /// # Errors
    /// Too many wait: try again later.
    pub fn submit(&mut self, region: Region) -> Result<Option<Ready>, Busy> {
        let key = region.key;
        let (ticket, layout) = (self.tickets, self.layout.clone());
        let tools = self.tools().ok_or(Busy)?;
        let links = tools.links(emit::exits(&layout, &region)).ok_or(Busy)?;
        if let Some(workers) = &tools.workers {
            workers.submit(ticket, region, links).map_err(|_| Busy)?;
            self.tickets += 1;
            self.waiting.insert(key, ticket);
            return Ok(None);
        }
        let code = tools.compiler.region(&layout, &region, tools.shared, &links);
        Ok(self.install(key, &region, code))
    }

    /// Whether so many regions wait for a thread that there is no room for one more.
    pub fn is_busy(&self) -> bool {
        self.waiting.len() >= QUEUE
    }

    /// Whether code is being made for a key.
    pub fn waits(&self, key: u64) -> bool {
        self.waiting.contains_key(&key)
    }

    /// Whether [`Jit::take`] is worth calling.
    #[inline]
    pub fn take(&mut self) -> Vec<Ready> {
        let workers = self.tools.as_ref().and_then(|t| t.workers.as_ref());
        match workers.and_then(Workers::take) {
            Some(done) => self.install_all(done),
            None => Vec::new(),
        }
    }

    #[cold]
    fn install_all(&mut self, done: Vec<Done>) -> Vec<Ready> {
        let mut ready = Vec::new();
        for Done { ticket, region, code } in done {
            // Who was forgotten meanwhile is not in the list, or waits for another ticket.
            let key = self.waiting.iter().find(|(_, t)| **t == ticket).map(|(k, _)| *k);
            if let Some(key) = key {
                self.waiting.remove(&key);
                ready.extend(self.install(key, &region, code));
            }
        }
        ready
    }

    fn install(&mut self, key: u64, region: &Region, code: Result<Vec<u8>, String>) -> Option<Ready> {
        let code = match code {
            Ok(code) => code,
            Err(why) => {
                self.statistics.failed += 1;
                if why == PANICKED && !std::mem::replace(&mut self.warned, true) {
                    eprintln!("southbridge: warning: {why}; the interpreter does what cannot be compiled");
                }
                return None;
            }
        };
        // Full: the engine sees it by `is_full` and clears.
        let at = self.tools.as_mut()?.cache.put(&code)?;
        self.statistics.regions += 1;
        self.statistics.instructions += u64::from(region.instructions());
        self.statistics.bytes += code.len() as u64;
        if let Some(perf) = &mut self.perf {
            perf.add(at, code.len(), &region.name);
        }
        self.remember(key, Code(at));
        Some(Ready { key, code: Code(at) })
    }

    /// Whether so little room is left that [`Jit::clear`] is due.
    pub fn is_full(&self) -> bool {
        let nearly = |cache: &CodeCache| cache.len() - cache.used() < (cache.len() / 16).min(1 << 20);
        self.tools
            .as_ref()
            .is_some_and(|t| nearly(&t.cache) || t.cache.word(t.records.len() * 2 + 1024).is_none())
    }

    /// Lets other regions find this one.
    #[inline]
    pub fn remember(&self, key: u64, code: Code) {
        if let Some(tools) = &self.tools {
            tools.remember(key, code.0);
        }
    }

    /// Whether there is a quick compiler for this host and engine.
    pub fn is_quick(&self) -> bool {
        quick::is_available(&self.layout)
    }

    /// Makes code at once for a region of one block, which is counted down each time that it runs: when that was `runs` times, it ends with
    /// [`Exit::hot`]. `None` if this cannot be done.
    pub fn quick(&mut self, region: &Region, runs: u32) -> Option<Code> {
        let layout = self.layout.clone();
        let block = region.blocks.first()?;
        let hot = Exit::word(Exit::HOT, 0, block.id);
        let tools = self.tools()?;
        let mut links = [0; 2];
        let mut n = 0;
        for key in quick::exits(region) {
            *links.get_mut(n)? = tools.record(key)?[0].as_ptr() as u64;
            n += 1;
        }
        let [_, counter] = tools.record(region.key)?;
        counter.set(runs.into());
        let counter = counter.as_ptr() as u64;
        let fixed = quick::Fixed {
            at: tools.cache.next(),
            thunk: tools.shared.thunk,
            fail: tools.fail,
            counter,
            hot,
            table: tools.shared.table,
            entries: tools.shared.entries,
        };
        let code = quick::block(&layout, region, links.get(..n)?, fixed).ok()?;
        let at = tools.cache.put(&code)?;
        tools.remember(region.key, at);
        self.statistics.quick_blocks += 1;
        self.statistics.quick_instructions += u64::from(block.count);
        self.statistics.quick_bytes += code.len() as u64;
        if let Some(perf) = &mut self.perf {
            perf.add(at, code.len(), &format!("{} quick", region.name));
        }
        Some(Code(at))
    }

    /// How often the quick code of a key may run until it is hot.
    pub fn runs_left(&self, key: u64) -> Option<u32> {
        let [_, counter] = self.tools.as_ref()?.known(key)?;
        Some(counter.get() as u32)
    }

    /// Changes that.
    pub fn set_runs(&self, key: u64, runs: u32) {
        if let Some([_, counter]) = self.tools.as_ref().and_then(|t| t.known(key)) {
            counter.set(runs.into());
        }
    }

    /// The code of `key` must not be run any more, nor what is on its way for it.
    pub fn forget(&mut self, key: u64) {
        self.waiting.remove(&key);
        self.unname(key);
        self.statistics.dropped += 1;
    }

    /// Lets other regions no longer find one by this key.
    pub fn unname(&mut self, key: u64) {
        if let Some(tools) = &self.tools {
            tools.forget(key);
        }
    }

    /// Drops all code. No [`Code`] may be run any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
        if let Some(tools) = &mut self.tools {
            tools.table.iter().for_each(|e| e.set(NOTHING));
            tools.cache.truncate(tools.base);
            tools.records.clear();
            self.statistics.emptied += 1;
        }
    }

    /// Runs code until it ends. `attention` ends it soon, too.
    ///
    /// The code must be of this `Jit` and not forgotten; the pages or windows in `guest` must be true.
    #[inline]
    pub fn run(&self, code: Code, guest: &mut G, world: &mut W, attention: &AtomicBool) -> Exit {
        type Enter<G, W> = extern "C" fn(u64, &mut G, &mut W, *const AtomicBool) -> u64;
        let Some(tools) = &self.tools else {
            return Exit::LOOK;
        };
        // SAFETY: `enter` is the address of a function of this type that `Tools::new` compiled and that stays in the cache.
        let enter = unsafe { std::mem::transmute::<usize, Enter<G, W>>(tools.enter as usize) };
        Exit(enter(code.0, guest, world, attention) >> 1)
    }

    /// Numbers for people.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            cache_used: self.tools.as_ref().map_or(0, |t| t.cache.used()) as u64,
            cache_size: self.options.cache_size as u64,
            ..self.statistics
        }
    }
}

/// A region as IR and as the host code that is made of it, for processors of the oldest kind of this architecture. An error says why it
/// could not be compiled.
pub fn show(layout: &Layout, region: &Region) -> Result<[String; 2], String> {
    let shared = Shared {
        table: 0x7ab1_e000,
        entries: TABLE as u64,
        thunk: 0x7a11,
        each_block: true,
    };
    let code = Compiler::new(isa(true, false)?).shown(layout, region, shared)?;
    Ok([region.to_string(), code])
}

/// Whether code can be compiled on this host; an error says why not.
pub fn is_available() -> Result<(), String> {
    isa(false, true).map(drop)
}

/// Too many regions wait to be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;
