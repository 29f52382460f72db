//! A device's only ways out: [`Ctx`] while it runs, [`Build`] while it is made.

use super::*;
use crate::machine::FreeSearch;
use crate::memory::RamView;
use crate::tape::Mode;

/// A device's only way out, while one of its methods runs.
pub struct Ctx<'a> {
    pub(super) sys: &'a mut System,
    pub(super) me: DeviceId,
}

impl Ctx<'_> {
    /// This device.
    pub fn me(&self) -> DeviceId {
        self.me
    }

    pub(crate) fn sys(&self) -> &System {
        self.sys
    }

    pub(crate) fn sys_mut(&mut self) -> &mut System {
        self.sys
    }

    /// Sets an output line. The change reaches its sinks when the handler has returned.
    #[inline]
    pub fn set_line(&mut self, output: LineId, level: bool) {
        if self.sys.probes.contains(Probes::LINE) {
            self.sys.probed_line(self.me, output, level);
        } else {
            self.sys.drive_output(self.me, output, level);
        }
    }

    /// Pulses an output: up and down again, as an edge for receivers that latch.
    pub fn pulse_line(&mut self, output: LineId) {
        self.set_line(output, true);
        self.set_line(output, false);
    }

    /// Now, in virtual time.
    pub fn now(&self) -> VirtualTime {
        self.sys.clock.now()
    }

    /// Arms (or moves) one of this device's timers. A deadline that has passed fires as soon as the handler has returned and the CPU
    /// is between two instructions, at least one nanosecond from now.
    pub fn set_timer(&mut self, timer: TimerIndex, deadline: VirtualTime) {
        let deadline = deadline.max(self.sys.clock.now().after_ns(1));
        let earlier = self.sys.timers.next().is_none_or(|next| deadline < next);
        self.sys.timers.set(self.me, timer, deadline);
        if self.sys.probes.contains(Probes::TIMER) {
            self.sys.trace_timer(self.me, timer, Some(deadline));
        }
        if earlier {
            self.sys.attention = true;
        }
    }

    /// Disarms one of this device's timers.
    pub fn cancel_timer(&mut self, timer: TimerIndex) {
        if self.sys.probes.contains(Probes::TIMER) {
            self.sys.trace_timer(self.me, timer, None);
        }
        self.sys.timers.cancel(self.me, timer);
    }

    /// When one of this device's timers is due.
    pub fn timer_deadline(&self, timer: TimerIndex) -> Option<VirtualTime> {
        self.sys.timers.deadline(self.me, timer)
    }

    /// The id that the user gave a device.
    pub fn id_of(&self, device: DeviceId) -> Option<&str> {
        self.sys.slot(device)?.id.as_deref()
    }

    /// The counter that CPUs and timers of the board share.
    pub fn timebase(&self) -> Timebase {
        self.sys.timebase
    }

    /// Lets that counter show `value` from now on. CPUs look at it anew.
    pub fn set_timebase(&mut self, value: u64) {
        let now = self.sys.clock.now();
        self.sys.timebase.set(now, value);
        self.sys.attention = true;
        // When they wake by themselves has moved.
        self.sys.wake_cpus();
    }

    /// Sends a message to a CPU, which gets it as a change of input `input` to high, in the order of all its lines: an interrupt that
    /// is a message and has no wire. Unknown CPUs are ignored.
    pub fn message_cpu(&mut self, cpu: CpuId, input: u32) {
        self.sys.message_cpu(cpu, input);
    }

    /// Puts a region of a device on this device's bus (or of this device itself) at one address of the system, or takes it off. For
    /// bridges whose guest decides where windows are. Nothing happens if it is there already.
    pub fn place_region(&mut self, device: DeviceId, region: usize, place: Option<(u64, i32)>) {
        self.sys.place_region(device, region, place);
    }

    /// The same with parts of a region: what the windows of bridges let through. Nothing happens if they are there already.
    pub fn place_parts(&mut self, device: DeviceId, region: usize, parts: &[Part], priority: i32) {
        self.sys.place_parts(device, region, parts, priority);
    }

    /// Frequency of an input clock in Hz; 0 if the board left it open.
    pub fn clock_hz(&self, input: usize) -> u64 {
        let node = self
            .sys
            .slot(self.me)
            .and_then(|s| s.clocks.get(input).copied().flatten());
        node.map_or(0, |n| self.sys.clock_hz(n))
    }

    /// Changes the frequency of a clock that this device generates (it holds the node from `Build`).
    pub fn set_clock(&mut self, node: ClockNode, hz: u64) {
        self.sys.set_clock_hz(node, hz);
    }

    /// DMA out of the system's address space.
    pub fn dma_read(&mut self, address: u64, out: &mut [u8]) -> Result<(), BusError> {
        self.sys.depth += 1;
        let r = self.sys.read_bytes(address, out);
        self.sys.depth -= 1;
        r
    }

    /// DMA into the system's address space.
    pub fn dma_write(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        self.sys.depth += 1;
        let r = self.sys.write_bytes(address, data);
        self.sys.depth -= 1;
        r
    }

    /// Asks something of the host, to which `usual` is the answer unless something is in the way. A run through the past gets the
    /// answer of then, and `ask` is not called.
    pub fn ask_host(&mut self, usual: u64, ask: impl FnOnce(&mut Self) -> u64) -> u64 {
        if let Some(then) = self.sys.tape.ask(usual) {
            if self.sys.tape.lets_out() {
                // The answer of now is no news: the tape has the one of then.
                let _ = ask(self);
            }
            return then;
        }
        let answer = ask(self);
        let at = self.sys.moment();
        self.sys.tape.answered(at, usual, answer);
        answer
    }

    /// Whether the machine runs through a past, its own or another process's: what the host did then comes again by itself.
    pub fn is_replaying(&self) -> bool {
        self.sys.tape.plays()
    }

    /// A back end as its concrete type, to submit something to it. `None` if it is gone, or while the machine runs through its past.
    pub fn backend<T: Backend>(&mut self, id: BackendId) -> Option<(&mut T, HostCx<'_>)> {
        if !self.sys.tape.lets_out() {
            return None;
        }
        self.sys.host.get(id)
    }

    /// Has each signal of an eventfd delivered as a completion (`port`, `token`).
    pub fn watch_notifier(&mut self, fd: rustix::fd::OwnedFd, port: u32, token: u64) -> io::Result<WatchId> {
        self.sys.host.reactor.watch_notifier(fd, self.me, port, token)
    }

    /// Stops that.
    pub fn drop_notifier(&mut self, id: WatchId) {
        self.sys.host.reactor.drop_notifier(id);
    }

    /// Puts memory behind one of this device's regions, or takes it away. All places where the region is mapped follow.
    ///
    /// A region of registers with memory behind it is read as that memory, while writes still come to the device: flash in its reading
    /// mode. Nothing happens if the same memory is there already.
    pub fn back_region(&mut self, region: usize, block: Option<RamBlock>) {
        let me = self.me;
        let Some(r) = self.sys.slot_mut(me).and_then(|s| s.regions.get_mut(region)) else {
            return;
        };
        if r.backing == block {
            return;
        }
        r.backing = block;
        let (target, mappings) = (r.target(me, region), r.mappings.clone());
        for m in mappings {
            let offset = self.sys.memory.mapping(m).and_then(|m| m.target.offset()).unwrap_or(0);
            self.sys.memory.retarget(m, target.advanced(offset));
        }
        self.sys.attention = true;
    }

    /// Gives one of this device's regions another size, when it is learned only now (memory that another process hands out). All places
    /// where the region is mapped follow. Nothing happens if it has that size.
    pub fn resize_region(&mut self, region: usize, bytes: u64) {
        self.sys.resize_region(self.me, region, bytes);
    }

    /// Whether another thread may work in the machine's memory. Not where what the host does has to be seen, by a recording or a rule of
    /// fault injection, so that it must pass through completions.
    pub fn may_share_ram(&self) -> bool {
        self.sys.tape.mode() == Mode::Off && !self.sys.probes.contains(Probes::COMPLETION)
    }

    /// The RAM of the machine as it is mapped now, for another thread; see [`Ctx::may_share_ram`].
    pub fn ram_view(&self) -> RamView {
        RamView::of(&self.sys.memory)
    }

    /// Changes whenever the meaning of any address may have changed: a [`RamView`] of another generation may be out of date.
    pub fn memory_generation(&self) -> u64 {
        self.sys.memory.generation()
    }

    /// Gives guest RAM back to the host: what of `address..address+len` is RAM that can be written, in whole pages of 4096 bytes, reads as
    /// zero from now on. How many bytes that is.
    pub fn discard_ram(&mut self, address: u64, len: u64) -> u64 {
        let mut given = 0;
        for (block, first, last) in self.pages_of_ram(address, len) {
            if block.discard(first, last - first) {
                given += last - first;
                self.changed_memory(&block, first, last - first);
            }
        }
        given
    }

    /// The same for memory that a guest calls free while one searches for it: what is not as it was before the search stays.
    pub fn discard_free_ram(&mut self, address: u64, len: u64, search: &FreeSearch) -> u64 {
        let mut given = 0;
        for (block, first, last) in self.pages_of_ram(address, len) {
            given += search.give_back(&block, first, last, |at, len| self.changed_memory(&block, at, len));
        }
        given
    }

    /// Stretches of RAM that can be written, in whole pages: block and offsets.
    fn pages_of_ram(&mut self, address: u64, len: u64) -> SmallVec<[(RamBlock, u64, u64); 1]> {
        const PAGE: u64 = 4096;
        let end = address.saturating_add(len);
        let (mut at, mut stretches) = (address, SmallVec::new());
        while at < end {
            let Some(range) = self.sys.memory.find(at) else { break };
            let stop = end.min(range.last.saturating_add(1));
            let into = at - range.start;
            if let Target::Ram {
                block,
                offset,
                readonly: false,
            } = &range.target
            {
                let first = offset.saturating_add(into).next_multiple_of(PAGE);
                let last = offset.saturating_add(into + (stop - at)) / PAGE * PAGE;
                if first < last {
                    stretches.push((block.clone(), first, last));
                }
            }
            at = stop;
        }
        stretches
    }

    /// This device has changed memory of its own behind the back of the address space: CPUs that hold code from there hear of it.
    pub fn changed_memory(&mut self, block: &RamBlock, offset: u64, len: u64) {
        if block.code_hit(offset, len) {
            let block = block.id();
            self.sys.code_written(CodeWrite { block, offset, len });
        }
    }

    /// Devices on one of the buses that this device offers, with their addresses.
    pub fn children(&self, bus: usize) -> SmallVec<[(DeviceId, u32); 4]> {
        let id = self.sys.slot(self.me).and_then(|s| s.buses.get(bus).copied());
        id.map(|b| self.sys.buses[b.0 as usize].children.clone())
            .unwrap_or_default()
    }

    /// The same for the buses of another device: how a bridge at the top sees what is below the bridges on its bus.
    pub fn children_of(&self, device: DeviceId, bus: usize) -> SmallVec<[(DeviceId, u32); 4]> {
        let id = self.sys.slot(device).and_then(|s| s.buses.get(bus).copied());
        id.and_then(|b| self.sys.buses.get(b.0 as usize))
            .map(|b| b.children.clone())
            .unwrap_or_default()
    }

    /// The owner of the bus that a device sits on, and the device's address there.
    pub fn parent_of(&self, device: DeviceId) -> Option<(DeviceId, u32)> {
        self.sys.buses.iter().find_map(|b| {
            let child = b.children.iter().find(|c| c.0 == device)?;
            Some((b.owner, child.1))
        })
    }

    /// Calls another device in a role (a child on this device's bus). `None` if it is gone, busy, or has no such role.
    pub fn with_role<R: ?Sized + 'static, T>(
        &mut self,
        id: DeviceId,
        f: impl FnOnce(&mut R, &mut Ctx<'_>) -> T,
    ) -> Option<T> {
        if self.sys.depth >= 2 * MAX_DEPTH {
            return None;
        }
        self.sys.depth += 1;
        let r = self.sys.with_role(id, f);
        self.sys.depth -= 1;
        r
    }

    /// Stops the processors because the host failed a disk (`werror=stop`): somebody mends it and lets them go on. A timer that the
    /// device arms now is due then.
    pub fn stop_for_io_error(&mut self) {
        self.sys.requests |= Requests::IO_ERROR;
        self.sys.attention = true;
    }

    /// Asks for a reset of the whole system (a watchdog, a reset controller).
    pub fn request_reset(&mut self) {
        self.sys.requests |= Requests::RESET;
        self.sys.attention = true;
    }

    /// Asks for power-off.
    pub fn request_shutdown(&mut self) {
        self.sys.requests |= Requests::SHUTDOWN;
        self.sys.attention = true;
    }

    /// What a real-time clock shows at the start of virtual time: nanoseconds since 1970, UTC. It comes from the host; a run that is
    /// played again gets what it was then.
    pub fn rtc_base_ns(&mut self) -> u64 {
        self.ask_host(0, |cx| cx.sys.rtc_base_ns)
    }

    /// Asks for power-off, with what the program should answer its caller; 0 is success.
    pub fn request_exit(&mut self, code: u16) {
        self.sys.exit_code = code;
        self.request_shutdown();
    }

    /// The same, as a failure of the guest.
    pub fn request_failure(&mut self, code: u16) {
        self.sys.requests |= Requests::FAILURE;
        self.request_exit(code);
    }

    /// The guest says that it has crashed.
    pub fn guest_panicked(&mut self) {
        self.sys.requests |= Requests::PANIC;
        self.sys.attention = true;
    }

    /// Has a device leave the machine, soon: its slot lets it go. Whoever drives the machine finds it in [`System::take_unplugs`].
    pub fn request_unplug(&mut self, device: DeviceId) {
        if !self.sys.unplugs.contains(&device) {
            self.sys.unplugs.push(device);
        }
        self.sys.attention = true;
    }

    /// Says something to whoever drives the machine: an event of QMP with its members. Of several of a kind between two instructions the
    /// last one is heard.
    pub fn notify(&mut self, event: &'static str, members: &[(&'static str, NoticeValue)]) {
        self.sys.notices.add(Notice {
            device: self.me,
            event,
            members: members.to_vec(),
        });
        self.sys.attention = true;
    }

    /// Works as another device, on its behalf: for a device that has the connections of those on its bus in its hands.
    pub fn on_behalf_of<T>(&mut self, device: DeviceId, f: impl FnOnce(&mut Ctx<'_>) -> T) -> T {
        f(&mut Ctx {
            sys: self.sys,
            me: device,
        })
    }

    /// The moment that this device asked for with `Build::hold_start` has come.
    pub fn release_start(&mut self) {
        self.sys.start_holds = self.sys.start_holds.saturating_sub(1);
    }

    /// Whether anybody reads guest errors; test before building an expensive text.
    pub fn logs(&self, items: LogItems) -> bool {
        self.sys.log.on(items)
    }

    /// Logs a mistake of the guest (`-d guest_errors`).
    pub fn guest_error(&mut self, text: std::fmt::Arguments<'_>) {
        self.log_as(LogItems::GUEST_ERRORS, text);
    }

    /// Tells the user that something on the host's side of this device fails, whatever `-d` says. Callers say a thing once.
    pub fn warning(&mut self, text: std::fmt::Arguments<'_>) {
        let (name, id) = match self.sys.slot(self.me) {
            Some(s) => (s.device_type.name, s.id.clone().map(|id| format!(" '{id}'"))),
            None => ("device", None),
        };
        let id = id.unwrap_or_default();
        self.sys.log.warning(format_args!("{name}{id}: {text}"));
    }

    /// Logs the use of something that is not modelled (`-d unimp`).
    pub fn unimplemented(&mut self, text: std::fmt::Arguments<'_>) {
        self.log_as(LogItems::UNIMP, text);
    }

    fn log_as(&mut self, items: LogItems, text: std::fmt::Arguments<'_>) {
        if self.sys.log.on(items) {
            let name = self.sys.slot(self.me).map_or("device", |s| s.device_type.name);
            self.sys.log.line(format_args!("{name}: {text}"));
        }
    }
}

/// What `create` may do beyond reading properties.
pub struct Build<'a> {
    pub(super) sys: &'a mut System,
    pub(super) me: DeviceId,
}

impl Build<'_> {
    /// The id that the device will have.
    pub fn me(&self) -> DeviceId {
        self.me
    }

    /// The kind of bus that the device is for.
    pub fn bus(&self) -> BusKind {
        self.sys.slot(self.me).map_or(BusKind::None, |s| s.device_type.bus)
    }

    /// Processors of the machine, as far as they are there: boards put them in before anything else.
    pub fn processors(&self) -> usize {
        self.sys.cpu_ports.len()
    }

    /// Chooses another size for a region than the declared one.
    pub fn region_size(&mut self, region: usize, bytes: u64) {
        if let Some(r) = self.sys.slot_mut(self.me).and_then(|s| s.regions.get_mut(region)) {
            r.size = bytes;
        }
    }

    /// Bytes of a region.
    pub fn region_len(&self, region: usize) -> u64 {
        let slot = self.sys.slot(self.me);
        slot.and_then(|s| s.regions.get(region)).map_or(0, |r| r.size)
    }

    /// Puts memory behind a region, as `Ctx::back_region` does later.
    pub fn back_region(&mut self, region: usize, block: RamBlock) {
        if let Some(r) = self.sys.slot_mut(self.me).and_then(|s| s.regions.get_mut(region)) {
            r.backing = Some(block);
        }
    }

    /// Gives the device a read-only region beyond those of its type, with memory behind it (an expansion ROM that the user names).
    /// Returns its number.
    pub fn add_rom(&mut self, decl: &'static Region, block: RamBlock) -> usize {
        let Some(s) = self.sys.slot_mut(self.me) else {
            return usize::MAX;
        };
        s.regions.push(RegionState {
            decl,
            size: block.len(),
            mappings: SmallVec::new(),
            backing: Some(block),
            readonly: true,
            index: RegisterIndex::of(decl),
            cast: None,
        });
        s.regions.len() - 1
    }

    /// Says where the device's properties want it on the board.
    pub fn place_wish(&mut self, wish: PlaceWish) {
        if let Some(s) = self.sys.slot_mut(self.me) {
            s.wish = wish;
        }
    }

    /// A back end as its concrete type, to attach to it. `None` if it is gone or of another kind.
    pub fn backend<T: Backend>(&mut self, id: BackendId) -> Option<(&mut T, HostCx<'_>)> {
        self.sys.host.get(id)
    }

    /// The back end of a type that a machine has one of, made if this is the first device to use it.
    pub fn only_backend<T: Backend + Default>(&mut self) -> BackendId {
        self.sys.host.find_or_add::<T>()
    }

    /// Takes in a back end that is this device's alone; [`Build::only_backend`] and properties lead to others.
    ///
    /// # Errors
    /// When `make` fails; nothing is left behind.
    pub fn add_backend<E>(
        &mut self,
        make: impl FnOnce(&mut HostCx<'_>) -> Result<Box<dyn Backend>, E>,
    ) -> Result<BackendId, E> {
        self.sys.host.add(make)
    }

    /// Says where one of the device's connections leads, for rules of fault injection: to the back end of that id. `closed` is the token
    /// of the completion by which the device hears that the other side is gone.
    pub fn name_port(&mut self, port: u32, backend: &str, closed: u64) {
        self.sys.faults.ends.add(self.me, port, backend, closed);
    }

    /// Frequency of an input clock in Hz; 0 if open.
    pub fn clock_hz(&self, input: usize) -> u64 {
        let node = self
            .sys
            .slot(self.me)
            .and_then(|s| s.clocks.get(input).copied().flatten());
        node.map_or(0, |n| self.sys.clock_hz(n))
    }

    /// The node of an input clock, for a device that also drives it (a system controller).
    pub fn clock_node(&self, input: usize) -> Option<ClockNode> {
        self.sys.slot(self.me)?.clocks.get(input).copied().flatten()
    }

    /// Asks the machine to wait a moment at its start for something that the host is about to do; `Ctx::release_start` ends it.
    pub fn hold_start(&mut self) {
        self.sys.start_holds += 1;
    }
}
