//! Input, serial, balloon and socket devices of virtio, squeezed from both sides: a driver that puts anything into the rings, and a host
//! that does what it likes at the other end.
//!
//! The end is always the same: after a reset an honest driver must find a working device.

use southbridge_backend_chardev::testing::Loop;
use southbridge_backend_input::{self as input, Axis, Button, InputEvent, Key, TouchKind};
use southbridge_bus_virtio::testing::{Buffer, Guest, RAM, system};
use southbridge_bus_virtio::{VirtioDevice, with_model};
use southbridge_core::{DeviceId, DeviceType, PropValue, Properties, System};
use southbridge_device_virtio::balloon::Balloon;
use southbridge_device_virtio::serial::Serial;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::bytes::Bytes;
use crate::parts::REGISTRY;

/// Operations of one input.
const MOST: usize = 200;

/// The other end of a device.
trait Host {
    /// Does something.
    fn act(&mut self, guest: &mut Guest, bytes: &mut Bytes<'_>);
    /// Takes what has come, or it would be the host's memory that grows.
    fn drain(&mut self) {}
    /// An honest driver after all that: the device has just been started.
    fn works(&mut self, guest: &mut Guest);
}

struct Rig<H> {
    guest: Guest,
    host: H,
    added: Vec<usize>,
}

fn new_system() -> System {
    let mut sys = system();
    sys.log.set_warnings(Box::new(std::io::sink()));
    sys
}

fn properties(t: &'static DeviceType) -> Properties {
    let mut p = Properties::default().with("packed", PropValue::Bool(true));
    p.apply_defaults(t.properties);
    p
}

impl<H: Host> Rig<H> {
    fn queue(&self, byte: u8) -> u16 {
        u16::from(byte) % (self.guest.rings.len().max(1) as u16)
    }

    fn add(&mut self, bytes: &mut Bytes<'_>) {
        let queue = self.queue(bytes.byte());
        let shape = bytes.byte();
        let mut buffers = Vec::new();
        for i in 0..=(shape & 3) {
            let n = usize::from(bytes.byte());
            let write = shape >> (4 + i) & 1 != 0;
            let at = self.guest.alloc(n as u64);
            self.guest.write(at, bytes.take(if write { 0 } else { n }));
            let at = if shape & 12 == 12 { bytes.word() } else { at };
            let len = if shape & 12 == 8 { bytes.word() as u32 } else { n as u32 };
            buffers.push(Buffer { addr: at, len, write });
        }
        self.guest.indirect = shape & 12 == 4;
        let Some(ring) = self.guest.rings.get(usize::from(queue)) else {
            return;
        };
        let size = usize::from(ring.size);
        let Some(added) = self.added.get_mut(usize::from(queue)) else {
            return;
        };
        if *added + buffers.len() <= size {
            *added += buffers.len();
            self.guest.add_buffers(queue, &buffers);
        }
    }

    /// Something that a driver must not do: rings are changed under the device's hands.
    fn scribble(&mut self, bytes: &mut Bytes<'_>) {
        let queue = usize::from(self.queue(bytes.byte()));
        let Some(ring) = self.guest.rings.get(queue) else {
            return;
        };
        let at = [ring.desc, ring.driver, ring.device][usize::from(bytes.byte() % 3)];
        let offset = u64::from(bytes.byte());
        let data = bytes.take(4);
        self.guest.write(at + offset, data);
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 10 {
            0..=2 => self.add(bytes),
            3 | 4 => {
                let queue = self.queue(bytes.byte());
                self.guest.kick(queue);
            }
            5 => self.scribble(bytes),
            6 => {
                let (offset, size) = (u64::from(bytes.byte() % 24), 1 << (bytes.byte() % 4));
                let value = bytes.word();
                self.guest.drive(|e, cx| e.config_write(offset, size, value, cx));
                self.guest.drive(|e, _| e.config_read(offset, 8));
            }
            7 => match bytes.byte() % 4 {
                0 => self.load_again(),
                1 => {
                    let queue = self.queue(bytes.byte());
                    self.guest.drive(|e, cx| e.reset_queue(queue, cx));
                }
                _ => {}
            },
            _ => self.host.act(&mut self.guest, bytes),
        }
        self.guest.poll(Duration::ZERO);
        if let Some(t) = self.guest.sys.next_deadline() {
            self.guest.sys.advance_to(t);
        }
        self.guest.sys.take_notices();
        self.host.drain();
    }

    /// The device must take what it saved, and be as it was.
    fn load_again(&mut self) {
        let saved = self.guest.save();
        let device = self.guest.device;
        let loaded = self.guest.sys.with_device(device, |d, _| d.load(&saved));
        assert_eq!(loaded, Some(Ok(())), "its own state is refused");
        assert!(self.guest.save() == saved, "another state than was loaded");
        self.guest.sys.with_device(device, |d, cx| d.after_load(cx));
    }

    fn run(guest: Guest, host: H, bytes: &mut Bytes<'_>) {
        let mut rig = Self {
            guest,
            host,
            added: Vec::new(),
        };
        rig.guest.start(bytes.word());
        rig.added = vec![0; rig.guest.rings.len()];
        for _ in 0..MOST {
            if bytes.0.is_empty() {
                break;
            }
            rig.step(bytes);
        }
        rig.guest.indirect = false;
        rig.guest.start(0x3f);
        for _ in 0..4 {
            rig.guest.poll(Duration::ZERO);
        }
        rig.host.drain();
        rig.host.works(&mut rig.guest);
    }
}

// ----- input ---------------------------------------------------------------------------------------------------------------------

struct Hands;

impl Hands {
    fn event(bytes: &mut Bytes<'_>) -> InputEvent {
        let down = bytes.byte() & 1 != 0;
        let axis = if bytes.byte() & 1 == 0 { Axis::X } else { Axis::Y };
        let value = bytes.word() as i32;
        let buttons = [Button::Left, Button::WheelUp, Button::WheelLeft, Button::Touch];
        let touches = [TouchKind::Begin, TouchKind::Data, TouchKind::End, TouchKind::Cancel];
        let choice = usize::from(bytes.byte());
        match choice % 5 {
            0 => InputEvent::Key {
                key: Key::try_from(bytes.byte()).unwrap_or(Key::UNMAPPED),
                down,
            },
            1 => InputEvent::Button {
                button: buttons[choice / 5 % 4],
                down,
            },
            2 => InputEvent::Rel { axis, value },
            3 => InputEvent::Abs { axis, value },
            _ => InputEvent::Touch {
                kind: touches[choice / 5 % 4],
                slot: value,
                tracking: value,
                axis,
                value,
            },
        }
    }
}

impl Host for Hands {
    fn act(&mut self, guest: &mut Guest, bytes: &mut Bytes<'_>) {
        let Some((input, mut cx)) = input::of(&mut guest.sys.host) else {
            return;
        };
        if bytes.byte() & 1 == 0 {
            let keys: Vec<Key> = bytes.take(3).iter().filter_map(|b| Key::try_from(*b).ok()).collect();
            input.send_keys(&keys, u32::from(bytes.byte()), &mut cx);
        } else {
            let events: Vec<InputEvent> = (0..bytes.byte() % 8).map(|_| Self::event(bytes)).collect();
            let _ = input.send(None, &events, &mut cx);
        }
    }

    fn works(&mut self, guest: &mut Guest) {
        for _ in 0..4 {
            guest.add(0, &[], &[8]);
        }
        guest.kick(0);
        let press = [true, false].map(|down| match Key::named("a") {
            Some(key) => InputEvent::Key { key, down },
            None => unreachable!("there is such a key"),
        });
        let button = [InputEvent::Button {
            button: Button::Left,
            down: true,
        }];
        let Some((input, mut cx)) = input::of(&mut guest.sys.host) else {
            return;
        };
        if input.send(None, &press, &mut cx).is_err() {
            input.send(None, &button, &mut cx).expect("a pointer takes buttons");
        }
        guest.wait(|g| g.used(0).is_some());
    }
}

/// Any driver of an input device, and any hands.
pub fn virtio_input(data: &[u8]) {
    let mut bytes = Bytes(data);
    let names = ["keyboard", "mouse", "tablet", "multitouch"];
    let name = format!("virtio-{}-device", names[usize::from(bytes.byte() & 3)]);
    let Some(t) = REGISTRY.get(&name) else { return };
    Rig::run(Guest::on(new_system(), t, properties(t)), Hands, &mut bytes);
}

// ----- serial --------------------------------------------------------------------------------------------------------------------

struct Programs {
    ends: Vec<Loop>,
    ports: Vec<DeviceId>,
}

impl Programs {
    /// Plugs a port in, if there is room.
    fn plug(&mut self, guest: &mut Guest, console: bool) {
        let name = if console { "virtconsole" } else { "virtserialport" };
        let Some(t) = REGISTRY.get(name) else { return };
        let (backend, end) = Loop::new(&mut guest.sys);
        let mut p = Properties::default().with("chardev", PropValue::Backend("c".into(), backend));
        p.apply_defaults(t.properties);
        let Ok(port) = guest.sys.add_device(t, None, p, &[]) else {
            return;
        };
        match guest.with_model::<Serial, _>(|s, cx| s.plug(port, cx)) {
            Ok(nr) => {
                let owner = guest.device;
                let bus = guest.sys.buses().find(|(_, b)| b.owner == owner).map(|(id, _)| id);
                if let Some(bus) = bus {
                    guest.sys.plug(bus, port, nr);
                }
                self.ends.push(end);
                self.ports.push(port);
            }
            Err(_) => guest.sys.remove_device(port),
        }
    }

    fn unplug(&mut self, guest: &mut Guest) {
        if self.ports.len() > 2
            && let (Some(port), Some(_)) = (self.ports.pop(), self.ends.pop())
        {
            guest.sys.with_role::<dyn VirtioDevice, _>(guest.device, |d, cx| {
                with_model::<Serial, _>(d, cx, |s, cx| s.unplug(port, cx))
            });
            guest.sys.remove_device(port);
        }
    }
}

impl Host for Programs {
    fn act(&mut self, guest: &mut Guest, bytes: &mut Bytes<'_>) {
        let which = usize::from(bytes.byte()) % self.ends.len().max(1);
        let Some(end) = self.ends.get(which).cloned() else {
            return;
        };
        match bytes.byte() % 8 {
            0 => end.disconnect(),
            1 => end.reconnect(),
            2 => end.accept(Some(usize::from(bytes.byte()))),
            3 => end.send_break(),
            4 if self.ends.len() < 4 => self.plug(guest, bytes.byte() & 1 != 0),
            5 => self.unplug(guest),
            _ => {
                let n = usize::from(bytes.byte());
                end.feed(bytes.take(n));
            }
        }
    }

    fn drain(&mut self) {
        self.ends.iter().for_each(|end| drop(end.take()));
    }

    fn works(&mut self, guest: &mut Guest) {
        let Some(end) = self.ends.first().cloned() else { return };
        end.reconnect();
        end.accept(None);
        guest.poll(Duration::ZERO);
        guest.poll(Duration::ZERO);
        let _ = end.take();
        // The first port is a console and so has number 0.
        guest.request(1, &[b"honest"], &[]);
        guest.poll(Duration::ZERO);
        assert!(end.take().ends_with(b"honest"), "what an honest driver sends");
    }
}

/// Any driver of a serial device, and any programs at its ports.
pub fn virtio_serial(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(t) = REGISTRY.get("virtio-serial-device") else {
        return;
    };
    let p = properties(t).with("max_ports", PropValue::Uint(4));
    let mut guest = Guest::on(new_system(), t, p);
    let mut host = Programs {
        ends: Vec::new(),
        ports: Vec::new(),
    };
    host.plug(&mut guest, true);
    host.plug(&mut guest, false);
    Rig::run(guest, host, &mut bytes);
}

// ----- balloon -------------------------------------------------------------------------------------------------------------------

struct Landlord;

impl Host for Landlord {
    fn act(&mut self, guest: &mut Guest, bytes: &mut Bytes<'_>) {
        let (choice, n) = (bytes.byte(), bytes.word());
        guest.with_model::<Balloon, _>(|b, cx| match choice % 3 {
            0 => b.resize(n, cx),
            1 => b.set_interval(n as u32, cx),
            _ => drop((b.stats(), b.size(), b.interval())),
        });
    }

    fn works(&mut self, guest: &mut Guest) {
        let page = (RAM + (60 << 20)) / 4096;
        guest.write(page * 4096, b"something");
        guest.request(0, &[&(page as u32).to_le_bytes()], &[]);
        assert_eq!(guest.read(page * 4096, 9), [0; 9], "a page of an honest driver");
    }
}

/// Any driver of a balloon. Pages under the rings go, too.
pub fn virtio_balloon(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(t) = REGISTRY.get("virtio-balloon-device") else {
        return;
    };
    let p = properties(t).with("free-page-reporting", PropValue::Bool(bytes.byte() & 1 != 0));
    Rig::run(Guest::on(new_system(), t, p), Landlord, &mut bytes);
}

// ----- sockets -------------------------------------------------------------------------------------------------------------------

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("southbridge-fuzz-{}-{n}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Sockets {
    folder: Folder,
    listener: Option<UnixListener>,
    streams: Vec<UnixStream>,
}

/// The port of the host where somebody listens.
const PORT: u32 = 7;

impl Host for Sockets {
    fn act(&mut self, _guest: &mut Guest, bytes: &mut Bytes<'_>) {
        match bytes.byte() % 6 {
            0 if self.streams.len() < 8 => {
                if let Ok(stream) = UnixStream::connect(self.folder.0.join("v")) {
                    let _ = stream.set_nonblocking(true);
                    self.streams.push(stream);
                }
            }
            1 => {
                if let Some(mut stream) = self.streams.pop() {
                    let _ = stream.write(format!("CONNECT {}\n", bytes.byte()).as_bytes());
                    self.streams.push(stream);
                }
            }
            2 => drop(self.streams.pop()),
            3 => {
                if let Some(stream) = self.streams.last() {
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                }
            }
            _ => {
                let n = usize::from(bytes.byte());
                let data = bytes.take(n);
                if let Some(stream) = self.streams.last_mut() {
                    let _ = stream.write(data);
                }
            }
        }
    }

    fn drain(&mut self) {
        if let Some((stream, _)) = self.listener.as_ref().and_then(|l| l.accept().ok()) {
            let _ = stream.set_nonblocking(true);
            self.streams.push(stream);
            self.streams.truncate(8);
        }
        for stream in &mut self.streams {
            let _ = stream.read(&mut [0; 4096]);
        }
    }

    fn works(&mut self, guest: &mut Guest) {
        for _ in 0..16 {
            guest.add(0, &[], &[128]);
        }
        guest.kick(0);
        // A request for a port where nobody listens: from 3 to 2, type 1, operation 1.
        let mut header = [0; 44];
        (header[0], header[8], header[16], header[20]) = (3, 2, 1, 99);
        (header[28], header[30]) = (1, 1);
        guest.request(1, &[&header], &[]);
        let refused = |g: &mut Guest| std::iter::from_fn(|| g.used(0)).any(|u| u.data.get(30) == Some(&3));
        guest.wait(refused);
    }
}

/// Any driver of a socket device, and any programs at the other ends.
pub fn virtio_vsock(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(t) = REGISTRY.get("vhost-vsock-device") else {
        return;
    };
    let Some(folder) = Folder::new() else { return };
    let uds = folder.0.join("v");
    let p = properties(t)
        .with("guest-cid", PropValue::Uint(3))
        .with("uds", PropValue::Str(uds.display().to_string()));
    let listener = UnixListener::bind(folder.0.join(format!("v_{PORT}"))).ok();
    if let Some(l) = &listener {
        let _ = l.set_nonblocking(true);
    }
    let host = Sockets {
        folder,
        listener,
        streams: Vec::new(),
    };
    Rig::run(Guest::on(new_system(), t, p), host, &mut bytes);
}
