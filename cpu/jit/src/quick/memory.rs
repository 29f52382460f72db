//! Guest memory: as [`crate::emit`] has it, by the translations that the engine keeps.

use super::asm::{Alu, Cc, Host, RAX, RCX, RDI, RDX, Rm, Shift};
use super::{Guest, Place, Quick, Slow, Unknown, home};
use crate::ir::{Call, Value, Width};
use crate::layout::{GRANULE_SHIFT, Memory, NOTE, Pages, Slot};

/// log2 of an entry of a table of pages.
const ENTRY: u8 = 5;

impl Quick<'_> {
    fn pages(&self, write: bool) -> Result<(Pages, Slot), Unknown> {
        match self.layout.memory {
            Memory::Paged { read, context, .. } if !write => Ok((read, context)),
            Memory::Paged { write, context, .. } => Ok((write, context)),
            Memory::Windows(_) => Err(Unknown),
        }
    }

    /// RCX becomes the offset of the entry of an address in a table of pages.
    pub(super) fn entry(&mut self, address: Host, pages: Pages) {
        self.asm.copy(RCX, address);
        self.asm.shift(Shift::Shr, RCX, 12 - ENTRY);
        self.asm.and32(RCX, ((1 << pages.log2) - 1) << ENTRY);
    }

    /// Brings an address into RAX.
    fn address(&mut self, address: Value) -> Result<(), Unknown> {
        match self.place(address)? {
            Place::Host(h) => self.asm.copy(RAX, h),
            Place::Constant(c) => self.asm.constant(RAX, c),
            Place::None => return Err(Unknown),
        }
        Ok(())
    }

    pub(super) fn load(&mut self, address: Value, width: Width, register: u8, slow: Call) -> Result<(), Unknown> {
        let (pages, context) = self.pages(false)?;
        self.address(address)?;
        // The value is the register's alone: the old one's place is free, too.
        self.forget_guest(register);
        let h = self.fresh()?;
        self.entry(RAX, pages);
        match width.bytes {
            1 => self.asm.copy(RDX, RAX),
            // The page of the last byte: an access across two pages matches neither.
            n => self.asm.lea(RDX, Rm::At(RAX, i32::from(n) - 1)),
        }
        self.asm.shift(Shift::Shr, RDX, 12);
        self.asm.alu(Alu::Or, RDX, home(context));
        self.asm.alu(Alu::Cmp, RDX, Rm::Sum(RDI, RCX, pages.tag()));
        let from = vec![self.asm.jump_if(Cc::NotEqual)];
        self.asm.alu(Alu::Add, RAX, Rm::Sum(RDI, RCX, pages.host()));
        self.asm.load_part(h, Rm::At(RAX, 0), width.bytes, width.signed);
        let to = self.guest_home(register)?;
        self.asm.store(h, to, 8);
        self.is_in(register, h);
        self.slow.push(Slow {
            from,
            call: slow,
            result: Some((register, h)),
            back: self.asm.here(),
        });
        Ok(())
    }

    pub(super) fn store(&mut self, address: Value, width: Width, value: Value, slow: Call) -> Result<(), Unknown> {
        let (pages, context) = self.pages(true)?;
        self.address(address)?;
        if let Some(note) = self.layout.note {
            self.asm.store(RAX, home(note), 8);
            self.tell(NOTE | u64::from(width.bytes));
            self.address(address)?;
        }
        self.entry(RAX, pages);
        self.asm.copy(RDX, RAX);
        self.asm.shift(Shift::Shr, RDX, 12);
        self.asm.alu(Alu::Or, RDX, home(context));
        self.asm.alu(Alu::Cmp, RDX, Rm::Sum(RDI, RCX, pages.tag()));
        let mut from = vec![self.asm.jump_if(Cc::NotEqual)];
        if width.bytes > 1 {
            // A store must lie in one granule of code marks: an aligned one does.
            self.asm.test_bits(RAX, i32::from(width.bytes) - 1);
            from.push(self.asm.jump_if(Cc::NotEqual));
        }
        self.asm.copy(RDX, RAX);
        self.asm.shift(Shift::Shr, RDX, GRANULE_SHIFT as u8);
        self.asm.alu(Alu::Add, RDX, Rm::Sum(RDI, RCX, pages.marks()));
        self.asm.compare_byte_with_0(Rm::At(RDX, 0));
        from.push(self.asm.jump_if(Cc::NotEqual));
        self.asm.alu(Alu::Add, RAX, Rm::Sum(RDI, RCX, pages.host()));
        let v = self.host(value, RDX)?;
        self.asm.store(v, Rm::At(RAX, 0), width.bytes);
        self.slow.push(Slow {
            from,
            call: slow,
            result: None,
            back: self.asm.here(),
        });
        Ok(())
    }

    /// The engine executes an instruction here.
    pub(super) fn call(&mut self, call: Call) {
        self.engine(call);
        for r in (0..64).filter(|r| call.writes >> r & 1 != 0) {
            self.forget_guest(r);
        }
    }

    /// Reads a guest register.
    pub(super) fn get(&mut self, i: usize, r: u8) -> Result<(), Unknown> {
        match self.guests[usize::from(r & 63)] {
            Guest::Host(h) => self.made(i, h),
            Guest::Constant(c) => self.values[i] = Place::Constant(c),
            Guest::Home => {
                let h = self.fresh()?;
                let from = self.guest_home(r)?;
                self.asm.load(h, from);
                self.is_in(r, h);
                self.made(i, h);
            }
        }
        Ok(())
    }

    /// Sets a guest register, here and at home.
    pub(super) fn set(&mut self, r: u8, v: Value) -> Result<(), Unknown> {
        let to = self.guest_home(r)?;
        match self.place(v)? {
            Place::Host(h) => {
                self.asm.store(h, to, 8);
                self.is_in(r, h);
            }
            Place::Constant(c) => {
                match i32::try_from(c as i64) {
                    Ok(c) => self.asm.store_constant(c, to),
                    Err(_) => {
                        self.asm.constant(RAX, c);
                        self.asm.store(RAX, to, 8);
                    }
                }
                self.forget_guest(r);
                self.guests[usize::from(r & 63)] = Guest::Constant(c);
            }
            Place::None => return Err(Unknown),
        }
        Ok(())
    }
}
