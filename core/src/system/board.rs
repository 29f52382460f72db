//! Putting a board together: devices, regions, wires, clocks, buses.

use super::*;

impl System {
    /// Creates a device in the arena. `clocks` binds its input clocks in the type's order; missing ones run at 0 Hz.
    pub fn add_device(
        &mut self,
        device_type: &'static DeviceType,
        id: Option<&str>,
        mut properties: Properties,
        clocks: &[ClockNode],
    ) -> Result<DeviceId, CreateError> {
        properties.apply_defaults(device_type.properties);
        self.declare_events(device_type.events);
        let me = self.free_place()?;
        self.tape.break_off("a device was plugged in");
        let cast = Role::cast::<dyn Mmio>(device_type.roles);
        let region = |decl: &'static Region| RegionState {
            decl,
            size: decl.size,
            mappings: SmallVec::new(),
            backing: None,
            readonly: false,
            index: RegisterIndex::of(decl),
            cast: cast.filter(|_| decl.kind == RegionKind::Mmio),
        };
        let outputs = usize::from(device_type.line_count(LineDirection::Out));
        self.slots[me.index()] = Some(Slot {
            me,
            hotplugged: false,
            device_type,
            id: id.map(str::to_owned),
            properties: properties.clone(),
            regions: device_type.regions.iter().map(region).collect(),
            wish: PlaceWish::default(),
            buses: SmallVec::new(),
            clocks: (0..device_type.clocks.len()).map(|i| clocks.get(i).copied()).collect(),
            outputs: vec![(None, false); outputs],
            device: None,
        });
        for (i, node) in clocks.iter().enumerate().take(device_type.clocks.len()) {
            self.clocks[node.0 as usize].listeners.push((me, i));
        }
        for decl in device_type.buses {
            let prefix = format!("{}.", decl.name);
            let n = self.buses.iter().filter(|b| b.name.starts_with(&prefix)).count();
            // The bus behind a PCI bridge has the bridge's own name, if it has one.
            let name = match id {
                Some(id) if decl.kind == BusKind::Pci && device_type.bus == BusKind::Pci => id.to_owned(),
                Some(id) if decl.kind == BusKind::VirtioSerial => format!("{id}.0"),
                _ => format!("{}.{n}", decl.name),
            };
            self.buses.push(Bus {
                name,
                kind: decl.kind,
                owner: me,
                children: SmallVec::new(),
            });
            let bus = BusId(self.buses.len() as u32 - 1);
            if let Some(s) = self.slot_mut(me) {
                s.buses.push(bus);
            }
        }
        match (device_type.create)(&properties, &mut Build { sys: self, me }) {
            Ok(device) => {
                if let Some(s) = self.slot_mut(me) {
                    s.device = Some(device);
                }
                Ok(me)
            }
            Err(e) => {
                self.remove_device(me);
                Err(e)
            }
        }
    }

    /// Unplugs a device: its mappings, lines, timers, buses' places and clocks go with it.
    pub fn remove_device(&mut self, id: DeviceId) {
        let place = self.slots.get_mut(id.index());
        let Some(slot) = place.and_then(|p| p.take_if(|s| s.me == id)) else {
            return;
        };
        self.tape.break_off("a device was unplugged");
        self.free.push(id.successor());
        self.free.sort_by_key(|id| std::cmp::Reverse(id.index()));
        for m in slot.regions.iter().flat_map(|r| &r.mappings) {
            self.memory.unmap(*m);
        }
        let mut wires: Vec<NetId> = Vec::new();
        for (net, level) in slot.outputs {
            if let (Some(net), true) = (net, level) {
                self.nets.drive(net, false);
            }
            wires.extend(net);
        }
        self.nets.disconnect_device(id);
        self.timers.cancel_all(id);
        self.host.forget_device(id);
        for bus in &mut self.buses {
            bus.children.retain(|(c, _)| *c != id);
        }
        while self.buses.last().is_some_and(|b| self.slot(b.owner).is_none()) {
            self.buses.pop();
        }
        for clock in &mut self.clocks {
            clock.listeners.retain(|(d, _)| *d != id);
        }
        self.settle();
        for net in wires {
            let driven = |s: &Slot| s.outputs.iter().any(|o| o.0 == Some(net));
            if !self.slots.iter().flatten().any(driven) {
                self.nets.remove(net);
            }
        }
    }

    fn free_place(&mut self) -> Result<DeviceId, CreateError> {
        if let Some(id) = self.free.pop() {
            return Ok(id);
        }
        let id = DeviceId(self.slots.len() as u32);
        if id.index() != self.slots.len() {
            return Err(CreateError::Host("the machine has no room for more devices".into()));
        }
        self.slots.push(None);
        Ok(id)
    }

    /// Notes that a device came while the machine ran.
    pub fn mark_hotplugged(&mut self, id: DeviceId) {
        if let Some(s) = self.slot_mut(id) {
            s.hotplugged = true;
        }
    }

    /// Maps a device's region at an address.
    pub fn map_device(&mut self, device: DeviceId, region: usize, start: u64, priority: i32) -> Option<MappingId> {
        let len = self.slot(device)?.regions.get(region)?.size;
        self.map_part(device, region, Part { offset: 0, start, len }, priority)
    }

    fn map_part(&mut self, device: DeviceId, region: usize, part: Part, priority: i32) -> Option<MappingId> {
        let slot = self.slot(device)?;
        let r = slot.regions.get(region)?;
        let name = match &slot.id {
            Some(id) => format!("{} ({id}) {}", slot.device_type.name, r.decl.name),
            None => format!("{} {}", slot.device_type.name, r.decl.name),
        };
        let target = r.target(device, region).advanced(part.offset);
        let mapping = self.memory.map(Mapping {
            start: part.start,
            len: part.len.min(r.size.saturating_sub(part.offset)),
            priority,
            name,
            target,
        });
        self.slot_mut(device)?.regions.get_mut(region)?.mappings.push(mapping);
        Some(mapping)
    }

    /// Lets a device's region be mapped at one address with a priority and nowhere else, or nowhere at all.
    pub fn place_region(&mut self, device: DeviceId, region: usize, place: Option<(u64, i32)>) {
        let Some(len) = self.slot(device).and_then(|s| Some(s.regions.get(region)?.size)) else {
            return;
        };
        let part = place.map(|(start, _)| Part { offset: 0, start, len });
        self.place_parts(device, region, part.as_slice(), place.map_or(0, |p| p.1));
    }

    /// Lets these parts of a device's region be mapped and nothing else of it: what windows above let through.
    pub fn place_parts(&mut self, device: DeviceId, region: usize, parts: &[Part], priority: i32) {
        let Some(r) = self.slot_mut(device).and_then(|s| s.regions.get_mut(region)) else {
            return;
        };
        let before = r.mappings.clone();
        let size = r.size;
        // What lies beyond the region (a BAR may be longer) is not there. The place of one whose size is not known yet is kept for it.
        let has = |p: &&Part| p.offset < size || (p.offset, size) == (0, 0);
        let parts: SmallVec<[Part; 2]> = parts.iter().filter(has).copied().collect();
        let is_there = |(m, p): (&MappingId, &Part)| {
            let m = self.memory.mapping(*m);
            let len = p.len.min(size - p.offset);
            m.is_some_and(|m| {
                (m.start, m.len, m.priority) == (p.start, len, priority)
                    && m.target.offset().is_none_or(|o| o == p.offset)
            })
        };
        if before.len() == parts.len() && before.iter().zip(&parts).all(is_there) {
            return;
        }
        for m in before {
            self.memory.unmap(m);
        }
        if let Some(r) = self.slot_mut(device).and_then(|s| s.regions.get_mut(region)) {
            r.mappings.clear();
        }
        for part in parts {
            self.map_part(device, region, part, priority);
        }
        self.attention = true;
    }

    /// Gives a device's region another size, wherever it is mapped.
    pub(super) fn resize_region(&mut self, device: DeviceId, region: usize, bytes: u64) {
        let Some(r) = self.slot_mut(device).and_then(|s| s.regions.get_mut(region)) else {
            return;
        };
        if r.size == bytes {
            return;
        }
        r.size = bytes;
        for m in std::mem::take(&mut r.mappings) {
            let place = self
                .memory
                .mapping(m)
                .map(|m| (m.start, m.target.offset().unwrap_or(0), m.priority));
            self.memory.unmap(m);
            if let Some((start, offset, priority)) = place {
                // A bridge that shows a part of it works out anew how much when it next looks.
                let len = bytes.saturating_sub(offset);
                self.map_part(device, region, Part { offset, start, len }, priority);
            }
        }
        self.attention = true;
    }

    /// A new wire.
    pub fn add_net(&mut self) -> NetId {
        self.nets.add()
    }

    /// Attaches a device's output to a wire. An output drives at most one wire; a second call moves it.
    pub fn drive_net(&mut self, device: DeviceId, output: LineId, net: NetId) {
        if let Some(o) = self
            .slot_mut(device)
            .and_then(|s| s.outputs.get_mut(usize::from(output)))
        {
            let level = o.1;
            o.0 = Some(net);
            if level {
                self.nets.drive(net, true);
            }
        }
    }

    /// The wire that an output drives.
    pub fn net_of(&self, device: DeviceId, output: LineId) -> Option<NetId> {
        self.slot(device)?.outputs.get(usize::from(output))?.0
    }

    /// A wire's level.
    pub fn net_level(&self, net: NetId) -> bool {
        self.nets.level(net)
    }

    /// What hangs on the receiving end of a wire.
    pub fn net_sinks(&self, net: NetId) -> Vec<Sink> {
        self.nets.sinks(net).into_iter().map(|(sink, _)| sink).collect()
    }

    /// Attaches a receiver to a wire.
    pub fn sink_net(&mut self, net: NetId, sink: Sink, invert: bool) {
        self.nets.connect(net, sink, invert);
    }

    /// Wires an output to a receiver: makes a wire if the output has none yet.
    pub fn wire(&mut self, device: DeviceId, output: LineId, sink: Sink) -> NetId {
        let net = self.net_of(device, output).unwrap_or_else(|| {
            let net = self.nets.add();
            self.drive_net(device, output, net);
            net
        });
        self.nets.connect(net, sink, false);
        net
    }

    /// The level of a device's output, as last set.
    pub fn output_level(&self, device: DeviceId, output: LineId) -> bool {
        self.slot(device)
            .and_then(|s| s.outputs.get(usize::from(output)))
            .is_some_and(|o| o.1)
    }

    /// Sets a device's input from outside (tests, qtest): delivered at once.
    pub fn set_input(&mut self, device: DeviceId, input: LineId, level: bool) {
        self.with_device(device, |d, cx| d.on_line(input, level, cx));
        self.settle();
    }

    /// Sends a message to a CPU; see [`Ctx::message_cpu`].
    pub fn message_cpu(&mut self, cpu: CpuId, input: u32) {
        self.deliver(Sink::Cpu(cpu, input), true);
    }

    /// A clock of the board.
    pub fn add_clock(&mut self, hz: u64) -> ClockNode {
        self.clocks.push(ClockNet {
            hz,
            ..ClockNet::default()
        });
        ClockNode(self.clocks.len() as u32 - 1)
    }

    /// Makes a clock the one that the CPUs run on.
    pub fn drive_cpu_clock(&mut self, node: ClockNode) {
        let c = &mut self.clocks[node.0 as usize];
        c.drives_cpu = true;
        self.clock.set_hz(c.hz);
    }

    /// Frequency of a clock in Hz.
    pub fn clock_hz(&self, node: ClockNode) -> u64 {
        self.clocks[node.0 as usize].hz
    }

    /// Changes the frequency of a clock; listeners are told when the machine settles.
    pub fn set_clock_hz(&mut self, node: ClockNode, hz: u64) {
        let c = &mut self.clocks[node.0 as usize];
        if c.hz != hz {
            c.hz = hz;
            if c.drives_cpu {
                self.clock.set_hz(hz);
                self.attention = true;
                self.wake_cpus();
            }
            self.clock_changes.push(node);
        }
    }

    /// Plugs a device into a bus at an address of that bus.
    pub fn plug(&mut self, bus: BusId, device: DeviceId, address: u32) {
        self.buses[bus.0 as usize].children.push((device, address));
    }

    /// All buses.
    pub fn buses(&self) -> impl Iterator<Item = (BusId, &Bus)> {
        self.buses.iter().enumerate().map(|(i, b)| (BusId(i as u32), b))
    }

    /// How many CPUs there are.
    pub fn cpu_count(&self) -> usize {
        self.cpu_ports.len()
    }

    /// Tells the system how many CPUs there are.
    pub fn set_cpu_count(&mut self, n: usize) {
        self.cpu_ports.resize_with(n, CpuPort::default);
    }
}
