//! One network back end: what all kinds have in common, over the [`Link`] of one kind.

mod announce;
mod filters;
mod fronts;
mod mailbox;
mod traffic;

use southbridge_core::DeviceId;
use southbridge_core::host::{Backend, HostCx, HostEvent};
use std::any::Any;
use std::collections::VecDeque;

pub use self::announce::Announce;
pub use self::fronts::AttachError;
use self::fronts::Front;
pub(crate) use self::fronts::{FrontId, Sink};
pub(crate) use self::mailbox::HandleEvent;
pub use self::mailbox::NetHandle;
use crate::filter::Filter;
use crate::link::{Link, LinkCx, LinkEvent};
use crate::message::{Message, Messages};
use crate::packet::Owned;
use crate::rxfilter::RxFilter;

/// A network back end of a machine: attach to it with [`crate::NetFront`] or [`NetHandle`].
pub struct Netdev {
    // Fixed.
    id: String,
    kind: &'static str,
    messages: Messages,
    // The host.
    link: Box<dyn Link>,
    inbox: VecDeque<LinkEvent>,
    filters: Vec<filters::Slot>,
    filter_serial: u64,
    // Front ends, by queue.
    fronts: Vec<Option<Front>>,
    serial: u64,
    pub(crate) nic: Nic,
    /// The cable is pulled (`set_link`).
    link_down: bool,
    announcing: announce::State,
    /// Frames that wait for the host, by queue.
    out: Vec<VecDeque<Owned>>,
    counts: Counts,
}

/// What is known of the NIC in front.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nic {
    pub(crate) mac: Option<[u8; 6]>,
    rx_filter: Option<RxFilter>,
    /// The monitor has been told that the filter changed, and has not asked since.
    told: bool,
}

/// What has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames from the NIC that were taken.
    pub sent: u64,
    /// Frames handed to the NIC.
    pub received: u64,
    /// Frames for the NIC that were lost: nobody was there, the cable was pulled, or it had no room for too long.
    pub dropped: u64,
}

impl Netdev {
    pub(crate) fn new(id: &str, kind: &'static str, link: Box<dyn Link>, messages: Messages) -> Self {
        let queues = link.queues().max(1);
        Self {
            id: id.to_owned(),
            kind,
            messages,
            link,
            inbox: VecDeque::new(),
            filters: Vec::new(),
            filter_serial: 0,
            fronts: (0..queues).map(|_| None).collect(),
            serial: 0,
            nic: Nic::default(),
            link_down: false,
            announcing: announce::State::default(),
            out: (0..queues).map(|_| VecDeque::new()).collect(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn start(&mut self, host: &mut HostCx<'_>) -> std::io::Result<()> {
        let r = self.with_link(host, |link, cx| link.start(cx));
        self.settle(host);
        r
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its kind, as in the table of kinds.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// How many queues it has.
    pub fn queues(&self) -> usize {
        self.fronts.len()
    }

    /// What it is connected to, as `info network` shows it.
    pub fn describe(&self) -> String {
        self.link.describe()
    }

    /// What has passed.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The NIC in front, if it is a device that is there.
    pub fn nic(&self) -> Option<DeviceId> {
        match &self.fronts.first()?.as_ref().filter(|f| f.is_there())?.sink {
            Sink::Device(device, _) => Some(*device),
            Sink::Handle(_) => None,
        }
    }

    /// The address of the NIC in front.
    pub fn nic_mac(&self) -> Option<[u8; 6]> {
        self.nic().and(self.nic.mac)
    }

    /// Whether a front end of any sort is attached.
    pub fn is_used(&self) -> bool {
        self.fronts.iter().flatten().any(Front::is_there)
    }

    /// Whether the cable is in.
    pub fn link_up(&self) -> bool {
        !self.link_down
    }

    /// Plugs the cable in or out. The NIC hears of it.
    pub fn set_link(&mut self, up: bool, host: &mut HostCx<'_>) {
        if self.link_down == up {
            self.link_down = !up;
            self.tell_link(up, host);
            if up {
                self.flush(host);
            }
        }
    }

    /// The receive filter that the NIC has told of. Asking has the next change told again.
    pub fn rx_filter(&mut self) -> Option<&RxFilter> {
        self.nic.told = false;
        self.nic.rx_filter.as_ref()
    }

    pub(crate) fn set_rx_filter(&mut self, filter: RxFilter, changed_by_guest: bool) {
        self.nic.mac = Some(filter.main_mac);
        self.nic.rx_filter = Some(filter);
        if let Some(device) = self.nic()
            && changed_by_guest
            && !std::mem::replace(&mut self.nic.told, true)
        {
            self.messages.say(&Message::RxFilterChanged {
                netdev: self.id.clone(),
                device,
            });
        }
    }

    /// Adds a filter behind those that are there; frames from the NIC meet it last, frames to it first.
    pub fn add_filter(&mut self, id: &str, filter: Box<dyn Filter>, host: &mut HostCx<'_>) {
        self.insert_filter(usize::MAX, id, filter, host);
    }

    /// The link as its concrete type, with what it may do.
    pub(crate) fn on_link<T: Link, R>(
        &mut self,
        host: &mut HostCx<'_>,
        f: impl FnOnce(&mut T, &mut LinkCx<'_, '_>) -> R,
    ) -> Option<R> {
        let r = self.with_link(host, |link, cx| {
            let any: &mut dyn Any = link;
            any.downcast_mut().map(|l| f(l, cx))
        });
        self.settle(host);
        r
    }

    fn warn(&self, text: &str) {
        let text = format!("netdev '{}': {text}", self.id);
        self.messages.say(&Message::Warning(text));
    }
}

impl Backend for Netdev {
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>) {
        if self.announce_event(event, cx) {
            return;
        }
        if !self.filter_event(event, cx) {
            self.with_link(cx, |link, l| link.on_host(event, l));
        }
        self.settle(cx);
        if event == HostEvent::Woken {
            self.collect_mail(cx);
            self.settle(cx);
        }
    }

    fn close(&mut self, cx: &mut HostCx<'_>) {
        if !self.link_down {
            self.tell_link(false, cx);
        }
        self.close_filters(cx);
        self.with_link(cx, |link, l| link.close(l));
        self.inbox.clear();
    }
}
