//! The other side of `vhost-user`: a thread that speaks the protocol and works on the rings, as a switch in another process would.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use southbridge_core::memory::{RamBlock, RamWindow};
use southbridge_protocol_vhost_user::{
    Body, F_PROTOCOL_FEATURES, Message, RING_MASK, Reader, Request, protocol_feature,
};
use std::collections::VecDeque;
use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub const VERSION_1: u64 = 1 << 32;
/// Checksums and segments both ways, frames over several buffers.
pub const ALL: u64 = VERSION_1 | F_PROTOCOL_FEATURES | 1 | 1 << 1 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 12 | 1 << 15;

/// How it is, and how it breaks the rules.
#[derive(Clone)]
pub struct Manner {
    pub features: u64,
    pub protocol: u64,
    pub queues: u64,
    /// What it says to the table of memory, if asked.
    pub memory: u64,
    /// It does not take frames.
    pub lazy: bool,
    /// Used element (head, length) and how far the index goes, in place of the next frame.
    pub wrong: Option<(u32, u32, u16)>,
    /// Sent in place of the first answer.
    pub nonsense: Vec<u8>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            features: ALL,
            protocol: protocol_feature::MQ | protocol_feature::REPLY_ACK | 1 << 5,
            queues: 8,
            memory: 0,
            lazy: false,
            wrong: None,
            nonsense: Vec::new(),
        }
    }
}

type Frames = VecDeque<(usize, Vec<u8>)>;

#[derive(Default)]
struct Shared {
    /// Header of 12 bytes and frame, by queue.
    to_guest: Frames,
    from_guest: Frames,
    features: u64,
    enabled: usize,
    lazy: bool,
    stop: bool,
}

/// The thread. Its connection ends with it.
pub struct Peer {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    pub fn new(stream: UnixStream, manner: Manner) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            lazy: manner.lazy,
            ..Shared::default()
        }));
        let mut worker = Worker {
            stream,
            manner,
            shared: shared.clone(),
            reader: Reader::default(),
            memory: None,
            rings: (0..16).map(|_| Ring::default()).collect(),
        };
        let thread = std::thread::spawn(move || worker.run());
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Sends a frame behind that header.
    pub fn give(&self, queue: usize, vnet: [u8; 10], frame: &[u8]) {
        let bytes = [&vnet[..], &[0, 0], frame].concat();
        self.shared.lock().expect("peer").to_guest.push_back((queue, bytes));
    }

    /// What has come: queue, header, frame.
    pub fn take(&self) -> Vec<(usize, [u8; 10], Vec<u8>)> {
        let all = std::mem::take(&mut self.shared.lock().expect("peer").from_guest);
        let split = |(q, b): (usize, Vec<u8>)| (q, *b.first_chunk().expect("a header"), b[12..].to_vec());
        all.into_iter().map(split).collect()
    }

    pub fn set_lazy(&self, lazy: bool) {
        self.shared.lock().expect("peer").lazy = lazy;
    }

    /// Features that were chosen, and how many rings may be used.
    pub fn agreed(&self) -> (u64, usize) {
        let s = self.shared.lock().expect("peer");
        (s.features, s.enabled)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.lock().expect("peer").stop = true;
        if let Some(t) = self.thread.take() {
            let end = t.join();
            if !std::thread::panicking() {
                end.expect("the peer");
            }
        }
    }
}

#[derive(Default)]
struct Ring {
    size: u16,
    descriptors: u64,
    used: u64,
    available: u64,
    seen: u16,
    done: u16,
    enabled: bool,
    kick: Option<OwnedFd>,
    call: Option<OwnedFd>,
}

struct Worker {
    stream: UnixStream,
    manner: Manner,
    shared: Arc<Mutex<Shared>>,
    reader: Reader,
    memory: Option<(RamBlock, RamWindow)>,
    rings: Vec<Ring>,
}

impl Worker {
    fn run(&mut self) {
        loop {
            if self.shared.lock().expect("peer").stop {
                return;
            }
            self.wait();
            if !self.listen() {
                return;
            }
            for queue in 0..self.rings.len() / 2 {
                self.collect(queue);
            }
            self.deliver();
        }
    }

    fn wait(&self) {
        let mut all = vec![PollFd::new(&self.stream, PollFlags::IN)];
        for kick in self.rings.iter().filter_map(|r| r.kick.as_ref()) {
            all.push(PollFd::new(kick, PollFlags::IN));
        }
        let little = Timespec {
            tv_sec: 0,
            tv_nsec: 2_000_000,
        };
        let _ = poll(&mut all, Some(&little));
        for kick in self.rings.iter().filter_map(|r| r.kick.as_ref()) {
            let _ = rustix::io::read(kick, &mut [0; 8]);
        }
    }

    /// Whether the front end is still there.
    fn listen(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let got = recvmsg(&self.stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
        let n = match got {
            Ok(m) if m.bytes > 0 => m.bytes,
            Err(rustix::io::Errno::AGAIN) => return true,
            _ => return false,
        };
        let mut fds = Vec::new();
        for m in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = m {
                fds.extend(rights);
            }
        }
        self.reader.feed(&bytes[..n]);
        let mut fds = fds.into_iter();
        while let Some(m) = self.reader.next().expect("messages") {
            self.on_message(&m, &mut fds);
        }
        assert!(fds.next().is_none(), "descriptors that belong to nothing");
        true
    }

    fn answer(&mut self, m: &Message, number: u64) {
        let mut bytes = Message::answer(m.request, &Body::Number(number)).to_bytes();
        if !self.manner.nonsense.is_empty() {
            bytes = std::mem::take(&mut self.manner.nonsense);
        }
        let _ = self.stream.write_all(&bytes);
    }

    fn on_message(&mut self, m: &Message, fds: &mut impl Iterator<Item = OwnedFd>) {
        let request = Request::from_number(m.request).expect("a request");
        let number = m.number().unwrap_or(0);
        let ring = (number & RING_MASK) as usize;
        let index = number as u32 as usize;
        match request {
            Request::GetFeatures => self.answer(m, self.manner.features),
            Request::GetProtocolFeatures => self.answer(m, self.manner.protocol),
            Request::GetQueueNum => self.answer(m, self.manner.queues),
            Request::SetFeatures => {
                assert_eq!(number & !self.manner.features, 0, "features that were not offered");
                self.shared.lock().expect("peer").features = number;
            }
            Request::SetProtocolFeatures => assert_eq!(number & !self.manner.protocol, 0),
            Request::SetMemTable => {
                let regions = m.regions().expect("regions");
                let [r] = regions[..] else { panic!("one region") };
                let block = RamBlock::from_fd(fds.next().expect("its descriptor"), r.size).expect("mapped");
                let window = RamWindow::new(0, r.size, false, &block, 0).expect("all of it");
                self.memory = Some((block, window));
                if m.need_reply {
                    self.answer(m, self.manner.memory);
                }
            }
            Request::SetVringNum => self.rings[index].size = m.vring().expect("a size").1 as u16,
            Request::SetVringBase => assert_eq!(m.vring().expect("a base").1, 0),
            Request::SetVringAddr => {
                let (i, descriptors, used, available) = m.vring_addr().expect("addresses");
                let r = &mut self.rings[i as usize];
                (r.descriptors, r.used, r.available) = (descriptors, used, available);
                r.enabled = self.manner.features & F_PROTOCOL_FEATURES == 0;
            }
            Request::SetVringKick => self.rings[ring].kick = fds.next(),
            Request::SetVringCall => self.rings[ring].call = fds.next(),
            Request::SetVringEnable => {
                self.rings[index].enabled = m.vring().expect("a switch").1 == 1;
                let enabled = self.rings.iter().filter(|r| r.enabled).count();
                self.shared.lock().expect("peer").enabled = enabled;
            }
            Request::SetOwner | Request::GetVringBase => {}
        }
    }

    fn collect(&mut self, queue: usize) {
        let Some((block, memory)) = &self.memory else { return };
        let ring = &mut self.rings[queue * 2 + 1];
        if !ring.enabled || self.shared.lock().expect("peer").lazy {
            return;
        }
        while let Some(head) = ring.next(memory) {
            let (mut bytes, mut d) = (Vec::new(), Some(head));
            while let Some(n) = d {
                let (at, len, flags, next) = ring.descriptor(memory, n);
                assert_eq!(flags & 2, 0, "written by us");
                bytes.extend(block.copy(at, len as usize).expect("memory"));
                d = (flags & 1 != 0).then_some(next);
            }
            ring.use_up(memory, head.into(), 0);
            self.shared.lock().expect("peer").from_guest.push_back((queue, bytes));
        }
        ring.publish(memory, 0);
    }

    fn deliver(&mut self) {
        let Some((block, memory)) = &self.memory else { return };
        loop {
            let Some((queue, mut bytes)) = self.shared.lock().expect("peer").to_guest.pop_front() else {
                return;
            };
            let ring = &mut self.rings[queue * 2];
            if !ring.enabled {
                return self.shared.lock().expect("peer").to_guest.push_front((queue, bytes));
            }
            if let Some((head, len, by)) = self.manner.wrong {
                ring.use_up(memory, head, len);
                ring.publish(memory, by);
                continue;
            }
            let (first, mut heads, mut room) = (ring.seen, Vec::new(), 0);
            while room < bytes.len() {
                let Some(head) = ring.next(memory) else { break };
                let (at, len, flags, _) = ring.descriptor(memory, head);
                assert_eq!(flags, 2, "one buffer, to be written");
                heads.push((head, at, len as usize));
                room += len as usize;
            }
            if room < bytes.len() {
                ring.seen = first;
                return self.shared.lock().expect("peer").to_guest.push_front((queue, bytes));
            }
            bytes[10..12].copy_from_slice(&(heads.len() as u16).to_le_bytes());
            let mut rest = &bytes[..];
            for (head, at, len) in heads {
                let (here, behind) = rest.split_at(rest.len().min(len));
                assert!(block.write(at, here));
                ring.use_up(memory, head.into(), here.len() as u32);
                rest = behind;
            }
            ring.publish(memory, 0);
        }
    }
}

impl Ring {
    fn next(&mut self, memory: &RamWindow) -> Option<u16> {
        let index = memory.read_u16(self.available + 2).expect("a ring");
        fence(Ordering::SeqCst);
        (index != self.seen).then(|| {
            let slot = u64::from(self.seen % self.size);
            self.seen = self.seen.wrapping_add(1);
            memory.read_u16(self.available + 4 + slot * 2).expect("a ring")
        })
    }

    fn descriptor(&self, memory: &RamWindow, n: u16) -> (u64, u32, u16, u16) {
        assert!(n < self.size);
        let at = self.descriptors + u64::from(n) * 16;
        (
            memory.read_u64(at).expect("a table"),
            memory.read_u32(at + 8).expect("a table"),
            memory.read_u16(at + 12).expect("a table"),
            memory.read_u16(at + 14).expect("a table"),
        )
    }

    fn use_up(&mut self, memory: &RamWindow, head: u32, len: u32) {
        let at = self.used + 4 + u64::from(self.done % self.size) * 8;
        memory.write_u32(at, head);
        memory.write_u32(at + 4, len);
        self.done = self.done.wrapping_add(1);
    }

    fn publish(&mut self, memory: &RamWindow, more: u16) {
        fence(Ordering::SeqCst);
        let before = memory.read_u16(self.used + 2);
        self.done = self.done.wrapping_add(more);
        memory.write_u16(self.used + 2, self.done);
        fence(Ordering::SeqCst);
        let quiet = memory.read_u16(self.available).expect("a ring") & 1 != 0;
        if before != Some(self.done)
            && !quiet
            && let Some(call) = &self.call
        {
            rustix::io::write(call.as_fd(), &1u64.to_ne_bytes()).expect("called");
        }
    }
}
