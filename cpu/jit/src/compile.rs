//! Compilation, here or on other threads.

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{InstBuilder, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable, SetError};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::emit::{self, Shared};
use crate::ir::Region;
use crate::layout::Layout;

/// Why a region was not compiled when the compiler has a mistake.
pub(crate) const PANICKED: &str = "the compiler panicked";

/// Regions that may wait for a thread: more would be stale by the time they are done.
pub(crate) const QUEUE: usize = 128;

/// The host's code generator, for all that its processor can do if `native`. An error says why there is none.
pub(crate) fn isa(verify: bool, native: bool) -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    let set = |flags: &mut settings::Builder| -> Result<(), SetError> {
        flags.set("opt_level", "speed")?;
        flags.set("enable_verifier", if verify { "true" } else { "false" })?;
        flags.set("unwind_info", "false")?;
        flags.set("is_pic", "false")?;
        flags.set("enable_probestack", "false")
    };
    set(&mut flags).map_err(|e| e.to_string())?;
    let builder = cranelift_native::builder_with_options(native).map_err(str::to_owned)?;
    builder.finish(settings::Flags::new(flags)).map_err(|e| e.to_string())
}

/// What it takes to compile, kept from one region to the next.
pub(crate) struct Compiler {
    isa: OwnedTargetIsa,
    context: Context,
    builder: FunctionBuilderContext,
    /// Whether the code is wanted as text, too.
    disassemble: bool,
}

impl Compiler {
    pub(crate) fn new(isa: OwnedTargetIsa) -> Self {
        Self {
            isa,
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            disassemble: false,
        }
    }

    fn finish(&mut self) -> Result<Vec<u8>, String> {
        let done = self
            .context
            .compile(&*self.isa, &mut ControlPlane::default())
            .map_err(|e| format!("{:?}", e.inner))?;
        if !done.buffer.relocs().is_empty() {
            return Err("the code refers to something outside".into());
        }
        Ok(done.code_buffer().to_vec())
    }

    /// The function of a region.
    pub(crate) fn region(
        &mut self,
        layout: &Layout,
        region: &Region,
        shared: Shared,
        links: &[(u64, u64)],
    ) -> Result<Vec<u8>, String> {
        self.context.clear();
        self.context.set_disasm(self.disassemble);
        emit::region(
            &mut self.context.func,
            &mut self.builder,
            self.isa.frontend_config(),
            layout,
            region,
            shared,
            links,
        );
        self.finish()
    }

    /// The same as text.
    pub(crate) fn shown(mut self, layout: &Layout, region: &Region, shared: Shared) -> Result<String, String> {
        self.disassemble = true;
        self.region(layout, region, shared, &[])?;
        let text = self.context.compiled_code().and_then(|c| c.vcode.clone());
        Ok(text.unwrap_or_default())
    }

    /// The function that enters compiled code: code, struct, world, attention. It goes from region to region until one says how it ended.
    pub(crate) fn entry(&mut self) -> Result<Vec<u8>, String> {
        self.context.clear();
        self.context.func.signature = emit::signature(self.host_convention(), 4, true);
        let mut b = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let (first, turn, out) = (b.create_block(), b.create_block(), b.create_block());
        b.append_block_params_for_function_params(first);
        let code = b.append_block_param(turn, types::I64);
        b.switch_to_block(first);
        let parameters = b.block_params(first).to_vec();
        b.ins().jump(turn, &[parameters[0].into()]);
        b.switch_to_block(turn);
        let signature = b.import_signature(emit::region_signature());
        let call = b.ins().call_indirect(signature, code, &parameters[1..]);
        let next = b.inst_results(call)[0];
        let is_exit = b.ins().band_imm_u(next, 1);
        b.ins().brif(is_exit, out, &[], turn, &[next.into()]);
        b.switch_to_block(out);
        b.ins().return_(&[next]);
        b.seal_all_blocks();
        b.finalize(self.isa.frontend_config());
        self.finish()
    }

    /// A function like a region's that has the engine look.
    pub(crate) fn fail(&mut self) -> Result<Vec<u8>, String> {
        self.context.clear();
        self.context.func.signature = emit::region_signature();
        let mut b = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let first = b.create_block();
        b.append_block_params_for_function_params(first);
        b.switch_to_block(first);
        let look = b.ins().iconst(types::I64, emit::LOOK);
        b.ins().return_(&[look]);
        b.seal_all_blocks();
        b.finalize(self.isa.frontend_config());
        self.finish()
    }

    /// The function through which regions call the engine's `call` without losing a register.
    pub(crate) fn thunk(&mut self, call: u64) -> Result<Vec<u8>, String> {
        self.context.clear();
        self.context.func.signature = emit::thunk_signature();
        let convention = self.host_convention();
        let mut b = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let first = b.create_block();
        b.append_block_params_for_function_params(first);
        b.switch_to_block(first);
        let parameters = b.block_params(first).to_vec();
        let signature = b.import_signature(emit::signature(convention, 3, false));
        let to = b.ins().iconst(types::I64, call as i64);
        b.ins().call_indirect(signature, to, &parameters);
        b.ins().return_(&[]);
        b.seal_all_blocks();
        b.finalize(self.isa.frontend_config());
        self.finish()
    }

    /// The convention of Rust's `extern "C"` here.
    fn host_convention(&self) -> CallConv {
        self.isa.default_call_conv()
    }
}

/// A region on its way.
struct Job {
    ticket: u64,
    region: Region,
    links: Vec<(u64, u64)>,
}

/// A region that is done.
pub(crate) struct Done {
    pub(crate) ticket: u64,
    pub(crate) region: Region,
    pub(crate) code: Result<Vec<u8>, String>,
}

/// Threads that compile.
pub(crate) struct Workers {
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    ready: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Workers {
    pub(crate) fn new(
        count: usize,
        isa: &OwnedTargetIsa,
        layout: &Arc<Layout>,
        shared: Shared,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = sync_channel::<Job>(2 * QUEUE);
        let (outbox, done) = channel();
        let ready = Arc::new(AtomicBool::new(false));
        let inbox = Arc::new(Mutex::new(inbox));
        let threads = (0..count).map(|n| {
            let worker = Worker {
                compiler: Compiler::new(isa.clone()),
                layout: layout.clone(),
                shared,
                inbox: inbox.clone(),
                outbox: outbox.clone(),
                ready: ready.clone(),
            };
            std::thread::Builder::new()
                .name(format!("jit {n}"))
                .spawn(|| worker.work())
        });
        let threads = threads.collect::<Result<_, _>>()?;
        Ok(Self {
            jobs: Some(jobs),
            done,
            ready,
            threads,
        })
    }

    /// Gives a region to a thread; gives it back if too many wait.
    pub(crate) fn submit(&self, ticket: u64, region: Region, links: Vec<(u64, u64)>) -> Result<(), Region> {
        let Some(jobs) = &self.jobs else { return Err(region) };
        let job = Job { ticket, region, links };
        jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job.region,
        })
    }

    /// What was finished since.
    #[inline]
    pub(crate) fn take(&self) -> Option<Vec<Done>> {
        if !self.ready.load(Ordering::Acquire) {
            return None;
        }
        self.ready.store(false, Ordering::Release);
        Some(self.done.try_iter().collect())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Threads end when nobody can send any more. What waits is compiled for nothing: at most a queue's length of milliseconds.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Worker {
    compiler: Compiler,
    layout: Arc<Layout>,
    shared: Shared,
    inbox: Arc<Mutex<Receiver<Job>>>,
    outbox: Sender<Done>,
    ready: Arc<AtomicBool>,
}

impl Worker {
    fn work(mut self) {
        loop {
            let next = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { ticket, region, links }) = next else {
                return;
            };
            let code = self.attempt(&region, &links);
            if self.outbox.send(Done { ticket, region, code }).is_err() {
                return;
            }
            self.ready.store(true, Ordering::Release);
        }
    }

    /// Whatever is wrong with the compiler must not stop the guest: the interpreter can do all of it.
    fn attempt(&mut self, region: &Region, links: &[(u64, u64)]) -> Result<Vec<u8>, String> {
        let compile = || self.compiler.region(&self.layout, region, self.shared, links);
        catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|_| {
            // What it left may be in any state.
            let isa = self.compiler.isa.clone();
            self.compiler = Compiler::new(isa);
            Err(PANICKED.into())
        })
    }
}
