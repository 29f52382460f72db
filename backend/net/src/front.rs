//! The front end's side: what a NIC keeps for each of its queues, and what comes back to it.

use southbridge_core::host::{BackendId, Completion};
use southbridge_core::inject::Passage;
use southbridge_core::{Build, CreateError, Ctx, PropKind, PropValue, Properties, Property};
use std::path::Path;
use std::sync::Arc;

use crate::filter;
use crate::netdev::{FrontId, Netdev, Sink};
use crate::packet::{Frames, Offloads, Packet, VnetHeader, parse_mac};
use crate::rxfilter::RxFilter;

/// Property of every NIC: the file of a capture of all that passes.
const PCAP: &str = "pcap";

/// `PCAP`, for the table of a NIC's type.
pub const PCAP_PROPERTY: Property = Property {
    name: PCAP,
    kind: PropKind::Str,
    default: None,
    help: "Capture all frames in this file (as -object filter-dump does)",
};

/// What a NIC keeps for each of its queues. [`NetFront::none`] swallows frames and never has any.
///
/// Dropping it (the device is unplugged) makes the back end free for another.
#[derive(Debug)]
pub struct NetFront(Option<Attached>);

#[derive(Debug)]
struct Attached {
    backend: BackendId,
    front: FrontId,
    port: u32,
    queue: usize,
    /// Its loss tells the back end that this front end is gone.
    _alive: Arc<()>,
}

impl NetFront {
    /// Not connected.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Attaches to the first queue of the back end that the `Backend("netdev")` property `property` names, or gives
    /// [`NetFront::none`] if the property is not set. `port` comes back in [`Completion::port`]. The address of the property `mac`, if
    /// the device has one, is what `info network` shows.
    ///
    /// The link of a back end that is attached is up until a [`NetEvent::Link`] says otherwise.
    ///
    /// # Errors
    /// The back end is gone, is none for networks, or is used by another NIC.
    pub fn attach(
        props: &Properties,
        property: &'static str,
        port: u32,
        build: &mut Build<'_>,
    ) -> Result<Self, CreateError> {
        Self::attach_queue(props, property, 0, port, build)
    }

    /// The same with the queue of that number, counted from 0: NICs with several queues attach to each in turn. Queues that the back end
    /// does not have give [`NetFront::none`]; see [`NetFront::queues`].
    ///
    /// # Errors
    /// As [`NetFront::attach`].
    pub fn attach_queue(
        props: &Properties,
        property: &'static str,
        queue: usize,
        port: u32,
        build: &mut Build<'_>,
    ) -> Result<Self, CreateError> {
        let Some(PropValue::Backend(name, id)) = props.get(property) else {
            return Ok(Self::none());
        };
        let (name, id) = (name.clone(), *id);
        let refused = |expected: &str| CreateError::BadValue {
            property,
            value: name.clone(),
            expected: expected.into(),
        };
        let device = build.me();
        let (netdev, mut host) = build
            .backend::<Netdev>(id)
            .ok_or_else(|| refused("a network back end, and this is none (or no longer one)"))?;
        if queue >= netdev.queues() {
            return Ok(Self::none());
        }
        let alive = Arc::new(());
        let own_name = netdev.id().to_owned();
        let front = netdev
            .attach(queue, Sink::Device(device, port), &alive, &mut host)
            .map_err(|e| refused(&format!("a netdev that nobody uses yet: this one {e}")))?;
        if let Some(file) = props.str(PCAP).filter(|_| queue == 0) {
            filter::capture(netdev, Path::new(file), &mut host).map_err(|e| CreateError::BadValue {
                property: PCAP,
                value: file.to_owned(),
                expected: format!("a file for a capture; {e}"),
            })?;
        }
        if queue == 0
            && let Some(mac) = props.str("mac").and_then(parse_mac)
        {
            netdev.nic.mac = Some(mac);
        }
        build.name_port(port, &own_name, TOKEN_LINK);
        Ok(Self(Some(Attached {
            backend: id,
            front,
            port,
            queue,
            _alive: alive,
        })))
    }

    /// How many queues the back end has that the property names; 1 without one.
    pub fn queues(props: &Properties, property: &str, build: &mut Build<'_>) -> usize {
        let Some(PropValue::Backend(_, id)) = props.get(property) else {
            return 1;
        };
        build.backend::<Netdev>(*id).map_or(1, |(n, _)| n.queues())
    }

    /// Sends a frame to the host. Never blocks. `false`: the bounded queue of the back end is full; keep the frame, and
    /// [`NetEvent::Writable`] follows.
    ///
    /// What the header leaves to be done is done on the way, if the back end cannot pass it on.
    pub fn send(&self, packet: Packet<'_>, cx: &mut Ctx<'_>) -> bool {
        match &self.0 {
            None => true,
            Some(a) if cx.is_output_watched() => a.watched_send(packet, cx),
            Some(a) => submit(a.backend, a.front, packet, cx),
        }
    }

    /// Says how many more frames the device can take now. The back end posts at most that many in [`NetEvent::Frames`], and what it posts
    /// uses the credit up. Call it after any change of the room for received frames; 0 stops the flow.
    pub fn set_room(&self, frames: usize, cx: &mut Ctx<'_>) {
        self.tell(cx, |n, front, host| n.set_room(front, frames, host));
    }

    /// The driver works on this queue, or no longer does. It works on the first one from the beginning, and on no other.
    pub fn use_queue(&self, on: bool, cx: &mut Ctx<'_>) {
        self.tell(cx, |n, front, host| n.use_queue(front, on, host));
    }

    /// What the device takes besides whole frames. Until this is called it is nothing.
    pub fn set_offloads(&self, offloads: Offloads, cx: &mut Ctx<'_>) {
        self.tell(cx, |n, front, host| n.set_offloads(front, offloads, host));
    }

    /// The address that the guest has given the device, for people.
    pub fn set_mac(&self, mac: [u8; 6], cx: &mut Ctx<'_>) {
        self.tell(cx, |n, _, _| n.nic.mac = Some(mac));
    }

    /// Which frames the device takes, for `query-rx-filter`. `changed_by_guest` has the monitor told with `NIC_RX_FILTER_CHANGED`, once
    /// until somebody asks.
    pub fn set_rx_filter(&self, filter: RxFilter, changed_by_guest: bool, cx: &mut Ctx<'_>) {
        self.tell(cx, |n, _, _| n.set_rx_filter(filter, changed_by_guest));
    }

    /// Has the back end say [`NetEvent::Writable`] as soon as it takes frames, as if it had refused one: for a device that was loaded with a
    /// frame that waits.
    pub fn ask_writable(&self, cx: &mut Ctx<'_>) {
        self.tell(cx, |n, front, host| n.ask_writable(front, host));
    }

    /// Whether a back end is attached at all.
    pub const fn is_connected(&self) -> bool {
        self.0.is_some()
    }

    /// Which queue of the back end it is.
    pub fn queue(&self) -> usize {
        self.0.as_ref().map_or(0, |a| a.queue)
    }

    /// Changes the back end while the machine runs; does nothing in a run through the past, whose back ends are not there.
    fn tell(&self, cx: &mut Ctx<'_>, f: impl FnOnce(&mut Netdev, FrontId, &mut southbridge_core::host::HostCx<'_>)) {
        if let Some(a) = &self.0
            && let Some((netdev, mut host)) = cx.backend::<Netdev>(a.backend)
        {
            f(netdev, a.front, &mut host);
        }
    }
}

impl Attached {
    /// A frame that rules of fault injection look at. One that the back end has no room for is none yet: the device will try again.
    fn watched_send(&self, packet: Packet<'_>, cx: &mut Ctx<'_>) -> bool {
        let (backend, front, port) = (self.backend, self.front, self.port);
        let room = cx.ask_host(1, |cx| match cx.backend::<Netdev>(backend) {
            Some((netdev, _)) => netdev.has_room_out(front).into(),
            None => 1,
        });
        if room == 0 {
            return submit(backend, front, packet, cx);
        }
        let (vnet, mut frame) = (packet.vnet, packet.frame.to_vec());
        match cx.leaves(port, &mut frame) {
            Passage::Now => return submit(backend, front, Packet { vnet, frame: &frame }, cx),
            Passage::Lost => {}
            Passage::At(at) => cx.later(at, port, move |cx| submit_late(backend, front, port, vnet, frame, cx)),
        }
        true
    }
}

/// Hands a frame to a back end; whether it was taken.
fn submit(backend: BackendId, front: FrontId, packet: Packet<'_>, cx: &mut Ctx<'_>) -> bool {
    // Whether it was taken is news from the host, which a run through the past must get as it was.
    let taken = cx.ask_host(1, |cx| match cx.backend::<Netdev>(backend) {
        Some((netdev, mut host)) => netdev.front_send(front, packet, &mut host).into(),
        None => 1,
    });
    taken != 0
}

/// The same for a frame that was held back. What the back end has no room for tries again.
fn submit_late(backend: BackendId, front: FrontId, port: u32, vnet: VnetHeader, frame: Vec<u8>, cx: &mut Ctx<'_>) {
    if !submit(backend, front, Packet { vnet, frame: &frame }, cx) {
        let at = cx.now().after_ns(RETRY_NS);
        cx.try_again(at, port, move |cx| submit_late(backend, front, port, vnet, frame, cx));
    }
}

/// Virtual time after which a late frame tries a full back end again.
const RETRY_NS: u64 = 1_000_000;

/// What a completion of a network back end means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetEvent {
    /// Frames from the other side, never more than the credit.
    Frames(Frames),
    /// A frame that was not taken may be sent now.
    Writable,
    /// The cable is plugged (`true`) or pulled.
    Link(bool),
    /// The machine has come to another place: a device that can have its driver announce it does.
    Announce,
}

const TOKEN_FRAMES: u64 = 0;
const TOKEN_WRITABLE: u64 = 1;
const TOKEN_LINK: u64 = 2;
const TOKEN_ANNOUNCE: u64 = 3;

impl NetEvent {
    /// Reads a completion. `None` if it is not of a network back end.
    pub fn from_completion(done: Completion) -> Option<Self> {
        Some(match done.token {
            TOKEN_FRAMES => Self::Frames(Frames::from_bytes(done.data)),
            TOKEN_WRITABLE => Self::Writable,
            TOKEN_LINK => Self::Link(done.result != 0),
            TOKEN_ANNOUNCE => Self::Announce,
            _ => return None,
        })
    }

    /// The completion that says this; for replay and tests of devices.
    pub fn into_completion(self, port: u32) -> Completion {
        let (token, result, data) = match self {
            Self::Frames(f) => (TOKEN_FRAMES, f.iter().count() as i64, f.into_bytes()),
            Self::Writable => (TOKEN_WRITABLE, 0, Vec::new()),
            Self::Link(up) => (TOKEN_LINK, up.into(), Vec::new()),
            Self::Announce => (TOKEN_ANNOUNCE, 0, Vec::new()),
        };
        Completion {
            port,
            token,
            result,
            data,
            fds: Vec::new(),
        }
    }

    /// How many frames a completion carries.
    pub(crate) fn frames_in(done: &Completion) -> usize {
        match done.token {
            TOKEN_FRAMES => usize::try_from(done.result).unwrap_or(0),
            _ => 0,
        }
    }
}
