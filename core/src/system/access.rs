//! Accesses to the address space: RAM at once, everything else through the dispatch.

use super::*;

/// Bytes of the next access of a copy that meets `target` at `into` with `left` bytes to go: for a device as many as its bus lets through
/// at once and the alignment allows. A message of an interrupt is one access for this reason.
fn copy_width(slots: &[Option<Slot>], target: &Target, into: u64, left: usize) -> u8 {
    let Target::Device { device, region, offset } = target else {
        return 1;
    };
    let slot = slots.get(device.index()).and_then(Option::as_ref);
    let Some(r) = slot.and_then(|s| s.regions.get(*region)) else {
        return 1;
    };
    let offset = offset + into;
    let fits = |w: &u8| {
        let w = u64::from(*w);
        w <= r.decl.valid.1.into() && w <= left as u64 && offset.is_multiple_of(w) && offset + w <= r.size
    };
    [8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// The first bytes of a slice as a number.
fn first_bytes(data: &[u8], width: u8) -> u64 {
    let bytes = data.iter().take(width.into()).enumerate();
    bytes.fold(0, |value, (i, b)| value | u64::from(*b) << (8 * i))
}

/// The device that takes writes to read-only memory: one that put it behind a region of registers.
#[cold]
fn rom_device(slots: &[Option<Slot>], block: &RamBlock) -> Option<(DeviceId, usize)> {
    slots.iter().flatten().find_map(|s| {
        let mut regions = s.regions.iter();
        let region = regions.position(|r| r.decl.kind == RegionKind::Mmio && r.backing.as_ref() == Some(block))?;
        Some((s.me, region))
    })
}

impl System {
    /// The window of RAM around an address, for a CPU's cache; `None` if something else than RAM is there.
    pub fn ram_window(&mut self, address: u64) -> Option<RamWindow> {
        let r = self.memory.find(address)?;
        match &r.target {
            Target::Ram {
                block,
                offset,
                readonly,
            } => RamWindow::new(r.start, (r.last - r.start).checked_add(1)?, *readonly, block, *offset),
            _ => None,
        }
    }

    /// Reads 1, 2, 4 or 8 bytes, little-endian, as one access.
    pub fn read(&mut self, address: u64, size: u8) -> Result<u64, BusError> {
        let r = self.memory.find(address).ok_or(BusError::Unmapped)?;
        let into = address - r.start;
        if u64::from(size) > (r.last - address).saturating_add(1) {
            return self.read_across(address, size);
        }
        match &r.target {
            Target::Device { device, region, offset } => {
                let (device, region, offset) = (*device, *region, *offset + into);
                self.mmio_read(device, region, offset, size)
            }
            Target::Ram { block, offset, .. } => {
                let mut bytes = [0; 8];
                let ok = block.read(*offset + into, &mut bytes[..usize::from(size.min(8))]);
                if ok {
                    Ok(u64::from_le_bytes(bytes))
                } else {
                    Err(BusError::Unmapped)
                }
            }
            Target::Unimplemented => {
                let mapping = r.mapping;
                self.log_unimplemented(mapping, address, size, None);
                Ok(0)
            }
            Target::Empty => Ok(0),
        }
    }

    /// Writes the low 1, 2, 4 or 8 bytes of `value`, little-endian, as one access.
    pub fn write(&mut self, address: u64, size: u8, value: u64) -> Result<(), BusError> {
        let r = self.memory.find(address).ok_or(BusError::Unmapped)?;
        let into = address - r.start;
        if u64::from(size) > (r.last - address).saturating_add(1) {
            return self.write_across(address, size, value);
        }
        match &r.target {
            Target::Device { device, region, offset } => {
                let (device, region, offset) = (*device, *region, *offset + into);
                self.mmio_write(device, region, offset, size, value)
            }
            Target::Ram {
                block,
                offset,
                readonly: false,
            } => {
                let at = *offset + into;
                let len = usize::from(size.min(8));
                if !block.write(at, &value.to_le_bytes()[..len]) {
                    return Err(BusError::Unmapped);
                }
                self.tape.wrote(address, &value.to_le_bytes()[..len]);
                if block.code_hit(at, len as u64) {
                    let block = block.id();
                    self.code_written(CodeWrite {
                        block,
                        offset: at,
                        len: len as u64,
                    });
                }
                Ok(())
            }
            Target::Ram { block, offset, .. } => {
                let offset = *offset + into;
                if let Some((device, region)) = rom_device(&self.slots, block) {
                    return self.mmio_write(device, region, offset, size, value);
                }
                if self.log.on(LogItems::GUEST_ERRORS) {
                    self.log.line(format_args!(
                        "write of {value:#x} ({size} bytes) to ROM at {address:#x} has no effect"
                    ));
                }
                Ok(())
            }
            Target::Unimplemented => {
                let mapping = r.mapping;
                self.log_unimplemented(mapping, address, size, Some(value));
                Ok(())
            }
            Target::Empty => Ok(()),
        }
    }

    /// An access that leaves its range is done byte by byte, as a bus would split it.
    fn read_across(&mut self, address: u64, size: u8) -> Result<u64, BusError> {
        let mut value = 0;
        for i in 0..u64::from(size) {
            let at = address.checked_add(i).ok_or(BusError::Unmapped)?;
            value |= self.read(at, 1)? << (8 * i);
        }
        Ok(value)
    }

    fn write_across(&mut self, address: u64, size: u8, value: u64) -> Result<(), BusError> {
        for i in 0..u64::from(size) {
            let at = address.checked_add(i).ok_or(BusError::Unmapped)?;
            self.write(at, 1, value >> (8 * i) & 0xff)?;
        }
        Ok(())
    }

    /// Copies out of the address space: RAM in one go, registers in the widest accesses that they take.
    pub fn read_bytes(&mut self, address: u64, out: &mut [u8]) -> Result<(), BusError> {
        let mut done = 0;
        while done < out.len() {
            let at = address.checked_add(done as u64).ok_or(BusError::Unmapped)?;
            let r = self.memory.find(at).ok_or(BusError::Unmapped)?;
            let here = ((r.last - at).saturating_add(1)).min((out.len() - done) as u64) as usize;
            match &r.target {
                Target::Ram { block, offset, .. } => {
                    if !block.read(*offset + (at - r.start), &mut out[done..done + here]) {
                        return Err(BusError::Unmapped);
                    }
                    done += here;
                }
                target => {
                    let width = copy_width(&self.slots, target, at - r.start, out.len() - done);
                    let value = self.read(at, width)?.to_le_bytes();
                    let width = usize::from(width);
                    out[done..done + width].copy_from_slice(&value[..width]);
                    done += width;
                }
            }
        }
        Ok(())
    }

    /// Copies into the address space; ROM is left as it is.
    pub fn write_bytes(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        self.copy_in(address, data, false)
    }

    /// Copies into the address space, ROM included: what a loader does before the guest runs.
    pub fn load_bytes(&mut self, address: u64, data: &[u8]) -> Result<(), BusError> {
        self.copy_in(address, data, true)
    }

    fn copy_in(&mut self, address: u64, data: &[u8], into_rom: bool) -> Result<(), BusError> {
        self.tape.wrote(address, data);
        let mut done = 0;
        while done < data.len() {
            let at = address.checked_add(done as u64).ok_or(BusError::Unmapped)?;
            let r = self.memory.find(at).ok_or(BusError::Unmapped)?;
            let here = ((r.last - at).saturating_add(1)).min((data.len() - done) as u64) as usize;
            match &r.target {
                Target::Ram {
                    block,
                    offset,
                    readonly,
                } => {
                    if *readonly
                        && !into_rom
                        && let Some((device, region)) = rom_device(&self.slots, block)
                    {
                        let offset = *offset;
                        let target = Target::Device { device, region, offset };
                        let width = copy_width(&self.slots, &target, at - r.start, data.len() - done);
                        self.write(at, width, first_bytes(&data[done..], width))?;
                        done += usize::from(width);
                        continue;
                    }
                    let offset = *offset + (at - r.start);
                    let hit = block.code_hit(offset, here as u64);
                    let write = CodeWrite {
                        block: block.id(),
                        offset,
                        len: here as u64,
                    };
                    if (into_rom || !readonly) && !block.write(offset, &data[done..done + here]) {
                        return Err(BusError::Unmapped);
                    }
                    if hit {
                        self.code_written(write);
                    }
                    done += here;
                }
                target => {
                    let width = copy_width(&self.slots, target, at - r.start, data.len() - done);
                    self.write(at, width, first_bytes(&data[done..], width))?;
                    done += usize::from(width);
                }
            }
        }
        Ok(())
    }

    fn log_unimplemented(&mut self, mapping: MappingId, address: u64, size: u8, write: Option<u64>) {
        if !self.log.on(LogItems::UNIMP) {
            return;
        }
        let (name, start) = self
            .memory
            .mapping(mapping)
            .map(|m| (m.name.clone(), m.start))
            .unwrap_or_default();
        let offset = address - start;
        match write {
            Some(v) => self.log.line(format_args!(
                "{name}: unimplemented write of {v:#x} ({size} bytes) at offset {offset:#x}"
            )),
            None => self.log.line(format_args!(
                "{name}: unimplemented read of {size} bytes at offset {offset:#x}"
            )),
        }
    }
}
