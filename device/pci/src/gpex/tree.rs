//! The tree of buses below a host bridge, and the way from a bus number to a bus.

use southbridge_bus_pci::PciFunction;
use southbridge_bus_pci::decode::{BridgeDecode, Decode, Node};
use southbridge_core::{Ctx, DeviceId};

/// What functions answered to when they were last asked.
#[derive(Default)]
pub struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// All functions, bridges before what is below them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Asks every function. One that is busy (its own DMA led here) counts as it was.
    pub fn refresh(&mut self, cx: &mut Ctx<'_>) {
        let mut nodes: Vec<Node> = Vec::new();
        let add = |nodes: &mut Vec<Node>, children: &[(DeviceId, u32)], parent: Option<usize>, cx: &mut Ctx<'_>| {
            for &(device, address) in children {
                let now = cx.with_role::<dyn PciFunction, _>(device, |f, _| f.pci().decode());
                nodes.push(Node {
                    device,
                    devfn: address as u8,
                    parent,
                    decode: now.unwrap_or_else(|| self.decode_of(device)),
                });
            }
        };
        let roots = cx.children(0);
        add(&mut nodes, &roots, None, cx);
        let mut i = 0;
        // The tree of devices is finite and has no loops, whatever bus numbers say.
        while i < nodes.len() {
            let children = cx.children_of(nodes[i].device, 0);
            add(&mut nodes, &children, Some(i), cx);
            i += 1;
        }
        self.nodes = nodes;
    }

    fn decode_of(&self, device: DeviceId) -> Decode {
        let node = self.nodes.iter().find(|n| n.device == device);
        node.map(|n| n.decode.clone()).unwrap_or_default()
    }

    /// What a bridge lets through now; one that is busy counts as it was.
    fn bridge_of(&self, device: DeviceId, cx: &mut Ctx<'_>) -> Option<BridgeDecode> {
        match cx.with_role::<dyn PciFunction, _>(device, |f, _| f.pci().bridge_decode()) {
            Some(now) => now,
            None => self.nodes.iter().find(|n| n.device == device)?.decode.bridge,
        }
    }

    /// Whether a function answers at all: virtual ones come and go.
    fn is_there(&self, device: DeviceId, cx: &mut Ctx<'_>) -> bool {
        let of = cx.with_role::<dyn PciFunction, _>(device, |f, _| f.pci().virtual_of());
        let Some(of) = of.flatten() else { return true };
        let now = cx.with_role::<dyn PciFunction, _>(of.physical, |f, _| f.pci().virtuals());
        let virtuals = now.unwrap_or_else(|| self.decode_of(of.physical).virtuals);
        virtuals.is_some_and(|v| of.number < v.enabled)
    }

    /// The function at slot and function `devfn` of bus `bus`. Bus numbers are the guest's: each step goes one bridge down the real
    /// tree, so that loops of numbers end.
    pub fn find(&self, bus: u8, devfn: u8, cx: &mut Ctx<'_>) -> Option<DeviceId> {
        let mut children = cx.children(0);
        let mut current = 0;
        let mut only_slot0 = false;
        loop {
            if current == bus {
                if only_slot0 && devfn >= 8 {
                    return None;
                }
                let hit = children.iter().find(|(_, at)| *at == u32::from(devfn))?.0;
                return self.is_there(hit, cx).then_some(hit);
            }
            let way = children.iter().find_map(|(device, _)| {
                let b = self.bridge_of(*device, cx)?;
                let leads = b.powered && b.secondary != 0 && (b.secondary..=b.subordinate).contains(&bus);
                leads.then_some((*device, b))
            });
            // An expander's bus reaches up to the next root bus: the nearest one below the number is meant.
            let way = way
                .filter(|w| !w.1.transparent)
                .or_else(|| self.nearest_expander(&children, bus, cx))
                .or(way);
            let (device, bridge) = way?;
            current = bridge.secondary;
            only_slot0 = bridge.only_slot0;
            children = cx.children_of(device, 0);
        }
    }

    fn nearest_expander(
        &self,
        children: &[(DeviceId, u32)],
        bus: u8,
        cx: &mut Ctx<'_>,
    ) -> Option<(DeviceId, BridgeDecode)> {
        let found = children.iter().filter_map(|(device, _)| {
            let b = self.bridge_of(*device, cx)?;
            (b.transparent && b.secondary <= bus).then_some((*device, b))
        });
        found.max_by_key(|w| w.1.secondary)
    }

    /// The virtual functions of a function.
    pub fn virtuals_of(&self, physical: DeviceId) -> Vec<DeviceId> {
        let of = |n: &&Node| n.decode.virtual_of.is_some_and(|v| v.physical == physical);
        self.nodes.iter().filter(of).map(|n| n.device).collect()
    }

    /// Every function below a bridge.
    pub fn below(&self, bridge: DeviceId) -> Vec<DeviceId> {
        let mut under = vec![false; self.nodes.len()];
        let mut found = Vec::new();
        for (i, n) in self.nodes.iter().enumerate() {
            let Some(p) = n.parent else { continue };
            if self.nodes[p].device == bridge || under[p] {
                under[i] = true;
                found.push(n.device);
            }
        }
        found
    }
}
