//! `tap` and `bridge`: an interface of the host's kernel, with one descriptor for each queue.

mod open;
mod sys;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, IoSlice, IoSliceMut, readv, writev};
use southbridge_core::host::{HostEvent, Watch};

pub(crate) use self::open::{make, make_bridge};
use crate::link::{Link, LinkCx, LinkEvent};
use crate::packet::{MAX_FRAME, Offloads, Packet, VnetHeader};

const BURST: usize = 64;

struct Queue {
    fd: OwnedFd,
    watch: Watch,
    starved: bool,
    /// The kernel gives it frames, and takes its own.
    attached: bool,
}

/// The interface.
struct Tap {
    queues: Vec<Queue>,
    /// What is left to do stands before each frame.
    vnet: bool,
    about: String,
    /// What to tell the person who has asked for it.
    note: Option<&'static str>,
    /// What to run at the end, with the interface's name.
    down: Option<(String, String)>,
    buffer: Vec<u8>,
}

impl Tap {
    fn receive(&mut self, number: usize, cx: &mut LinkCx<'_, '_>) {
        let Some(q) = self.queues.get_mut(number).filter(|q| q.attached) else {
            return;
        };
        for _ in 0..BURST {
            if cx.room(number) == 0 {
                return q.watch.want_read(false, &q.fd, cx.host);
            }
            let mut header = [0; VnetHeader::LEN];
            let got = match self.vnet {
                true => readv(
                    &q.fd,
                    &mut [IoSliceMut::new(&mut header), IoSliceMut::new(&mut self.buffer)],
                ),
                false => readv(&q.fd, &mut [IoSliceMut::new(&mut self.buffer)]),
            };
            let Ok(n) = got else { break };
            let len = n.saturating_sub(if self.vnet { VnetHeader::LEN } else { 0 });
            if len > 0 {
                cx.frame(
                    number,
                    native(VnetHeader::from_bytes(&header)),
                    self.buffer[..len].to_vec(),
                );
            }
        }
        q.watch.want_read(true, &q.fd, cx.host);
    }
}

/// The kernel has the words of the header as the host has them.
const fn native(h: VnetHeader) -> VnetHeader {
    VnetHeader {
        hdr_len: u16::from_le(h.hdr_len),
        gso_size: u16::from_le(h.gso_size),
        csum_start: u16::from_le(h.csum_start),
        csum_offset: u16::from_le(h.csum_offset),
        ..h
    }
}

impl Link for Tap {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        if let Some(note) = self.note.take() {
            cx.tell(LinkEvent::Warning(note.into()));
        }
        for number in 1..self.queues.len() {
            self.use_queue(number, false, cx);
        }
        match self.queues.first_mut() {
            Some(q) => q.watch.set(&q.fd, true, false, cx.host),
            None => Ok(()),
        }
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        for number in 0..self.queues.len() {
            let Some(q) = self.queues.get_mut(number) else { return };
            let Some(ready) = q.watch.ready(event) else { continue };
            if ready.write {
                q.watch.want_write(false, &q.fd, cx.host);
                if std::mem::take(&mut q.starved) {
                    cx.tell(LinkEvent::Writable);
                }
            }
            if ready.read {
                self.receive(number, cx);
            }
        }
    }

    fn send(&mut self, queue: usize, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool {
        let vnet = self.vnet;
        let Some(q) = self.queues.get_mut(queue) else {
            return true;
        };
        let header = native(packet.vnet).to_bytes();
        let sent = match vnet {
            true => writev(&q.fd, &[IoSlice::new(&header), IoSlice::new(packet.frame)]),
            false => writev(&q.fd, &[IoSlice::new(packet.frame)]),
        };
        match sent {
            Err(Errno::AGAIN) => {
                q.starved = true;
                q.watch.want_write(true, &q.fd, cx.host);
                false
            }
            // An interface that is down, or does not like the frame, loses it.
            Ok(_) | Err(_) => true,
        }
    }

    fn room_grew(&mut self, queue: usize, cx: &mut LinkCx<'_, '_>) {
        self.receive(queue, cx);
    }

    fn use_queue(&mut self, queue: usize, on: bool, cx: &mut LinkCx<'_, '_>) {
        let Some(q) = self.queues.get_mut(queue).filter(|q| q.attached != on) else {
            return;
        };
        match sys::attach(&q.fd, on) {
            Ok(()) => q.attached = on,
            Err(e) if on => {
                return cx.tell(LinkEvent::Warning(format!(
                    "the kernel does not take queue {queue} back: {e}"
                )));
            }
            // An interface whose queues stay as they are (macvtap; a kernel of long ago) is worked on as it is.
            Err(_) => return,
        }
        if on {
            self.receive(queue, cx);
        } else {
            // A descriptor without an interface is ready at all times.
            q.watch.stop(&q.fd, cx.host);
            if std::mem::take(&mut q.starved) {
                cx.tell(LinkEvent::Writable);
            }
        }
    }

    fn takes(&self) -> Offloads {
        match self.vnet {
            true => Offloads::CSUM | Offloads::TSO4 | Offloads::TSO6 | Offloads::ECN,
            false => Offloads::empty(),
        }
    }

    fn set_offloads(&mut self, offloads: Offloads) {
        if !self.vnet {
            return;
        }
        // The bits are the kernel's (`TUN_F_CSUM` and so on). Older kernels know fewer.
        let most = Offloads::CSUM | Offloads::TSO4 | Offloads::TSO6 | Offloads::ECN;
        let wanted = if offloads.contains(Offloads::CSUM) {
            offloads
        } else {
            Offloads::empty()
        };
        for q in &self.queues {
            if sys::set_offload(&q.fd, wanted.bits().into()).is_err() {
                let _ = sys::set_offload(&q.fd, (wanted & most).bits().into());
            }
        }
    }

    fn queues(&self) -> usize {
        self.queues.len()
    }

    fn describe(&self) -> String {
        self.about.clone()
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        for q in &mut self.queues {
            q.watch.stop(&q.fd, cx.host);
        }
        if let Some((script, name)) = self.down.take() {
            // The machine ends; what the script has to say, it says itself.
            let _ = std::process::Command::new(script).arg(name).status();
        }
    }
}

impl Tap {
    fn new(fds: Vec<OwnedFd>, vnet: bool, about: String, down: Option<(String, String)>) -> Self {
        if vnet {
            for fd in &fds {
                // An interface that outlives its users keeps what the last one has set (QEMU: 12). Kernels without the call know no other.
                let _ = sys::set_header_len(fd, VnetHeader::LEN as i32);
            }
        }
        let queue = |(number, fd): (usize, OwnedFd)| Queue {
            fd,
            watch: Watch::new(number as u64 + 1),
            starved: false,
            attached: true,
        };
        Self {
            queues: fds.into_iter().enumerate().map(queue).collect(),
            vnet,
            about,
            note: None,
            down,
            buffer: vec![0; MAX_FRAME],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use southbridge_testing::private::is_private;

    #[test]
    fn an_interface_that_others_have_used_has_our_header() {
        const NAME: &str = "kind::tap::tests::an_interface_that_others_have_used_has_our_header";
        if !is_private(NAME, &["/dev/net/tun"], &[]) {
            return;
        }
        let flags = sys::IFF_TAP | sys::IFF_NO_PI | sys::IFF_VNET_HDR | sys::IFF_MULTI_QUEUE;
        let mut name = [0; 16];
        let mut open = || {
            let fd = rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
            name = sys::set_interface(&fd, name, flags).unwrap();
            fd
        };
        let (theirs, ours) = (open(), open());
        sys::set_header_len(&theirs, 12).unwrap();
        let tap = Tap::new(vec![ours], true, String::new(), None);
        assert_eq!(sys::header_len(&tap.queues[0].fd), Ok(10));
    }
}
