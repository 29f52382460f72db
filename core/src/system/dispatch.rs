//! Calls of devices: out of the slot, into the method, back; what a device sees of an access is decided here from declared data.

use super::*;

impl System {
    /// Calls a device: takes it out, hands it the context, puts it back. `None` if it is gone or already out.
    pub fn with_device<R>(&mut self, id: DeviceId, f: impl FnOnce(&mut dyn Device, &mut Ctx<'_>) -> R) -> Option<R> {
        let mut device = self.slot_mut(id)?.device.take()?;
        let r = f(&mut *device, &mut Ctx { sys: self, me: id });
        // A device that removed itself while it ran has no slot to go back to.
        if let Some(s) = self.slot_mut(id) {
            s.device = Some(device);
        }
        Some(r)
    }

    /// Calls a device in one of its roles. `None` if it is gone, already out, or has no such role.
    pub fn with_role<R: ?Sized + 'static, T>(
        &mut self,
        id: DeviceId,
        f: impl FnOnce(&mut R, &mut Ctx<'_>) -> T,
    ) -> Option<T> {
        let cast = Role::cast::<R>(self.slot(id)?.device_type.roles)?;
        self.with_device(id, |d, cx| cast(d as &mut dyn Any).map(|role| f(role, cx)))
            .flatten()
    }

    #[inline]
    pub(super) fn mmio_read(&mut self, id: DeviceId, region: usize, offset: u64, size: u8) -> Result<u64, BusError> {
        if self.probes.contains(Probes::MMIO) {
            return self.probed_read(id, region, offset, size);
        }
        self.register_read(id, region, offset, size)
    }

    #[inline]
    pub(super) fn mmio_write(
        &mut self,
        id: DeviceId,
        region: usize,
        offset: u64,
        size: u8,
        value: u64,
    ) -> Result<(), BusError> {
        if self.probes.contains(Probes::MMIO) {
            return self.probed_write(id, region, offset, size, value);
        }
        self.register_write(id, region, offset, size, value)
    }

    #[inline]
    pub(crate) fn register_read(
        &mut self,
        id: DeviceId,
        region: usize,
        offset: u64,
        size: u8,
    ) -> Result<u64, BusError> {
        let (plan, cast, endian) = self.plan(id, region, offset, size, false)?;
        let value = match plan {
            Plan::Once(access) => {
                let raw = self.call_mmio(id, cast, |m, cx| m.read(access, cx))?;
                fit(raw, access, offset, size)
            }
            Plan::Split { step } => {
                let mut value = 0;
                for i in (0..size).step_by(usize::from(step)) {
                    let access = piece(region, offset, i, step);
                    let part = self.call_mmio(id, cast, |m, cx| m.read(access, cx))?;
                    value |= (part & mask(step)) << (8 * i);
                }
                value
            }
            Plan::Refuse(why) => return self.refuse(id, offset, size, &why).map(|()| 0),
        };
        Ok(match endian {
            Endian::Big => swap(value, size),
            Endian::Little => value,
        })
    }

    #[inline]
    pub(crate) fn register_write(
        &mut self,
        id: DeviceId,
        region: usize,
        offset: u64,
        size: u8,
        value: u64,
    ) -> Result<(), BusError> {
        let (plan, cast, endian) = self.plan(id, region, offset, size, true)?;
        if let Plan::Refuse(why) = plan {
            return self.refuse(id, offset, size, &why);
        }
        let value = match endian {
            Endian::Big => swap(value, size),
            Endian::Little => value & mask(size),
        };
        match plan {
            Plan::Once(access) => {
                let value = value << (8 * (offset - access.offset));
                self.call_mmio(id, cast, |m, cx| m.write(access, value, cx))
            }
            Plan::Split { step } => {
                for i in (0..size).step_by(usize::from(step)) {
                    let access = piece(region, offset, i, step);
                    self.call_mmio(id, cast, |m, cx| m.write(access, value >> (8 * i) & mask(step), cx))?;
                }
                Ok(())
            }
            Plan::Refuse(_) => Ok(()),
        }
    }

    /// Decides, from declared data alone, what the device gets to see of an access.
    #[inline(always)]
    fn plan(
        &self,
        id: DeviceId,
        region: usize,
        offset: u64,
        size: u8,
        write: bool,
    ) -> Result<(Plan, Option<MmioCast>, Endian), BusError> {
        let slot = self.slot(id).ok_or(BusError::Unmapped)?;
        let state = slot.regions.get(region).ok_or(BusError::Unmapped)?;
        Ok((state.plan(region, offset, size, write), state.cast, state.decl.endian))
    }

    /// An access that the device does not get to see: logged, and an error only if the bus itself forbids it.
    #[cold]
    fn refuse(&mut self, id: DeviceId, offset: u64, size: u8, why: &Refusal) -> Result<(), BusError> {
        let name = self.slot(id).map_or("device", |s| s.device_type.name);
        match why {
            Refusal::Shape => {
                self.guest_error(
                    name,
                    format_args!("access of {size} bytes at offset {offset:#x} has no valid width or alignment"),
                );
                return Err(BusError::Size);
            }
            Refusal::NoRegister => self.guest_error(name, format_args!("no register at offset {offset:#x}")),
            Refusal::ReadOnly(register) => self.guest_error(
                name,
                format_args!("write to the read-only register {register} at offset {offset:#x}"),
            ),
            Refusal::WriteOnly(register) => self.guest_error(
                name,
                format_args!("read of the write-only register {register} at offset {offset:#x}"),
            ),
        }
        Ok(())
    }

    /// Calls the device as what answers registers; a region without that role reads as 0.
    #[inline]
    fn call_mmio<T: Default>(
        &mut self,
        id: DeviceId,
        cast: Option<MmioCast>,
        f: impl FnOnce(&mut dyn Mmio, &mut Ctx<'_>) -> T,
    ) -> Result<T, BusError> {
        let Some(cast) = cast else { return Ok(T::default()) };
        if self.depth >= MAX_DEPTH {
            return Err(BusError::Busy);
        }
        let slot = self.slot_mut(id).ok_or(BusError::Unmapped)?;
        let mut device = slot.device.take().ok_or(BusError::Busy)?;
        self.depth += 1;
        let result = cast(&mut *device as &mut dyn Any).map(|m| f(m, &mut Ctx { sys: self, me: id }));
        self.depth -= 1;
        if let Some(s) = self.slot_mut(id) {
            s.device = Some(device);
        }
        self.settle();
        result.ok_or(BusError::Target)
    }

    pub(super) fn guest_error(&mut self, device: &str, text: std::fmt::Arguments<'_>) {
        if self.log.on(LogItems::GUEST_ERRORS) {
            self.log.line(format_args!("{device}: {text}"));
        }
    }
}

/// What the device gets to see of an access.
enum Plan {
    Once(Access),
    Split { step: u8 },
    Refuse(Refusal),
}

/// Why it gets to see nothing.
enum Refusal {
    Shape,
    NoRegister,
    ReadOnly(&'static str),
    WriteOnly(&'static str),
}

impl RegionState {
    /// What an address leads to where the region is mapped.
    pub(super) fn target(&self, device: DeviceId, region: usize) -> Target {
        let memory = self.backing.as_ref().filter(|b| b.len() >= self.size);
        match (self.decl.kind, memory) {
            (RegionKind::Mmio, None) => Target::Device {
                device,
                region,
                offset: 0,
            },
            (kind, Some(block)) => Target::Ram {
                block: block.clone(),
                offset: 0,
                readonly: self.readonly || kind == RegionKind::Mmio,
            },
            (RegionKind::Ram, None) => Target::Empty,
        }
    }

    #[inline(always)]
    fn plan(&self, region: usize, offset: u64, size: u8, write: bool) -> Plan {
        let decl = self.decl;
        if size < decl.valid.0 || size > decl.valid.1 || offset & u64::from(size - 1) != 0 {
            return Plan::Refuse(Refusal::Shape);
        }
        let native = size.clamp(decl.native.0, decl.native.1);
        let aligned = offset & !u64::from(native - 1);
        match self.index.find(decl, aligned) {
            Some(None) => return Plan::Refuse(Refusal::NoRegister),
            Some(Some(r)) if write && r.access == RegisterAccess::ReadOnly => {
                return Plan::Refuse(Refusal::ReadOnly(r.name));
            }
            Some(Some(r)) if !write && r.access == RegisterAccess::WriteOnly => {
                return Plan::Refuse(Refusal::WriteOnly(r.name));
            }
            _ => {}
        }
        if native < size {
            return Plan::Split { step: native };
        }
        Plan::Once(Access {
            region,
            offset: aligned,
            size: native,
            lanes: lanes(size) << (offset - aligned),
        })
    }
}

/// One of the accesses that a wide one is split into.
fn piece(region: usize, offset: u64, i: u8, step: u8) -> Access {
    Access {
        region,
        offset: offset + u64::from(i),
        size: step,
        lanes: lanes(step),
    }
}

fn lanes(size: u8) -> u8 {
    ((1u16 << size) - 1) as u8
}

fn mask(size: u8) -> u64 {
    if size >= 8 { u64::MAX } else { (1 << (8 * size)) - 1 }
}

/// The bytes of a native read that the bus asked for.
fn fit(raw: u64, access: Access, offset: u64, size: u8) -> u64 {
    (raw & mask(access.size)) >> (8 * (offset - access.offset)) & mask(size)
}

fn swap(value: u64, size: u8) -> u64 {
    value.swap_bytes() >> (64 - 8 * u32::from(size))
}
