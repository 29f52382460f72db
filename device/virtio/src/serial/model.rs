//! The serial device: ports with two queues each, and control messages about them (Virtio 1.3, section 5.3).

use serde::{Deserialize, Serialize};
use southbridge_backend_chardev::{CharEvent, CharFront};
use southbridge_bus_virtio::spec::id;
use southbridge_bus_virtio::{Chain, VirtioCx, VirtioModel};
use southbridge_core::{Build, Completion, CreateError, DeviceId, LoadError, NoticeValue, Properties, SavedState};
use std::collections::{BTreeMap, VecDeque};

use super::port::{SerialPort, Wish};
use super::regs::{self, *};

const VERSION: u32 = 1;
/// Most bytes of a chain in one write to the host, and most that wait for the guest.
const PIECE: usize = 4096;
/// Most control messages that wait for buffers of the guest. What every port has to say at once fits.
const MOST_MESSAGES: usize = 4 * MOST_PORTS as usize;

/// A port that is plugged in.
struct Port {
    // Fixed.
    device: DeviceId,
    console: bool,
    name: Option<String>,
    // Glue.
    front: CharFront,
    /// Somebody is at the host's end.
    connected: bool,
    // Volatile.
    s: PortState,
}

/// What is saved of a port.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct PortState {
    /// The guest has it open.
    guest_open: bool,
    /// The guest knows that somebody is at the host's end.
    host_open: bool,
    /// A buffer of the guest that the host has not taken all of, and how much of it.
    out: Option<(Chain, u64)>,
    /// The host takes nothing now.
    throttled: bool,
    /// Data of the host that the guest had no buffer for.
    inbox: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct State {
    ports: BTreeMap<u32, PortState>,
    messages: VecDeque<Vec<u8>>,
}

/// A virtio serial device.
pub struct Serial {
    // Fixed.
    max_ports: u32,
    emergency: bool,
    // Glue and volatile.
    ports: BTreeMap<u32, Port>,
    /// Control messages that wait for buffers.
    messages: VecDeque<Vec<u8>>,
}

impl Serial {
    pub(super) fn create(p: &Properties, _build: &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError> {
        let max_ports = p.uint("max_ports");
        if !(1..=MOST_PORTS).contains(&max_ports) {
            return Err(CreateError::BadValue {
                property: "max_ports",
                value: max_ports.to_string(),
                expected: format!("a number from 1 to {MOST_PORTS}"),
            });
        }
        Ok(Box::new(Self {
            max_ports: max_ports as u32,
            emergency: p.bool("emergency-write"),
            ports: BTreeMap::new(),
            messages: VecDeque::new(),
        }))
    }

    // ----- ports come and go -----------------------------------------------------------------------------------------------------

    /// Takes a port in, and gives the number that it has now.
    ///
    /// # Errors
    /// When its number is taken or too large, or its name is taken.
    pub fn plug(&mut self, device: DeviceId, cx: &mut VirtioCx<'_, '_>) -> Result<u32, String> {
        let come = cx.ctx().with_role::<dyn SerialPort, _>(device, |port, _| port.come());
        let Some((wish, front)) = come else {
            return Err("takes virtconsole and virtserialport alone".into());
        };
        let nr = self.number(&wish)?;
        if let Some(name) = wish
            .name
            .as_deref()
            .filter(|n| self.ports.values().any(|p| p.name.as_deref() == Some(*n)))
        {
            return Err(format!("has a port of the name '{name}' already"));
        }
        // A console is there whether somebody looks at it or not; who waits for a port to open wants to know.
        let connected = wish.console && front.is_connected();
        let port = Port {
            device,
            console: wish.console,
            name: wish.name,
            front,
            connected,
            s: PortState {
                host_open: connected,
                ..PortState::default()
            },
        };
        self.ports.insert(nr, port);
        self.message(nr, event::PORT_ADD, 1, None, cx);
        cx.config_changed();
        if !cx.has(F_MULTIPORT) && cx.ready() && nr == 0 {
            self.guest_opens(nr, true, cx);
        }
        Ok(nr)
    }

    fn number(&self, wish: &Wish) -> Result<u32, String> {
        let free = |nr: &u32| !self.ports.contains_key(nr);
        let max = self.max_ports;
        match wish.nr {
            Some(nr) if nr >= max => Err(format!("has ports 0 to {} and no port {nr}", max - 1)),
            Some(nr) if !free(&nr) => Err(format!("has a port {nr} already")),
            Some(nr) => Ok(nr),
            // The first console is where guests of before there were ports look for it.
            None if wish.console && free(&0) => Ok(0),
            None => (1..max)
                .find(free)
                .ok_or_else(|| format!("has no port left of its {max}, of which 0 is for a console")),
        }
    }

    /// A port goes.
    pub fn unplug(&mut self, device: DeviceId, cx: &mut VirtioCx<'_, '_>) {
        let Some(nr) = self.port_at(device) else { return };
        self.drop_output(nr, cx);
        self.message(nr, event::PORT_REMOVE, 1, None, cx);
        self.ports.remove(&nr);
    }

    fn port_at(&self, device: DeviceId) -> Option<u32> {
        self.ports.iter().find(|(_, p)| p.device == device).map(|(nr, _)| *nr)
    }

    // ----- control ---------------------------------------------------------------------------------------------------------------

    /// Says something about a port to a driver that knows of ports.
    fn message(&mut self, nr: u32, event: u16, value: u16, name: Option<&str>, cx: &mut VirtioCx<'_, '_>) {
        if !cx.ready() || !cx.has(F_MULTIPORT) {
            return;
        }
        if self.messages.len() >= MOST_MESSAGES {
            return cx
                .ctx()
                .guest_error(format_args!("the driver takes no control messages; one is lost"));
        }
        let mut message = Vec::with_capacity(MESSAGE_LEN);
        message.extend(nr.to_le_bytes());
        message.extend(event.to_le_bytes());
        message.extend(value.to_le_bytes());
        if let Some(name) = name {
            message.extend(name.bytes().chain([0]));
        }
        self.messages.push_back(message);
        self.send_messages(cx);
    }

    fn send_messages(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while let Some(message) = self.messages.front() {
            let Some(chain) = cx.pop(CONTROL_IN) else { return };
            let fits = message
                .len()
                .min(usize::try_from(chain.writable_len()).unwrap_or(usize::MAX));
            let written = cx.write(&chain, 0, &message[..fits]).map_or(0, |()| fits as u32);
            cx.push(chain, written);
            self.messages.pop_front();
        }
    }

    fn take_messages(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(CONTROL_OUT) {
            let mut message = [0; MESSAGE_LEN];
            let read = cx.read(&chain, 0, &mut message);
            cx.push(chain, 0);
            match read {
                Ok(()) => self.control(message, cx),
                Err(_) => cx.ctx().guest_error(format_args!("a control message is too short")),
            }
        }
    }

    fn control(&mut self, message: [u8; MESSAGE_LEN], cx: &mut VirtioCx<'_, '_>) {
        let [a, b, c, d, e, f, g, h] = message;
        let nr = u32::from_le_bytes([a, b, c, d]);
        let (event, value) = (u16::from_le_bytes([e, f]), u16::from_le_bytes([g, h]));
        if event == event::DEVICE_READY {
            if value == 0 {
                return cx.ctx().guest_error(format_args!("the driver says that it failed"));
            }
            let all: Vec<u32> = self.ports.keys().copied().collect();
            return all
                .into_iter()
                .for_each(|nr| self.message(nr, event::PORT_ADD, 1, None, cx));
        }
        let Some(port) = self.ports.get(&nr) else {
            return cx
                .ctx()
                .guest_error(format_args!("a control message is about port {nr}, which is not there"));
        };
        match event {
            event::PORT_READY if value == 0 => {
                cx.ctx().guest_error(format_args!("the driver could not use port {nr}"));
            }
            event::PORT_READY => {
                let (console, name, open) = (port.console, port.name.clone(), port.s.host_open);
                if console {
                    self.message(nr, event::CONSOLE_PORT, 1, None, cx);
                }
                if let Some(name) = name {
                    self.message(nr, event::PORT_NAME, 1, Some(&name), cx);
                }
                if open {
                    self.message(nr, event::PORT_OPEN, 1, None, cx);
                }
            }
            event::PORT_OPEN => self.guest_opens(nr, value != 0, cx),
            _ => cx
                .ctx()
                .guest_error(format_args!("control message {event} means nothing from a driver")),
        }
    }

    /// The guest opens or closes a port.
    fn guest_opens(&mut self, nr: u32, open: bool, cx: &mut VirtioCx<'_, '_>) {
        let Some(port) = self.ports.get_mut(&nr) else { return };
        port.s.guest_open = open;
        if let Some(id) = cx.ctx().id_of(port.device).map(str::to_owned) {
            let members = [("id", NoticeValue::Text(id)), ("open", NoticeValue::Bool(open))];
            cx.ctx().notify("VSERPORT_CHANGE", &members);
        }
        self.feed(nr, cx);
    }

    /// Somebody comes to the host's end, or leaves.
    fn host_opens(&mut self, nr: u32, open: bool, cx: &mut VirtioCx<'_, '_>) {
        let Some(port) = self.ports.get_mut(&nr) else { return };
        port.connected = open;
        if port.s.host_open == open {
            return;
        }
        port.s.host_open = open;
        if open {
            self.drain(nr, cx);
        } else {
            self.drop_output(nr, cx);
        }
        self.message(nr, event::PORT_OPEN, open.into(), None, cx);
        self.feed(nr, cx);
    }

    // ----- data to the host ------------------------------------------------------------------------------------------------------

    fn drain(&mut self, nr: u32, cx: &mut VirtioCx<'_, '_>) {
        match self.ports.get_mut(&nr) {
            Some(port) if port.s.host_open => port.drain(out_queue(nr), cx),
            _ => self.drop_output(nr, cx),
        }
    }

    /// Gives back what the guest has sent and nobody takes.
    fn drop_output(&mut self, nr: u32, cx: &mut VirtioCx<'_, '_>) {
        if let Some(port) = self.ports.get_mut(&nr) {
            port.s.throttled = false;
            if let Some((chain, _)) = port.s.out.take() {
                cx.push(chain, 0);
            }
        }
        while let Some(chain) = cx.pop(out_queue(nr)) {
            cx.push(chain, 0);
        }
    }

    /// A character for the first console that is there, whatever state the driver is in.
    fn emergency(&mut self, byte: u8, cx: &mut VirtioCx<'_, '_>) {
        if let Some(port) = self.ports.values().find(|p| p.console && p.s.host_open) {
            let device = port.device;
            cx.ctx().on_behalf_of(device, |cx| port.front.write(&[byte], cx));
        }
    }

    // ----- data to the guest -----------------------------------------------------------------------------------------------------

    /// Gives the guest what it has buffers for, and tells the host's end how much more it may send.
    fn feed(&mut self, nr: u32, cx: &mut VirtioCx<'_, '_>) {
        if let Some(port) = self.ports.get_mut(&nr) {
            port.feed(in_queue(nr), cx);
        }
    }

    /// A chardev says something to the port that is this device.
    pub(super) fn hear_host(&mut self, device: DeviceId, done: Completion, cx: &mut VirtioCx<'_, '_>) {
        let Some(nr) = self.port_at(device) else { return };
        let Some(event) = CharEvent::from_completion(done) else {
            return;
        };
        let console = self.ports.get(&nr).is_some_and(|p| p.console);
        match event {
            CharEvent::Data { bytes, .. } => {
                if let Some(port) = self.ports.get_mut(&nr) {
                    port.s.inbox.extend(bytes);
                    port.s.inbox.truncate(2 * PIECE);
                }
                self.feed(nr, cx);
            }
            CharEvent::Writable => {
                if let Some(port) = self.ports.get_mut(&nr) {
                    port.s.throttled = false;
                }
                self.drain(nr, cx);
            }
            CharEvent::Opened if !console => self.host_opens(nr, true, cx),
            CharEvent::Closed if !console => self.host_opens(nr, false, cx),
            CharEvent::Opened | CharEvent::Closed | CharEvent::Break => {}
        }
    }

    /// What a reset does to the guest's half.
    fn guest_is_gone(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.messages.clear();
        for nr in self.ports.keys().copied().collect::<Vec<_>>() {
            let Some(port) = self.ports.get_mut(&nr) else { continue };
            port.s.out = None;
            port.s.throttled = false;
            if port.s.guest_open {
                self.guest_opens(nr, false, cx);
            }
            self.feed(nr, cx);
        }
    }
}

impl Port {
    fn drain(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        while !self.s.throttled {
            let Some((chain, done)) = self.s.out.take().or_else(|| Some((cx.pop(queue)?, 0))) else {
                return;
            };
            let left = usize::try_from(chain.readable_len().saturating_sub(done)).unwrap_or(usize::MAX);
            let Ok(piece) = cx.read_vec(&chain, done, left.min(PIECE)) else {
                return;
            };
            let front = &self.front;
            let taken = cx.ctx().on_behalf_of(self.device, |cx| front.write(&piece, cx));
            let done = if taken == piece.len() || self.console {
                // A guest that waits for its console waits with all it has: what does not fit is lost, as on a wire.
                done + piece.len() as u64
            } else {
                self.s.throttled = true;
                done + taken as u64
            };
            if done < chain.readable_len() {
                self.s.out = Some((chain, done));
            } else {
                cx.push(chain, 0);
            }
        }
    }

    fn feed(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        let open = self.s.guest_open && self.s.host_open;
        while open && !self.s.inbox.is_empty() {
            let Some(chain) = cx.pop(queue) else { break };
            let fits = usize::try_from(chain.writable_len()).unwrap_or(usize::MAX);
            let n = fits.min(self.s.inbox.len());
            let written = cx.write(&chain, 0, &self.s.inbox[..n]).map_or(0, |()| n);
            cx.push(chain, written as u32);
            self.s.inbox.drain(..n);
        }
        let room = if open && self.s.inbox.is_empty() {
            room(queue, cx)
        } else {
            0
        };
        let front = &self.front;
        cx.ctx().on_behalf_of(self.device, |cx| front.set_room(room, cx));
    }
}

/// Bytes that fit into the next buffer.
fn room(queue: u16, cx: &mut VirtioCx<'_, '_>) -> usize {
    let Some(chain) = cx.pop(queue) else { return 0 };
    let len = chain.writable_len();
    cx.unpop(chain);
    usize::try_from(len).unwrap_or(PIECE).min(PIECE)
}

impl VirtioModel for Serial {
    fn device_id(&self) -> u16 {
        id::CONSOLE
    }

    fn features(&self) -> u64 {
        let ports = if self.max_ports > 1 { F_MULTIPORT } else { 0 };
        ports | if self.emergency { F_EMERG_WRITE } else { 0 }
    }

    fn queues(&self) -> Vec<u16> {
        let data = [DATA_SIZE; 2];
        let mut all = data.to_vec();
        all.extend([CONTROL_SIZE; 2]);
        (1..self.max_ports).for_each(|_| all.extend(data));
        all
    }

    fn config(&self) -> Vec<u8> {
        // No size of the screen: 4 bytes of zero.
        let mut config = vec![0; 4];
        config.extend(self.max_ports.to_le_bytes());
        if self.emergency {
            config.extend([0; 4]);
        }
        config
    }

    fn write_config(&mut self, offset: usize, data: &[u8], cx: &mut VirtioCx<'_, '_>) {
        let low = EMERG_WR.checked_sub(offset).and_then(|at| data.get(at..));
        if let Some([byte, ..]) = low.filter(|d| d.iter().any(|b| *b != 0)) {
            self.emergency(*byte, cx);
        }
    }

    fn driver_ok(&mut self, cx: &mut VirtioCx<'_, '_>) {
        // Drivers that know of one port alone cannot say when it is open.
        if !cx.has(F_MULTIPORT) && self.ports.contains_key(&0) {
            self.guest_opens(0, true, cx);
        }
    }

    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.guest_is_gone(cx);
    }

    fn queue_reset(&mut self, queue: u16, _cx: &mut VirtioCx<'_, '_>) {
        if let Some((nr, true)) = port_of(queue)
            && let Some(port) = self.ports.get_mut(&nr)
        {
            port.s.out = None;
        }
    }

    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        match regs::port_of(queue) {
            Some((nr, true)) => self.drain(nr, cx),
            Some((nr, false)) => self.feed(nr, cx),
            None if queue == CONTROL_OUT => self.take_messages(cx),
            None => self.send_messages(cx),
        }
    }

    fn save(&self) -> SavedState {
        let ports = self.ports.iter().map(|(nr, p)| (*nr, p.s.clone())).collect();
        let messages = self.messages.clone();
        SavedState::of(VERSION, &State { ports, messages })
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let State { mut ports, messages } = state.read(VERSION)?;
        if !ports.keys().eq(self.ports.keys()) {
            return Err(LoadError::Impossible("the ports of a serial device"));
        }
        let too_much = |p: &PortState| p.inbox.len() > 2 * PIECE;
        let strange = |(nr, p): (&u32, &PortState)| p.out.as_ref().is_some_and(|(c, _)| c.queue() != out_queue(*nr));
        let long = MESSAGE_LEN + usize::from(u16::MAX);
        if ports.values().any(too_much) || messages.len() > MOST_MESSAGES || messages.iter().any(|m| m.len() > long) {
            return Err(LoadError::Impossible("more that waits in a serial device than can"));
        }
        if ports.iter().any(strange) {
            return Err(LoadError::Impossible("a buffer of another queue"));
        }
        for (nr, port) in &mut self.ports {
            port.s = ports.remove(nr).unwrap_or_default();
        }
        self.messages = messages;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut VirtioCx<'_, '_>) {
        for nr in self.ports.keys().copied().collect::<Vec<_>>() {
            let Some(port) = self.ports.get_mut(&nr) else { continue };
            // The host's end here is another one, and takes what it takes.
            port.s.throttled = false;
            if port.connected {
                self.host_opens(nr, true, cx);
                self.drain(nr, cx);
            } else if std::mem::take(&mut port.s.host_open) {
                // Whoever listened there may come to listen here: what the guest has sent waits until it sends more.
                self.message(nr, event::PORT_OPEN, 0, None, cx);
            }
            self.feed(nr, cx);
        }
    }
}
