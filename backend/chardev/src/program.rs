//! What back ends ask of the whole program, and tell the person in front of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type Action = Box<dyn Fn() + Send>;

/// The wish to end the run (`Ctrl-a x`), shared by all back ends of a machine and whoever can end it. Cheap to clone.
#[derive(Clone, Default)]
pub struct QuitRequest(Arc<Inner>);

#[derive(Default)]
struct Inner {
    raised: AtomicBool,
    action: Mutex<Option<Action>>,
    commit: Mutex<Option<Action>>,
}

impl QuitRequest {
    /// Sets what happens: a call of the machine's stop handle. Runs at once if the wish was uttered already.
    pub fn on_quit(&self, action: impl Fn() + Send + 'static) {
        if self.is_raised() {
            action();
        }
        *self.0.action.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(action));
    }

    /// Sets what `Ctrl-a s` does (write snapshot data back). Without it the key does nothing.
    pub fn on_commit(&self, action: impl Fn() + Send + 'static) {
        *self.0.commit.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(action));
    }

    /// Whether the user asked for the end.
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        if let Some(a) = &*self.0.action.lock().unwrap_or_else(PoisonError::into_inner) {
            a();
        }
    }

    pub(crate) fn commit(&self) {
        if let Some(a) = &*self.0.commit.lock().unwrap_or_else(PoisonError::into_inner) {
            a();
        }
    }
}

/// Something that a back end has for the person at the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What was asked for: the name of the terminal that was made. QEMU prints it on standard output.
    Info(String),
    /// What went wrong and does not end anything.
    Warning(String),
}

type Listener = Box<dyn Fn(&Message) + Send>;

/// Where [`Message`]s go; nowhere until [`Messages::on_message`]. Cheap to clone.
#[derive(Clone, Default)]
pub struct Messages(Arc<Mutex<Option<Listener>>>);

impl Messages {
    /// Sets who hears them.
    pub fn on_message(&self, listener: impl Fn(&Message) + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(listener));
    }

    pub(crate) fn say(&self, message: &Message) {
        if let Some(l) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            l(message);
        }
    }
}
