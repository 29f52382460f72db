//! A tiny NIC behind a netdev, and the machine around it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod cable;
pub mod peer;

use southbridge_backend_net::{NetError, NetEvent, NetFront, Netdev, Netdevs, Packet, VnetHeader};
use southbridge_core::clock::ClockRate;
use southbridge_core::host::BackendId;
use southbridge_core::{
    BusKind, Completion, Ctx, Device, DeviceId, DeviceType, LoadError, PropKind, PropValue, Properties, Property,
    ResetPhase, SavedState, System,
};
use std::time::{Duration, Instant};

/// A NIC that takes `room` frames at a time until the test makes more room.
pub struct Nic {
    pub front: NetFront,
    pub received: Vec<(VnetHeader, Vec<u8>)>,
    pub events: Vec<String>,
    room: usize,
    /// Gives new credit for all that it receives.
    greedy: bool,
}

pub static NIC: DeviceType = DeviceType {
    name: "test-nic",
    bus: BusKind::None,
    summary: "a device for tests of back ends",
    properties: &[
        Property {
            name: "netdev",
            kind: PropKind::Backend("netdev"),
            default: None,
            help: "the back end",
        },
        Property {
            name: "mac",
            kind: PropKind::Str,
            default: Some("52:54:00:12:34:56"),
            help: "address",
        },
    ],
    create: |props, build| {
        let front = NetFront::attach(props, "netdev", 3, build)?;
        Ok(Box::new(Nic {
            front,
            received: Vec::new(),
            events: Vec::new(),
            room: 0,
            greedy: false,
        }))
    },
    ..DeviceType::BASE
};

impl Device for Nic {
    fn reset(&mut self, _phase: ResetPhase, _cx: &mut Ctx<'_>) {}

    fn save(&self) -> SavedState {
        unimplemented!("not saved in these tests")
    }

    fn load(&mut self, _state: &SavedState) -> Result<(), LoadError> {
        unimplemented!("not restored in these tests")
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        assert_eq!(done.port, 3);
        match NetEvent::from_completion(done).expect("an event of a network back end") {
            NetEvent::Frames(frames) => {
                let n = frames.iter().count();
                assert!(n <= self.room, "{n} frames, credit was {}", self.room);
                self.room -= n;
                self.received.extend(frames.iter().map(|p| (p.vnet, p.frame.to_vec())));
                if self.greedy {
                    self.room = 100;
                    self.front.set_room(self.room, cx);
                }
            }
            NetEvent::Writable => self.events.push("writable".into()),
            NetEvent::Link(up) => self.events.push(format!("link {up}")),
            NetEvent::Announce => self.events.push("announce".into()),
        }
    }
}

/// A machine of NICs and back ends.
pub struct World {
    pub sys: System,
    pub netdevs: Netdevs,
    pub nics: Vec<DeviceId>,
}

impl World {
    pub fn new() -> Self {
        Self {
            sys: System::new(ClockRate::Hz(1_000_000)).expect("a system"),
            netdevs: Netdevs::default(),
            nics: Vec::new(),
        }
    }

    /// With one greedy NIC behind one back end called `n`.
    pub fn with(options: &str) -> Self {
        let mut w = Self::new();
        w.netdev("n", options);
        w.nic("n", true);
        w
    }

    /// `TYPE,OPTION=VALUE,...`
    pub fn try_netdev(&mut self, id: &str, options: &str) -> Result<BackendId, NetError> {
        let mut words = options.split(',');
        let kind = words.next().unwrap_or_default();
        let pairs = words.map(|w| w.split_once('=').unwrap_or((w, "on")));
        self.netdevs.open(&mut self.sys.host, kind, id, pairs)
    }

    pub fn netdev(&mut self, id: &str, options: &str) -> BackendId {
        self.try_netdev(id, options)
            .unwrap_or_else(|e| panic!("{options}: {e}"))
    }

    pub fn nic(&mut self, netdev: &str, greedy: bool) -> usize {
        let id = self.netdevs.get(netdev).expect("a back end of that id");
        self.nic_at(netdev, id, greedy)
    }

    pub fn nic_at(&mut self, netdev: &str, id: BackendId, greedy: bool) -> usize {
        let props = Properties::default().with("netdev", PropValue::Backend(netdev.into(), id));
        let device = self.sys.add_device(&NIC, None, props, &[]).expect("a NIC");
        self.nics.push(device);
        let n = self.nics.len() - 1;
        if greedy {
            self.on(n, |nic, cx| {
                nic.greedy = true;
                nic.room = 100;
                nic.front.set_room(100, cx);
            });
        }
        n
    }

    pub fn on<R>(&mut self, nic: usize, f: impl FnOnce(&mut Nic, &mut Ctx<'_>) -> R) -> R {
        let id = self.nics[nic];
        let r = self.sys.with_device(id, |d, cx| {
            let any: &mut dyn std::any::Any = d;
            f(any.downcast_mut().expect("a NIC of the test"), cx)
        });
        r.expect("the NIC is there")
    }

    pub fn set_room(&mut self, nic: usize, room: usize) {
        self.on(nic, |n, cx| {
            n.room = room;
            n.front.set_room(room, cx);
        });
    }

    pub fn send(&mut self, nic: usize, frame: &[u8]) -> bool {
        self.on(nic, |n, cx| n.front.send(Packet::plain(frame), cx))
    }

    pub fn take(&mut self, nic: usize) -> Vec<Vec<u8>> {
        self.on(nic, |n, _| std::mem::take(&mut n.received))
            .into_iter()
            .map(|(_, f)| f)
            .collect()
    }

    pub fn events(&mut self, nic: usize) -> Vec<String> {
        self.on(nic, |n, _| std::mem::take(&mut n.events))
    }

    /// Lets the host and the devices work on what there is.
    pub fn poll(&mut self) {
        for _ in 0..4 {
            self.sys.host.wait(Some(Duration::ZERO)).expect("epoll");
            self.sys.deliver_completions();
        }
    }

    /// Until `done`; a minute is the end of patience.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(Instant::now() < end, "waited in vain for {what}");
            self.sys.host.wait(Some(Duration::from_millis(20))).expect("epoll");
            self.sys.deliver_completions();
        }
    }

    pub fn describe(&mut self, netdev: &str) -> String {
        let id = self.netdevs.get(netdev).expect("a back end of that id");
        self.sys.host.peek::<Netdev>(id).expect("it").describe()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.sys.host.close();
    }
}

/// A frame with a number in it.
pub fn frame(n: u32, len: usize) -> Vec<u8> {
    let mut f = vec![0xff; 6];
    f.extend([0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x88, 0xb5]);
    f.extend(n.to_be_bytes());
    f.resize(len.max(18), n as u8);
    f
}

/// Who has that address? A neighbour asks, whose last byte is 77.
pub fn arp_for(address: [u8; 4]) -> Vec<u8> {
    let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    let mut f = vec![0xff; 6];
    f.extend(mac);
    f.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    f.extend(mac);
    f.extend([address[0], address[1], address[2], 77]);
    f.extend([0; 6]);
    f.extend(address);
    f.resize(60, 0);
    f
}

/// Whether a frame says who has that address.
pub fn is_arp_answer(frame: &[u8], address: [u8; 4]) -> bool {
    frame.get(12..14) == Some(&[8, 6]) && frame.get(20..22) == Some(&[0, 2]) && frame.get(28..32) == Some(&address)
}

/// A TCP segment of 4000 bytes over IPv4 that is still to be cut into frames, and whose checksum is still to be made.
pub fn long_segment() -> (VnetHeader, Vec<u8>) {
    let mut tcp = vec![2; 12];
    tcp.extend([
        8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2,
    ]);
    tcp.extend([0x10, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    tcp.extend([7; 4000]);
    let vnet = VnetHeader {
        flags: VnetHeader::NEEDS_CSUM,
        gso_type: VnetHeader::GSO_TCPV4,
        hdr_len: 54,
        gso_size: 1460,
        csum_start: 34,
        csum_offset: 16,
    };
    (vnet, tcp)
}
