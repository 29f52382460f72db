//! A device for tests of what all devices share: it answers with what it reads, at once or when it is told to.
#![allow(dead_code, missing_docs, unreachable_pub)]

use serde::{Deserialize, Serialize};
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::Guest;
use southbridge_bus_virtio::{Chain, Endpoint, EndpointState, VirtioCx, VirtioDevice, VirtioModel};
use southbridge_core::{
    Build, BusKind, CreateError, Ctx, Device, DeviceType, Line, LoadError, PropKind, Properties, Property, ResetPhase,
    SavedState, role,
};

/// Answers on queue 0 at once, keeps what comes on queue 1 until [`Echo::answer`].
#[derive(Default)]
pub struct Echo {
    pub kept: Vec<Chain>,
    pub events: Vec<String>,
    pub config: [u8; 8],
    pub limit: usize,
}

impl Echo {
    /// Answers the `n`th of the chains that are kept.
    pub fn answer(&mut self, n: usize, cx: &mut VirtioCx<'_, '_>) {
        let chain = self.kept.remove(n);
        self.echo(chain, cx);
    }

    fn echo(&mut self, chain: Chain, cx: &mut VirtioCx<'_, '_>) {
        let len = chain.readable_len().min(chain.writable_len()).min(1 << 16) as usize;
        let written = match cx.read_vec(&chain, 0, len).and_then(|data| cx.write(&chain, 0, &data)) {
            Ok(()) => len as u32,
            Err(e) => {
                self.events.push(e.to_string());
                0
            }
        };
        cx.push(chain, written);
    }
}

#[derive(Serialize, Deserialize)]
struct EchoState {
    kept: Vec<Chain>,
    config: [u8; 8],
}

impl VirtioModel for Echo {
    fn device_id(&self) -> u16 {
        42
    }

    fn features(&self) -> u64 {
        0b11
    }

    fn legacy_features(&self) -> u64 {
        0b100
    }

    fn accepts(&self, features: u64) -> bool {
        features & 0b11 != 0b10
    }

    fn queues(&self) -> Vec<u16> {
        vec![64, 16, 0]
    }

    fn config(&self) -> Vec<u8> {
        self.config.to_vec()
    }

    fn write_config(&mut self, offset: usize, data: &[u8], cx: &mut VirtioCx<'_, '_>) {
        self.config[offset..offset + data.len()].copy_from_slice(data);
        cx.config_changed();
    }

    fn driver_ok(&mut self, _: &mut VirtioCx<'_, '_>) {
        self.events.push("driver_ok".into());
    }

    fn reset(&mut self, _: &mut VirtioCx<'_, '_>) {
        self.events.push("reset".into());
    }

    fn queue_reset(&mut self, queue: u16, _: &mut VirtioCx<'_, '_>) {
        self.events.push(format!("queue_reset {queue}"));
    }

    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(queue) {
            match queue {
                0 => self.echo(chain, cx),
                _ => self.kept.push(chain),
            }
        }
    }

    fn save(&self) -> SavedState {
        let (kept, config) = (self.kept.clone(), self.config);
        SavedState::of(1, &EchoState { kept, config })
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let EchoState { kept, config } = state.read(1)?;
        (self.kept, self.config) = (kept, config);
        Ok(())
    }
}

/// A transport that is nothing.
pub struct Bare {
    pub endpoint: Endpoint,
}

pub static TYPE: DeviceType = DeviceType {
    name: "echo-device",
    bus: BusKind::Virtio,
    summary: "a device for tests",
    properties: &[Property {
        name: "features",
        kind: PropKind::Uint(64),
        default: None,
        help: "features of rings",
    }],
    lines: &[Line::out("irq")],
    roles: &[role!(Bare as dyn VirtioDevice)],
    create: Bare::create,
    ..DeviceType::BASE
};

pub const ALL: u64 = feature::INDIRECT_DESC
    | feature::EVENT_IDX
    | feature::RING_PACKED
    | feature::IN_ORDER
    | feature::RING_RESET
    | feature::NOTIFY_ON_EMPTY
    | feature::ANY_LAYOUT;

/// A guest of the device; it offers every feature of rings.
pub fn guest() -> Guest {
    Guest::new(&TYPE, Properties::default())
}

/// What a test is run with: every kind of ring.
pub const KINDS: [(&str, u64); 4] = [
    ("split", 0),
    ("split with event index", feature::EVENT_IDX),
    ("packed", feature::RING_PACKED),
    ("packed with event index", feature::RING_PACKED | feature::EVENT_IDX),
];

impl Bare {
    fn create(p: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let mut endpoint = Endpoint::new(Box::<Echo>::default(), p.opt_uint("features").unwrap_or(ALL));
        endpoint.set_may_dma(true);
        Ok(Box::new(Self { endpoint }))
    }

    fn sync(&mut self, cx: &mut Ctx<'_>) {
        self.endpoint.take_signals();
        cx.set_line(0, self.endpoint.isr() != 0);
    }
}

impl VirtioDevice for Bare {
    fn enter(&mut self, f: &mut dyn FnMut(&mut dyn VirtioModel, &mut VirtioCx<'_, '_>), cx: &mut Ctx<'_>) {
        self.endpoint.call(cx, |m, cx| f(m, cx));
        self.sync(cx);
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn selected_queue(&self) -> Option<u16> {
        None
    }

    fn drive(&mut self, f: &mut dyn FnMut(&mut Endpoint, &mut Ctx<'_>), cx: &mut Ctx<'_>) {
        f(&mut self.endpoint, cx);
        self.sync(cx);
    }
}

impl Device for Bare {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.endpoint.reset(cx);
            self.sync(cx);
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(1, &self.endpoint.save())
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: EndpointState = state.read(1)?;
        self.endpoint.load(state)
    }

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.endpoint.after_load(cx);
        self.sync(cx);
    }
}
