//! A back end for tests of devices: the test is the other side.

use rustix::fd::OwnedFd;
use southbridge_core::System;
use southbridge_core::host::{BackendId, HostEvent, Waker};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chardev::{Chardev, Common};
use crate::link::{Link, LinkCx, LinkEvent};

/// The other side of a device under test. Input arrives with the next `sys.host.wait(…)` and `sys.deliver_completions()`, or, if it
/// waited for room, as soon as there is some.
#[derive(Clone)]
pub struct Loop {
    state: Arc<Mutex<State>>,
    waker: Waker,
}

#[derive(Default)]
struct State {
    input: VecDeque<u8>,
    fds: Vec<OwnedFd>,
    events: VecDeque<LinkEvent>,
    output: Vec<u8>,
    output_fds: Vec<OwnedFd>,
    breaks: usize,
    /// Bytes that the other side still takes.
    accepts: Option<usize>,
    closed: bool,
}

struct LoopLink(Arc<Mutex<State>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Loop {
    /// Adds the back end to a system.
    #[allow(clippy::new_ret_no_self, reason = "the id and the other side belong together")]
    pub fn new(sys: &mut System) -> (BackendId, Self) {
        let state = Arc::new(Mutex::new(State::default()));
        let mut waker = None;
        let made = sys.host.add(|cx| {
            waker = Some(cx.waker());
            let link = Box::new(LoopLink(state.clone()));
            Ok::<_, Infallible>(Box::new(Chardev::new("loop", "loop", link, Common::default())) as _)
        });
        match (made, waker) {
            (Ok(id), Some(waker)) => (id, Self { state, waker }),
            (Err(never), _) => match never {},
            (Ok(_), None) => unreachable!("the closure always runs"),
        }
    }

    /// Gives input.
    pub fn feed(&self, bytes: &[u8]) {
        lock(&self.state).input.extend(bytes);
        self.waker.wake();
    }

    /// Gives input whose first byte carries descriptors.
    pub fn feed_with_fds(&self, bytes: &[u8], fds: Vec<OwnedFd>) {
        lock(&self.state).fds.extend(fds);
        self.feed(bytes);
    }

    /// What the device has sent since the last call.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.state).output)
    }

    /// Descriptors that the device has sent.
    pub fn take_fds(&self) -> Vec<OwnedFd> {
        std::mem::take(&mut lock(&self.state).output_fds)
    }

    /// How many breaks the device has sent.
    pub fn breaks(&self) -> usize {
        lock(&self.state).breaks
    }

    /// Takes only so many bytes more from the device (`None`: any number).
    pub fn accept(&self, bytes: Option<usize>) {
        let mut s = lock(&self.state);
        s.accepts = bytes;
        s.events.push_back(LinkEvent::Writable);
        drop(s);
        self.waker.wake();
    }

    /// Goes away: the device hears `Closed`.
    pub fn disconnect(&self) {
        let mut s = lock(&self.state);
        s.closed = true;
        s.events.push_back(LinkEvent::Closed);
        drop(s);
        self.waker.wake();
    }

    /// Comes back: the device hears `Opened`.
    pub fn reconnect(&self) {
        let mut s = lock(&self.state);
        s.closed = false;
        s.events.push_back(LinkEvent::Opened);
        drop(s);
        self.waker.wake();
    }

    /// Sends a break to the device.
    pub fn send_break(&self) {
        lock(&self.state).events.push_back(LinkEvent::Break);
        self.waker.wake();
    }
}

impl Link for LoopLink {
    fn on_host(&mut self, _event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        for event in lock(&self.0).events.drain(..) {
            cx.tell(event);
        }
        self.room_grew(cx);
    }

    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, _cx: &mut LinkCx<'_, '_>) -> usize {
        let mut s = lock(&self.0);
        if s.closed {
            fds.clear();
            return data.len();
        }
        let n = data.len().min(s.accepts.unwrap_or(usize::MAX));
        if let Some(a) = &mut s.accepts {
            *a -= n;
        }
        if n > 0 {
            s.output_fds.append(fds);
        }
        s.output.extend_from_slice(&data[..n]);
        n
    }

    fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) {
        let mut s = lock(&self.0);
        let n = s.input.len().min(cx.room);
        if n > 0 {
            let bytes = s.input.drain(..n).collect();
            let fds = std::mem::take(&mut s.fds);
            cx.data(bytes, fds);
        }
    }

    fn send_break(&mut self, _cx: &mut LinkCx<'_, '_>) {
        lock(&self.0).breaks += 1;
    }

    fn is_open(&self) -> bool {
        !lock(&self.0).closed
    }

    fn describe(&self) -> String {
        "loop".into()
    }
}
