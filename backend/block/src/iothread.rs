//! Threads that the user names (`-object iothread`), which serve the queues of the disks that name them. A thread does one thing after
//! another, in their order.

use southbridge_core::host::{Backend, Host, HostCx, HostEvent};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::pool::Job;

/// A thread with a name. The last handle's drop ends it when all work is done.
#[derive(Debug)]
pub struct IoThread {
    name: String,
    number: i32,
    work: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a machine keeps its threads: among its back ends, of which this one is none.
#[derive(Default)]
struct Keeper(BTreeMap<String, Arc<IoThread>>);

impl Backend for Keeper {
    fn on_host(&mut self, _: HostEvent, _: &mut HostCx<'_>) {}
}

fn serve(work: &Receiver<Job>) {
    while let Ok(job) = work.recv() {
        job();
    }
}

impl IoThread {
    fn begin(name: &str) -> io::Result<Self> {
        let (work, jobs) = channel::<Job>();
        let (tell, told) = channel();
        // Linux shows 15 bytes of it.
        let shown: String = format!("IO {name}").chars().take(15).collect();
        let run = move || {
            let number = rustix::thread::gettid().as_raw_nonzero().get();
            // Who began it waits for this.
            let _ = tell.send(number);
            serve(&jobs);
        };
        let thread = std::thread::Builder::new().name(shown).spawn(run)?;
        let number = told.recv().map_err(|_| io::ErrorKind::Other)?;
        Ok(Self {
            name: name.to_owned(),
            number,
            work: Some(work),
            thread: Some(thread),
        })
    }

    /// Begins a thread of a machine.
    ///
    /// # Errors
    /// When the host has none to give.
    pub fn add(host: &mut Host, name: &str) -> io::Result<()> {
        let thread = Arc::new(Self::begin(name)?);
        let keeper = host.find_or_add::<Keeper>();
        if let Some((kept, _)) = host.get::<Keeper>(keeper) {
            kept.0.insert(name.to_owned(), thread);
        }
        Ok(())
    }

    /// One of a machine's, by its name.
    pub fn find(host: &Host, name: &str) -> Option<Arc<Self>> {
        let keeper = host.find::<Keeper>()?;
        host.peek::<Keeper>(keeper)?.0.get(name).cloned()
    }

    /// The same while a device is made.
    pub fn find_for(build: &mut southbridge_core::Build<'_>, name: &str) -> Option<Arc<Self>> {
        let keeper = build.only_backend::<Keeper>();
        build.backend::<Keeper>(keeper)?.0.0.get(name).cloned()
    }

    /// Whether a device has its work done there.
    pub fn is_used(host: &Host, name: &str) -> bool {
        // One handle is the keeper's, the other the one just found.
        Self::find(host, name).is_some_and(|t| Arc::strong_count(&t) > 2)
    }

    /// Ends one, when its work is done; `false` if there is none of that name.
    pub fn remove(host: &mut Host, name: &str) -> bool {
        let keeper = host.find_or_add::<Keeper>();
        host.get::<Keeper>(keeper)
            .is_some_and(|(kept, _)| kept.0.remove(name).is_some())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's number for it.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Has it do something. `Err` gives the work back: the thread is gone.
    pub(crate) fn run(&self, job: Job) -> Result<(), Job> {
        match &self.work {
            Some(work) => work.send(job).map_err(|e| e.0),
            None => Err(job),
        }
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self
            .thread
            .take()
            .filter(|t| t.thread().id() != std::thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn it_does_what_it_is_given_before_it_ends() {
        let thread = IoThread::begin("t").unwrap();
        assert_ne!(thread.number(), rustix::thread::gettid().as_raw_nonzero().get());
        let done = Arc::new(Mutex::new(Vec::new()));
        for n in 0..100 {
            let done = done.clone();
            let job = move || done.lock().unwrap().push(n);
            assert!(thread.run(Box::new(job)).is_ok());
        }
        drop(thread);
        assert_eq!(*done.lock().unwrap(), (0..100).collect::<Vec<_>>());
    }
}
