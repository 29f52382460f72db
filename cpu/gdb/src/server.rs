//! The server: a channel, and the session of whoever is at its other end.

use southbridge_backend_chardev::{AttachError, CharEvent, CharHandle};
use southbridge_core::{Attendant, BackendId, Machine, MachineEvent, Outcome};
use std::time::Duration;

use crate::monitor::Monitor;
use crate::session::{Session, Surroundings};

/// gdb's server on a character channel. One client at a time; the next may come when it has gone.
pub struct GdbServer {
    link: CharHandle,
    session: Option<Session>,
    monitor: Box<dyn Monitor>,
    /// What the channel did not take yet.
    output: Vec<u8>,
    /// What came while a run backwards looked for Ctrl-C.
    early: Vec<CharEvent>,
}

impl GdbServer {
    /// Gives a machine a server on a channel.
    ///
    /// # Errors
    /// The channel is in use or is none.
    pub fn attach(machine: &mut Machine, channel: BackendId, monitor: Box<dyn Monitor>) -> Result<(), AttachError> {
        let caller = machine.caller();
        let link = CharHandle::attach(&mut machine.sys.host, channel, Some(Box::new(move || caller.call())))?;
        // A client that stands there already has said so.
        machine.caller().call();
        machine.add_attendant(Box::new(Self {
            link,
            session: None,
            monitor,
            output: Vec::new(),
            early: Vec::new(),
        }));
        Ok(())
    }

    fn take(&mut self, event: CharEvent, machine: &mut Machine) {
        match event {
            CharEvent::Opened => self.end_session(machine),
            CharEvent::Closed => {
                self.end_session(machine);
                self.output.clear();
                return;
            }
            CharEvent::Writable => return,
            CharEvent::Break | CharEvent::Data { .. } => {}
        }
        let session = self.session.get_or_insert_with(|| Session::open(machine));
        match event {
            CharEvent::Break => session.interrupt(machine),
            CharEvent::Data { bytes, .. } => {
                let (link, early) = (&self.link, &mut self.early);
                let mut cx = Surroundings::new(machine, &mut *self.monitor)
                    .interrupted_by(|machine| ctrl_c_came(link, early, machine));
                session.receive(&bytes, &mut cx);
            }
            _ => {}
        }
    }

    fn end_session(&mut self, machine: &mut Machine) {
        if let Some(session) = self.session.take() {
            session.close(machine);
        }
    }

    fn flush(&mut self) {
        if let Some(session) = &mut self.session {
            self.output.append(&mut session.take_output());
        }
        if !self.output.is_empty() {
            let n = self.link.write(&self.output);
            self.output.drain(..n);
        }
    }
}

/// Looks at the channel in the middle of long work.
fn ctrl_c_came(link: &CharHandle, early: &mut Vec<CharEvent>, machine: &mut Machine) -> bool {
    let _ = machine.sys.host.wait(Some(Duration::ZERO));
    let mut came = false;
    while let Some(event) = link.next() {
        came |= match &event {
            CharEvent::Data { bytes, .. } => bytes.contains(&3),
            CharEvent::Closed | CharEvent::Break => true,
            _ => false,
        };
        early.push(event);
    }
    came
}

impl Attendant for GdbServer {
    fn attend(&mut self, machine: &mut Machine) {
        loop {
            let Some(event) = self.link.next() else { break };
            self.take(event, machine);
            // Ctrl-C among it is for what has ended by then, and does nothing.
            for event in std::mem::take(&mut self.early) {
                self.take(event, machine);
            }
        }
        self.flush();
    }

    fn on_event(&mut self, event: &MachineEvent, machine: &mut Machine) {
        if let (MachineEvent::Stop, Some(session)) = (event, &mut self.session) {
            session.on_stop(machine);
            self.flush();
        }
    }

    fn hold(&mut self, outcome: &Outcome, machine: &mut Machine) -> bool {
        let held = self.session.as_mut().is_some_and(|s| s.hold(outcome, machine));
        self.flush();
        held
    }
}
