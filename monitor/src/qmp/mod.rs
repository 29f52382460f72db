//! Connections that speak QMP.
//!
//! Each client has its own session: ids, negotiation, events. A client that does not read gets no further events once a bounded buffer
//! is full, and its requests wait; the machine never does.

mod handle;
mod listener;

use southbridge_backend_chardev::{CharHandle, Chardev};
use southbridge_core::{BackendId, Machine};
use southbridge_protocol_qmp::{Incoming, Session, event};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::commands::version;
use crate::{Cx, World};
use handle::Handle;
use listener::Listener;

/// Bytes on their way to a client beyond which its requests wait.
const FULL: usize = 1 << 16;
/// Bytes on their way to a client beyond which events are dropped.
const OVERFULL: usize = 1 << 20;
/// Descriptors that wait for a command to take them.
const MOST_FDS: usize = 64;

/// All connections.
#[derive(Default)]
pub(crate) struct Connections {
    servers: Vec<Server>,
    handles: Vec<(Handle, Option<Client>)>,
}

/// A socket with many clients.
struct Server {
    backend: BackendId,
    pretty: bool,
    /// Keeps the chardev from being used otherwise.
    _chardev: CharHandle,
    clients: Vec<(u64, Client)>,
}

/// A conversation.
struct Client {
    session: Session,
    sent: VecDeque<OwnedFd>,
}

/// The way to a client.
trait Way {
    /// Bytes that wait to be read.
    fn backlog(&self) -> usize;
    /// Sends, or buffers.
    fn send(&mut self, text: &str);
}

impl Connections {
    pub(crate) fn listen(
        &mut self,
        machine: &mut Machine,
        world: &World,
        id: &str,
        pretty: bool,
    ) -> Result<(), String> {
        let chardev = world
            .chardevs
            .get(id)
            .ok_or_else(|| format!("there is no chardev '{id}'"))?;
        let caller = machine.caller();
        let notify = Box::new(move || caller.call());
        let host = &mut machine.sys.host;
        let handle = CharHandle::attach(host, chardev, Some(notify)).map_err(|e| format!("chardev '{id}' {e}"))?;
        let lent = host
            .get::<Chardev>(chardev)
            .and_then(|(c, mut cx)| c.lend_listeners(&mut cx));
        match lent {
            None => self.handles.push((Handle::new(handle), None)),
            Some(lent) => {
                let caller = machine.caller();
                let made = machine
                    .sys
                    .host
                    .add(|cx| Listener::start(lent, caller, cx).map(|l| Box::new(l) as _));
                self.servers.push(Server {
                    backend: made.map_err(|e| e.to_string())?,
                    pretty,
                    _chardev: handle,
                    clients: Vec::new(),
                });
            }
        }
        if let Some((handle, _)) = self.handles.last_mut() {
            handle.pretty = pretty;
        }
        machine.caller().call();
        Ok(())
    }

    /// Does what clients sent.
    pub(crate) fn attend(&mut self, machine: &mut Machine, world: &mut World) {
        for i in 0..self.servers.len() {
            self.greet(i, machine);
            let tokens: Vec<u64> = self.servers[i].clients.iter().map(|(t, _)| *t).collect();
            for token in tokens {
                self.serve(i, token, machine, world);
            }
        }
        for i in 0..self.handles.len() {
            self.serve_handle(i, machine, world);
        }
    }

    /// Takes in those who came.
    fn greet(&mut self, server: usize, machine: &mut Machine) {
        let server = &mut self.servers[server];
        while let Some((mut listener, token)) = Listener::newcomer(machine, server.backend) {
            let client = Client::new(server.pretty);
            listener.send(&client.greeting());
            server.clients.push((token, client));
        }
    }

    fn serve(&mut self, server: usize, token: u64, machine: &mut Machine, world: &mut World) {
        let backend = self.servers[server].backend;
        loop {
            let Some((_, client)) = self.servers[server].clients.iter_mut().find(|(t, _)| *t == token) else {
                return;
            };
            let Some(mut way) = Listener::way(machine, backend, token) else {
                return self.servers[server].clients.retain(|(t, _)| *t != token);
            };
            if way.backlog() > FULL {
                return;
            }
            let Some(incoming) = client.session.next() else {
                if way.read(client) {
                    continue;
                }
                if way.is_over() {
                    way.remove();
                    self.servers[server].clients.retain(|(t, _)| *t != token);
                }
                return;
            };
            let Some((_, client)) = self.servers[server].clients.iter_mut().find(|(t, _)| *t == token) else {
                return;
            };
            let answer = client.act(incoming, machine, world);
            self.tell_events(machine, world);
            if let Some(mut way) = Listener::way(machine, backend, token) {
                way.send(&answer);
            }
        }
    }

    fn serve_handle(&mut self, i: usize, machine: &mut Machine, world: &mut World) {
        loop {
            let (handle, client) = &mut self.handles[i];
            handle.look(client);
            if handle.backlog() > FULL {
                return;
            }
            let Some(c) = client else { return };
            let Some(incoming) = c.session.next() else { return };
            let answer = c.act(incoming, machine, world);
            self.tell_events(machine, world);
            self.handles[i].0.send(&answer);
        }
    }

    /// Sends waiting events to everybody who has negotiated.
    pub(crate) fn tell_events(&mut self, machine: &mut Machine, world: &mut World) {
        while let Some((name, data)) = world.events.pop_front() {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let message = event(name, (!data.is_empty()).then(|| data.into()), time);
            let wants = |c: &Client| c.session.is_negotiated();
            for server in &self.servers {
                for (token, client) in server.clients.iter().filter(|(_, c)| wants(c)) {
                    if let Some(mut way) = Listener::way(machine, server.backend, *token)
                        && way.backlog() < OVERFULL
                    {
                        way.send(&client.session.print(&message));
                    }
                }
            }
            for (handle, client) in &mut self.handles {
                if let Some(client) = client.as_ref().filter(|c| wants(c))
                    && handle.backlog() < OVERFULL
                {
                    handle.send(&client.session.print(&message));
                }
            }
        }
    }
}

impl Client {
    fn new(pretty: bool) -> Self {
        Self {
            session: Session::new(pretty),
            sent: VecDeque::new(),
        }
    }

    fn greeting(&self) -> String {
        let version = serde_json::to_value(version()).unwrap_or_default();
        self.session.print(&Session::greeting(version))
    }

    /// Takes what the client sent.
    fn hear(&mut self, bytes: &[u8], fds: Vec<OwnedFd>) {
        self.session.feed(bytes);
        self.sent.extend(fds);
        self.sent.truncate(MOST_FDS);
    }

    fn act(&mut self, incoming: Incoming, machine: &mut Machine, world: &mut World) -> String {
        let answer = match incoming {
            Incoming::Reply(answer) => answer,
            Incoming::Call(call) => {
                let mut cx = Cx {
                    machine,
                    world,
                    sent: &mut self.sent,
                };
                let result = crate::run(&mut cx, &call.name, call.arguments, call.out_of_band);
                self.session.answer(call.id, result)
            }
        };
        self.session.print(&answer)
    }
}
