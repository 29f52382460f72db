//! The model: packets between the guest's queues and the streams of the host's side.

use serde::{Deserialize, Serialize};
use southbridge_backend_vsock::{MOST_STREAMS, StreamId, VsockEvent, VsockFront};
use southbridge_bus_virtio::spec::id;
use southbridge_bus_virtio::{VirtioCx, VirtioModel};
use southbridge_core::{Build, Completion, CreateError, LoadError, Properties, SavedState};
use std::collections::{BTreeMap, VecDeque};

use super::regs::*;
use super::state::{Ports, ROOM, Stream, bare};

const VERSION: u32 = 1;
/// Most answers that wait for buffers of the guest; while there are more, nothing of the guest is read.
const MOST_ANSWERS: usize = 256;
/// Most bytes of data in a packet.
const MOST_DATA: usize = 64 * 1024;
/// First port of the host for streams that begin there: those below are for listeners.
const FIRST_PORT: u32 = 1 << 30;

/// Volatile state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    streams: BTreeMap<Ports, Stream>,
    /// Answers without data that wait for buffers.
    answers: VecDeque<[u64; 6]>,
    /// Streams that have something for the guest, in turn.
    turns: VecDeque<Ports>,
    /// The next number of a stream that the guest begins; even.
    next_id: StreamId,
    /// The next port of the host.
    next_port: u32,
    /// The guest has to hear that all streams are gone.
    tell_reset: bool,
}

/// A socket device.
pub struct Vsock {
    // Fixed.
    cid: u64,
    // Glue.
    front: Option<VsockFront>,
    // Volatile.
    s: State,
}

impl Vsock {
    pub(super) fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError> {
        let cid = p.uint("guest-cid");
        let refused = |property, value: String, expected: &str| CreateError::BadValue {
            property,
            value,
            expected: expected.to_owned(),
        };
        if !(3..u64::from(u32::MAX)).contains(&cid) {
            return Err(refused("guest-cid", cid.to_string(), "a number from 3 to 4294967294"));
        }
        if let Some(fd) = p.str("vhostfd") {
            return Err(refused(
                "vhostfd",
                fd.to_owned(),
                "nothing: this device works without the host's kernel; see uds",
            ));
        }
        if matches!(
            p.get("seqpacket"),
            Some(southbridge_core::PropValue::OnOffAuto(Some(true)))
        ) {
            return Err(refused("seqpacket", "on".into(), "off or auto: streams alone are here"));
        }
        let open = |path: &str| {
            let opened = VsockFront::open(build, path, 0);
            opened.map_err(|e| refused("uds", path.to_owned(), &format!("a path to listen at ({e})")))
        };
        Ok(Box::new(Self {
            cid,
            front: p.str("uds").map(open).transpose()?,
            s: State::default(),
        }))
    }

    // ----- to the guest ------------------------------------------------------------------------------------------------------------

    /// An answer that is about no stream of ours, or that ends one.
    fn answer(&mut self, header: Header) {
        let words = header.bytes();
        let mut packed = [0; 6];
        for (word, bytes) in packed.iter_mut().zip(words.chunks(8)) {
            let mut b = [0; 8];
            b[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(b);
        }
        self.s.answers.push_back(packed);
    }

    fn answer_stream(&mut self, ports: Ports, op: u16, flags: u32) {
        let cid = self.cid;
        if let Some(stream) = self.s.streams.get_mut(&ports) {
            let header = stream.header(ports, cid, op);
            self.answer(Header { flags, ..header });
        }
    }

    fn has_data(&mut self, ports: Ports) {
        if !self.s.turns.contains(&ports) {
            self.s.turns.push_back(ports);
        }
    }

    /// Sends what waits and fits: answers first, then of each stream a packet in turn, and what they had to say behind their data.
    fn send(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.send_event(cx);
        while self.send_answers(cx) {
            let Some(ports) = self.s.turns.pop_front() else { return };
            match self.send_data(ports, cx) {
                Some(true) => self.s.turns.push_back(ports),
                Some(false) => {}
                None => return self.s.turns.push_front(ports),
            }
        }
    }

    /// Whether all went out.
    fn send_answers(&mut self, cx: &mut VirtioCx<'_, '_>) -> bool {
        while let Some(words) = self.s.answers.front() {
            let Some(chain) = cx.pop(RX) else { return false };
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).take(HEADER_LEN).collect();
            let written = cx.write(&chain, 0, &bytes).map_or(0, |()| HEADER_LEN as u32);
            cx.push(chain, written);
            self.s.answers.pop_front();
        }
        true
    }

    /// One packet of a stream's data. Whether there is more that may go; `None` if the guest has no buffers.
    fn send_data(&mut self, ports: Ports, cx: &mut VirtioCx<'_, '_>) -> Option<bool> {
        let (cid, front) = (self.cid, &self.front);
        let Some(stream) = self.s.streams.get_mut(&ports) else {
            return Some(false);
        };
        let n = stream.inbox.len().min(stream.credit() as usize).min(MOST_DATA);
        if n > 0 {
            let chain = cx.pop(RX)?;
            let space = usize::try_from(chain.writable_len()).unwrap_or(usize::MAX);
            let n = n.min(space.saturating_sub(HEADER_LEN));
            let data: Vec<u8> = stream.inbox.drain(..n).collect();
            stream.note_sent(n);
            let header = Header {
                len: n as u32,
                ..stream.header(ports, cid, OP_RW)
            };
            let written = cx.write(&chain, 0, &header.bytes());
            let written = written.and_then(|()| cx.write(&chain, HEADER_LEN as u64, &data));
            cx.push(chain, written.map_or(0, |()| (HEADER_LEN + n) as u32));
            if let Some(front) = front {
                let (id, room) = (stream.id, stream.room());
                front.set_room(id, room, cx.ctx());
            }
            if n == 0 {
                // A buffer without room for data brings nothing on.
                return Some(false);
            }
        }
        let more = !stream.inbox.is_empty();
        let may = stream.credit() > 0;
        if !more && stream.host_ended && !std::mem::replace(&mut stream.told_guest, true) {
            let flags = SHUTDOWN_SEND | if stream.host_gone { SHUTDOWN_RCV } else { 0 };
            self.answer_stream(ports, OP_SHUTDOWN, flags);
        }
        Some(more && may)
    }

    fn send_event(&mut self, cx: &mut VirtioCx<'_, '_>) {
        if self.s.tell_reset
            && let Some(chain) = cx.pop(EVENT)
        {
            let event = EVENT_TRANSPORT_RESET.to_le_bytes();
            let written = cx.write(&chain, 0, &event).map_or(0, |()| event.len() as u32);
            cx.push(chain, written);
            self.s.tell_reset = false;
        }
    }

    // ----- from the guest ----------------------------------------------------------------------------------------------------------

    fn receive(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while self.s.answers.len() < MOST_ANSWERS {
            let Some(chain) = cx.pop(TX) else { break };
            let mut header = [0; HEADER_LEN];
            let read = cx.read(&chain, 0, &mut header);
            let header = Header::read(&header);
            let len = header.len as usize;
            let data = match header.op {
                OP_RW if len <= MOST_DATA => cx.read_vec(&chain, HEADER_LEN as u64, len).ok(),
                _ => Some(Vec::new()),
            };
            cx.push(chain, 0);
            match (read, data) {
                (Ok(()), Some(data)) => self.packet(&header, &data, cx),
                _ => cx.ctx().guest_error(format_args!("a packet is shorter than it says")),
            }
        }
        self.send(cx);
    }

    fn packet(&mut self, h: &Header, data: &[u8], cx: &mut VirtioCx<'_, '_>) {
        if h.src_cid != self.cid || h.dst_cid != HOST_CID {
            return cx.ctx().guest_error(format_args!(
                "a packet from {} to {} goes nowhere",
                h.src_cid, h.dst_cid
            ));
        }
        let ports = (h.dst_port, h.src_port);
        let known = self.s.streams.contains_key(&ports);
        if let Some(stream) = self.s.streams.get_mut(&ports) {
            stream.learn(h);
        }
        match h.op {
            _ if h.kind != TYPE_STREAM => self.refuse(ports, h.op),
            OP_REQUEST if !known => self.guest_begins(ports, h, cx),
            OP_RST => self.forget(ports, cx),
            _ if !known => self.refuse(ports, h.op),
            OP_RESPONSE => self.guest_accepts(ports, cx),
            OP_RW => self.guest_sends(ports, data, cx),
            OP_SHUTDOWN => self.guest_shuts(ports, h.flags, cx),
            OP_CREDIT_UPDATE => self.has_data(ports),
            OP_CREDIT_REQUEST => self.answer_stream(ports, OP_CREDIT_UPDATE, 0),
            _ => self.end(ports, cx),
        }
        if known {
            self.has_data(ports);
        }
    }

    fn refuse(&mut self, ports: Ports, op: u16) {
        if op != OP_RST {
            self.answer(bare(ports, self.cid, OP_RST));
        }
    }

    fn guest_begins(&mut self, ports: Ports, h: &Header, cx: &mut VirtioCx<'_, '_>) {
        let id = self.s.next_id;
        let front = self.front.as_ref().filter(|_| self.s.streams.len() < MOST_STREAMS);
        if !front.is_some_and(|f| f.connect(id, ports.0, cx.ctx())) {
            return self.refuse(ports, h.op);
        }
        self.s.next_id = id.wrapping_add(2);
        let mut stream = Stream::new(id, true);
        stream.learn(h);
        self.s.streams.insert(ports, stream);
        self.answer_stream(ports, OP_RESPONSE, 0);
        self.tell_room(ports, cx);
    }

    fn guest_accepts(&mut self, ports: Ports, cx: &mut VirtioCx<'_, '_>) {
        let Some(stream) = self.s.streams.get_mut(&ports).filter(|s| !s.open) else {
            return self.end(ports, cx);
        };
        stream.open = true;
        let id = stream.id;
        if let Some(front) = &self.front {
            // A socket that has just been accepted takes a line.
            front.write(id, format!("OK {}\n", ports.0).as_bytes(), cx.ctx());
        }
        self.tell_room(ports, cx);
    }

    fn guest_sends(&mut self, ports: Ports, data: &[u8], cx: &mut VirtioCx<'_, '_>) {
        let Some(stream) = self.s.streams.get_mut(&ports) else {
            return;
        };
        if !stream.open || stream.guest_ended || !stream.may_receive(data.len()) {
            cx.ctx()
                .guest_error(format_args!("port {} sends beyond its credit", ports.1));
            return self.end(ports, cx);
        }
        stream.receive(data);
        self.drain(ports, cx);
    }

    fn guest_shuts(&mut self, ports: Ports, flags: u32, cx: &mut VirtioCx<'_, '_>) {
        let Some(stream) = self.s.streams.get_mut(&ports) else {
            return;
        };
        stream.guest_ended |= flags & SHUTDOWN_SEND != 0;
        if flags & SHUTDOWN_RCV != 0 {
            stream.deaf = true;
            stream.inbox.clear();
        }
        self.tell_room(ports, cx);
        self.drain(ports, cx);
    }

    /// Gives the host what it takes.
    fn drain(&mut self, ports: Ports, cx: &mut VirtioCx<'_, '_>) {
        let (Some(stream), Some(front)) = (self.s.streams.get_mut(&ports), &self.front) else {
            return;
        };
        if stream.host_gone {
            // Nobody reads it: the guest must not wait for room.
            let all = stream.outbox.len();
            stream.forward(all);
        }
        while !stream.throttled && !stream.outbox.is_empty() {
            let (piece, _) = stream.outbox.as_slices();
            let piece = piece.to_vec();
            let taken = front.write(stream.id, &piece, cx.ctx());
            stream.throttled = taken < piece.len();
            if stream.forward(taken) {
                let header = stream.header(ports, self.cid, OP_CREDIT_UPDATE);
                self.answer(header);
                return self.drain(ports, cx);
            }
        }
        if stream.outbox.is_empty() && stream.guest_ended {
            if !std::mem::replace(&mut stream.told_host, true) {
                front.end(stream.id, cx.ctx());
            }
            // Both sides have said all: the guest waits for this.
            if stream.deaf {
                self.end(ports, cx);
            }
        }
    }

    fn tell_room(&self, ports: Ports, cx: &mut VirtioCx<'_, '_>) {
        if let (Some(stream), Some(front)) = (self.s.streams.get(&ports), &self.front) {
            front.set_room(stream.id, stream.room(), cx.ctx());
        }
    }

    /// A stream ends, and the guest hears of it.
    fn end(&mut self, ports: Ports, cx: &mut VirtioCx<'_, '_>) {
        self.answer_stream(ports, OP_RST, 0);
        self.forget(ports, cx);
    }

    fn forget(&mut self, ports: Ports, cx: &mut VirtioCx<'_, '_>) {
        if let (Some(stream), Some(front)) = (self.s.streams.remove(&ports), &self.front) {
            front.close(stream.id, cx.ctx());
        }
    }

    // ----- from the host -----------------------------------------------------------------------------------------------------------

    fn ports_of(&self, id: StreamId) -> Option<Ports> {
        self.s.streams.iter().find(|(_, s)| s.id == id).map(|(ports, _)| *ports)
    }

    fn host_begins(&mut self, id: StreamId, wanted: u32, cx: &mut VirtioCx<'_, '_>) {
        let too_many = self.s.streams.len() >= MOST_STREAMS || self.s.answers.len() >= MOST_ANSWERS;
        if !cx.ready() || too_many {
            if let Some(front) = &self.front {
                front.close(id, cx.ctx());
            }
            return;
        }
        let next = self.s.next_port.max(FIRST_PORT);
        let ports = (0..=MOST_STREAMS as u32).map(|n| (next.checked_add(n).unwrap_or(FIRST_PORT + n), wanted));
        let Some(ports) = ports.into_iter().find(|p| !self.s.streams.contains_key(p)) else {
            return;
        };
        self.s.next_port = ports.0.checked_add(1).unwrap_or(FIRST_PORT);
        self.s.streams.insert(ports, Stream::new(id, false));
        self.answer_stream(ports, OP_REQUEST, 0);
    }

    fn host_ends(&mut self, id: StreamId, gone: bool, cx: &mut VirtioCx<'_, '_>) {
        let Some(ports) = self.ports_of(id) else { return };
        let Some(stream) = self.s.streams.get_mut(&ports) else {
            return;
        };
        if !stream.open && gone {
            // Who asked has gone before there was an answer.
            return self.end(ports, cx);
        }
        stream.host_ended = true;
        if gone && !std::mem::replace(&mut stream.host_gone, true) {
            // Whatever the guest has heard of one half, it has to hear of the other.
            stream.told_guest = false;
            self.drain(ports, cx);
        }
        self.has_data(ports);
    }
}

impl VirtioModel for Vsock {
    fn device_id(&self) -> u16 {
        id::VSOCK
    }

    fn features(&self) -> u64 {
        0
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; 3]
    }

    fn config(&self) -> Vec<u8> {
        self.cid.to_le_bytes().to_vec()
    }

    fn driver_ok(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.send(cx);
    }

    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>) {
        if let Some(front) = &self.front {
            front.close_all(cx.ctx());
        }
        let State {
            streams: _,
            answers: _,
            turns: _,
            next_id,
            next_port,
            tell_reset: _,
        } = self.s;
        // Numbers are not used again at once: what is on its way belongs to the past.
        self.s = State {
            next_id,
            next_port,
            ..State::default()
        };
    }

    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        match queue {
            EVENT => self.send_event(cx),
            // Room for answers lets packets in that had to wait for it.
            RX => {
                self.send(cx);
                self.receive(cx);
            }
            _ => self.receive(cx),
        }
    }

    fn on_completion(&mut self, done: Completion, cx: &mut VirtioCx<'_, '_>) {
        match VsockEvent::from_completion(done) {
            Some(VsockEvent::Wanted(id, port)) => self.host_begins(id, port, cx),
            Some(VsockEvent::Data(id, data)) => {
                if let Some(ports) = self.ports_of(id)
                    && let Some(stream) = self.s.streams.get_mut(&ports)
                {
                    let room = ROOM.saturating_sub(stream.inbox.len());
                    stream.inbox.extend(data.into_iter().take(room));
                    self.has_data(ports);
                }
            }
            Some(VsockEvent::End(id)) => self.host_ends(id, false, cx),
            Some(VsockEvent::Gone(id)) => self.host_ends(id, true, cx),
            Some(VsockEvent::Writable(id)) => {
                if let Some(ports) = self.ports_of(id) {
                    if let Some(stream) = self.s.streams.get_mut(&ports) {
                        stream.throttled = false;
                    }
                    self.drain(ports, cx);
                }
            }
            None => {}
        }
        self.send(cx);
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.s)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let s: State = state.read(VERSION)?;
        let many = s.streams.len() > MOST_STREAMS || s.answers.len() > MOST_ANSWERS + MOST_STREAMS * 4;
        if many || s.turns.len() > MOST_STREAMS || !s.streams.values().all(Stream::is_sound) {
            return Err(LoadError::Impossible("the streams of a socket device"));
        }
        self.s = s;
        Ok(())
    }

    /// The streams' other ends are where the machine was; unless it only looks back.
    fn after_load(&mut self, cx: &mut VirtioCx<'_, '_>) {
        if cx.ctx().is_replaying() {
            return;
        }
        if let Some(front) = &self.front {
            front.close_all(cx.ctx());
        }
        self.s.tell_reset |= !self.s.streams.is_empty();
        self.s.streams.clear();
        self.s.answers.clear();
        self.s.turns.clear();
        self.send_event(cx);
    }
}
