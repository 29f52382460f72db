//! A driver for tests: it plays the guest against one device, in the memory of a [`System`], without a CPU and without registers.
//!
//! ```text
//! let mut guest = Guest::new(DEVICE_TYPE, Properties::default());   // the `virtio-X-device` type
//! guest.start(feature::EVENT_IDX);                                   // negotiate version 1 and these, set up all queues, DRIVER_OK
//! let answer = guest.request(0, &[b"read", b"me"], &[512]);          // one chain, kicked; waits until it is used
//! assert_eq!(answer.data, b"…");
//! ```
//! [`Guest::add`], [`Guest::kick`] and [`Guest::used`] are the steps of a request; [`Guest::start`] with `RING_PACKED` makes the rings
//! packed ones; [`Guest::indirect`] puts chains into tables. [`Ring`] says where a ring's parts are, for tests that break one.
//! It trusts the device as little as a driver should: what cannot be, panics.

mod ring;

pub use ring::{Buffer, Ring, Used};

use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{ClockRate, Ctx, DeviceId, DeviceType, Properties, RamBlock, SavedState, System};
use std::time::{Duration, Instant};

use crate::spec::{feature, status};
use crate::{Endpoint, VirtioDevice, VirtioModel};

/// Where memory begins.
pub const RAM: u64 = 0x8000_0000;
/// Where what is allocated begins.
const HEAP: u64 = RAM + 0x1_0000;
/// Bytes of memory.
pub const RAM_LEN: u64 = 64 << 20;

/// A machine with memory, one device and a driver for it.
pub struct Guest {
    /// The machine's inside.
    pub sys: System,
    /// The device.
    pub device: DeviceId,
    /// Rings, by queue, after [`Guest::start`].
    pub rings: Vec<Ring>,
    /// Whether chains are put into tables outside the ring.
    pub indirect: bool,
    features: u64,
    /// First free byte of memory.
    heap: u64,
}

/// A system with memory and nothing else.
pub fn system() -> System {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).expect("an epoll descriptor");
    let block = RamBlock::new("ram", RAM_LEN).expect("memory");
    sys.memory.map(Mapping {
        start: RAM,
        len: RAM_LEN,
        priority: 0,
        name: "ram".into(),
        target: Target::Ram {
            block,
            offset: 0,
            readonly: false,
        },
    });
    sys
}

impl Guest {
    /// A device with these properties, reset. The type has the role of a [`VirtioDevice`].
    pub fn new(t: &'static DeviceType, properties: Properties) -> Self {
        Self::on(system(), t, properties)
    }

    /// The same on a [`system`] that has back ends or other devices already.
    pub fn on(mut sys: System, t: &'static DeviceType, properties: Properties) -> Self {
        let device = sys.add_device(t, Some("dut"), properties, &[]).expect("a device");
        Self::around(sys, device)
    }

    /// The same around a device that is there already.
    pub fn around(mut sys: System, device: DeviceId) -> Self {
        sys.reset();
        let mut guest = Self {
            sys,
            device,
            rings: Vec::new(),
            indirect: false,
            features: 0,
            heap: HEAP,
        };
        guest.drive(|e, _| e.offer(feature::VERSION_1));
        guest
    }

    /// Runs `f` on the device's shared half, as a transport does.
    pub fn drive<T>(&mut self, f: impl FnOnce(&mut Endpoint, &mut Ctx<'_>) -> T) -> T {
        let mut f = Some(f);
        let mut answer = None;
        self.sys.with_role::<dyn VirtioDevice, _>(self.device, |d, cx| {
            d.drive(
                &mut |e, cx| {
                    if let Some(f) = f.take() {
                        answer = Some(f(e, cx));
                    }
                },
                cx,
            );
        });
        self.sys.settle();
        answer.expect("a virtio device in its slot")
    }

    /// Calls `f` with the model.
    pub fn with_model<M: VirtioModel, T>(&mut self, f: impl FnOnce(&mut M, &mut crate::VirtioCx<'_, '_>) -> T) -> T {
        let answer = self
            .sys
            .with_role::<dyn VirtioDevice, _>(self.device, |d, cx| crate::with_model(d, cx, f));
        self.sys.settle();
        answer.flatten().expect("a model of the type that the test names")
    }

    // ----- the driver's life -----------------------------------------------------------------------------------------------------

    /// Negotiates version 1 and those of `features` that are offered, gives every queue a ring of its full size, and says that the
    /// driver is ready. Gives what was agreed on.
    pub fn start(&mut self, features: u64) -> u64 {
        self.start_with(features, u16::MAX)
    }

    /// The same with rings of at most `size` entries.
    pub fn start_with(&mut self, features: u64, size: u16) -> u64 {
        self.negotiate(features | feature::VERSION_1);
        self.make_rings(size);
        self.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK);
        self.features
    }

    /// Negotiates alone.
    pub fn negotiate(&mut self, features: u64) -> u64 {
        let chosen = features & self.drive(|e, _| e.offered());
        assert!(self.choose(chosen), "{chosen:#x} is refused");
        chosen
    }

    /// Resets the device and chooses these features, offered or not; tells whether the device accepts them.
    pub fn choose(&mut self, features: u64) -> bool {
        self.rings.clear();
        self.set_status(0);
        self.set_status(status::ACKNOWLEDGE | status::DRIVER);
        self.features = features;
        self.drive(|e, cx| {
            e.choose_features(false, features as u32, cx);
            e.choose_features(true, (features >> 32) as u32, cx);
        });
        self.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK);
        self.status() & status::FEATURES_OK != 0
    }

    /// Gives every queue a ring and enables it.
    pub fn make_rings(&mut self, size: u16) {
        let count = self.drive(|e, _| e.queue_count());
        for n in 0..count {
            let max = self.drive(|e, _| e.queue(n).map_or(0, crate::Queue::max_size));
            let ring = Ring::new(max.min(size), self.features, |bytes| self.alloc_pages(bytes));
            self.configure(n, &ring);
            self.rings.push(ring);
        }
    }

    /// Tells the device of a ring.
    pub fn configure(&mut self, n: u16, ring: &Ring) {
        let (size, desc, driver, device) = (ring.size, ring.desc, ring.driver, ring.device);
        self.write(desc, &vec![0; Ring::bytes(size) as usize]);
        self.drive(|e, cx| {
            e.configure(n, cx, |q| {
                (q.size, q.desc, q.driver, q.device) = (size, desc, driver, device);
            });
            e.enable_queue(n);
        });
    }

    /// Writes the device status; 0 resets.
    pub fn set_status(&mut self, value: u8) {
        self.drive(|e, cx| e.set_status(value, cx));
    }

    /// Device status.
    pub fn status(&mut self) -> u8 {
        self.drive(|e, _| e.status())
    }

    /// Whether the device says that it needs a reset.
    pub fn needs_reset(&mut self) -> bool {
        self.status() & status::NEEDS_RESET != 0
    }

    /// Interrupt status, which is cleared: whether the device has interrupted since the last call.
    pub fn interrupts(&mut self) -> u8 {
        self.drive(|e, _| e.take_isr())
    }

    // ----- memory ------------------------------------------------------------------------------------------------------------------

    /// A piece of memory of that many bytes, not used before.
    pub fn alloc(&mut self, len: u64) -> u64 {
        let at = self.heap;
        self.heap = (at + len).next_multiple_of(16);
        assert!(self.heap <= RAM + RAM_LEN, "the test's memory is full");
        at
    }

    fn alloc_pages(&mut self, len: u64) -> u64 {
        self.heap = self.heap.next_multiple_of(4096);
        self.alloc(len)
    }

    /// Gives up everything that was allocated: rings and buffers before are no more.
    pub fn forget_memory(&mut self) {
        self.rings.clear();
        self.heap = HEAP;
    }

    /// Bytes of memory.
    pub fn read(&mut self, at: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.sys.read_bytes(at, &mut out).expect("memory");
        out
    }

    /// Puts bytes into memory.
    pub fn write(&mut self, at: u64, data: &[u8]) {
        self.sys.write_bytes(at, data).expect("memory");
    }

    // ----- requests ----------------------------------------------------------------------------------------------------------------

    /// Makes a chain available: buffers with these contents to be read, and buffers of these lengths to be written. Gives its id.
    pub fn add(&mut self, queue: u16, readable: &[&[u8]], writable: &[u32]) -> u16 {
        let mut buffers = Vec::new();
        for data in readable {
            let at = self.alloc(data.len() as u64);
            self.write(at, data);
            buffers.push(Buffer::readable(at, data.len() as u32));
        }
        for len in writable {
            let at = self.alloc(u64::from(*len));
            buffers.push(Buffer::writable(at, *len));
        }
        self.add_buffers(queue, &buffers)
    }

    /// The same with buffers of the test's choice.
    pub fn add_buffers(&mut self, queue: u16, buffers: &[Buffer]) -> u16 {
        let table = self.indirect.then(|| self.alloc(16 * buffers.len() as u64));
        let ring = self.rings.get_mut(usize::from(queue)).expect("a ring");
        ring.add(buffers, table, &mut self.sys)
    }

    /// Notifies the device of a queue, whether it wants that or not.
    pub fn kick(&mut self, queue: u16) {
        self.drive(|e, cx| e.kick(queue, cx));
    }

    /// Whether the device wants to be notified of what was added since the last call.
    pub fn wants_kick(&mut self, queue: u16) -> bool {
        let ring = self.rings.get_mut(usize::from(queue)).expect("a ring");
        ring.wants_kick(&mut self.sys)
    }

    /// The next chain that the device has given back.
    pub fn used(&mut self, queue: u16) -> Option<Used> {
        let ring = self.rings.get_mut(usize::from(queue)).expect("a ring");
        ring.used(&mut self.sys)
    }

    /// A whole request: adds a chain, kicks, and waits until a chain comes back.
    pub fn request(&mut self, queue: u16, readable: &[&[u8]], writable: &[u32]) -> Used {
        let id = self.add(queue, readable, writable);
        self.kick(queue);
        let used = self.wait_used(queue);
        assert_eq!(used.id, id, "another chain came back");
        used
    }

    /// Waits until a chain comes back: for back ends and for timers.
    pub fn wait_used(&mut self, queue: u16) -> Used {
        let mut found = None;
        self.wait(|g| {
            found = g.used(queue);
            found.is_some()
        });
        found.expect("waited for")
    }

    /// Lets the host's events come in, and time pass to the next timer, until `done` says so; panics after ten seconds without it.
    pub fn wait(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !done(self) {
            assert!(Instant::now() < end, "what the test waits for does not come");
            self.poll(Duration::from_millis(5));
            // Time passes only for those who wait for nothing else.
            if done(self) {
                return;
            }
            if let Some(t) = self.sys.next_deadline() {
                self.sys.advance_to(t);
            }
        }
    }

    /// Lets the host's events come in, for at most that long.
    pub fn poll(&mut self, timeout: Duration) {
        self.sys.host.wait(Some(timeout)).expect("the reactor waits");
        self.sys.deliver_completions();
    }

    // ----- the whole ---------------------------------------------------------------------------------------------------------------

    /// The device's saved state.
    pub fn save(&mut self) -> SavedState {
        let state = self.sys.with_device(self.device, |d, _| d.save());
        state.expect("the device is in its slot")
    }

    /// Moves to `other`, a fresh guest of the same kind: memory, the driver's own state and the device's saved state, which it takes
    /// over as a machine does.
    pub fn move_to(mut self, other: Self) -> Self {
        let state = self.save();
        let memory = self.read(RAM, (self.heap - RAM) as usize);
        let mut moved = Self {
            sys: other.sys,
            device: other.device,
            rings: self.rings,
            indirect: self.indirect,
            features: self.features,
            heap: self.heap,
        };
        moved.write(RAM, &memory);
        let loaded = moved.sys.with_device(moved.device, |d, _| d.load(&state));
        loaded.expect("the device is in its slot").expect("its own state");
        moved.sys.with_device(moved.device, |d, cx| d.after_load(cx));
        moved.sys.settle();
        assert_eq!(state.version, moved.save().version);
        moved
    }
}
