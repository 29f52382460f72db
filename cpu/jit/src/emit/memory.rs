//! Guest memory in a few host instructions; whatever is not plain RAM is left to the engine.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block as Label, InstBuilder, Type, Value as V, types};

use super::{Emitter, PLAIN};
use crate::ir::{Call, Register, Width};
use crate::layout::{GRANULE_SHIFT, Memory, Page, Pages, Reach, Window, WindowsAt};

const TAG: i32 = std::mem::offset_of!(Page, tag) as i32;

/// log2 of an entry of either table.
const ENTRY: i64 = 5;
const _: () = assert!(size_of::<Page>() == 1 << ENTRY && size_of::<Window>() == 1 << ENTRY);

fn kind(bytes: u8) -> Type {
    match bytes {
        1 => types::I8,
        2 => types::I16,
        4 => types::I32,
        _ => types::I64,
    }
}

/// Where an access goes.
struct Way {
    /// Host address.
    host: V,
    /// Host address of the code mark, for a store.
    mark: Option<V>,
}

impl Emitter<'_> {
    /// Fetches what tags of data pages carry.
    pub(super) fn reload_context(&mut self) {
        if let Memory::Paged { context, .. } = self.layout.memory {
            let v = self.home(context, types::I64);
            self.b.def_var(self.context, v);
        }
    }

    pub(super) fn load(&mut self, address: V, width: Width, register: Register, slow: Call) {
        let address = self.resize(address, self.word, types::I64);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        self.asks = slow.what;
        let way = self.way(address, width.bytes, false, cold);
        let before = self.stale;
        let have = kind(width.bytes);
        let v = self.b.ins().load(have, PLAIN, way.host, 0);
        let v = match (have == self.word, width.signed) {
            (true, _) => v,
            (_, true) => self.b.ins().sextend(self.word, v),
            _ => self.b.ins().uextend(self.word, v),
        };
        self.set(register, v);
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(cold);
        let after = std::mem::replace(&mut self.stale, before);
        self.call(slow, true);
        self.reload(register);
        self.stale = after;
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(on);
    }

    pub(super) fn store(&mut self, address: V, width: Width, value: V, slow: Call) {
        let address = self.resize(address, self.word, types::I64);
        self.note(address, width.bytes);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        self.asks = slow.what;
        let way = self.way(address, width.bytes, true, cold);
        if let Some(mark) = way.mark {
            let code = self.b.ins().load(types::I8, PLAIN, mark, 0);
            self.unless(code, cold);
        }
        let v = match kind(width.bytes) {
            ty if ty == self.word => value,
            ty => self.b.ins().ireduce(ty, value),
        };
        self.b.ins().store(PLAIN, v, way.host, 0);
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(cold);
        self.call(slow, true);
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(on);
    }

    /// The page's number, and the address of its entry less the table's offset.
    pub(super) fn page(&mut self, address: V, pages: Pages) -> (V, V) {
        let number = self.b.ins().ushr_imm_u(address, 12);
        let slot = self.b.ins().ushr_imm_u(address, 12 - ENTRY);
        let slot = self.b.ins().band_imm_u(slot, ((1 << pages.log2) - 1) << ENTRY);
        (number, self.b.ins().iadd(self.fixed.guest, slot))
    }

    fn way(&mut self, address: V, bytes: u8, write: bool, other: Label) -> Way {
        match self.layout.memory {
            Memory::Paged {
                read, write: written, ..
            } => self.way_by_page(address, bytes, write, if write { written } else { read }, other),
            Memory::Windows(at) => self.way_mostly(address, bytes, 1, write, at, other),
        }
    }

    fn way_by_page(&mut self, address: V, bytes: u8, write: bool, pages: Pages, cold: Label) -> Way {
        let at = pages.offset as i32;
        let (number, entry) = self.page(address, pages);
        let number = match (write, bytes) {
            // The page of the last byte: an access across two pages matches neither.
            (false, 2..) => {
                let last = self.b.ins().iadd_imm_s(address, i64::from(bytes) - 1);
                self.b.ins().ushr_imm_u(last, 12)
            }
            _ => number,
        };
        let context = self.b.use_var(self.context);
        let want = self.b.ins().bor(number, context);
        let tag = self.b.ins().load(types::I64, PLAIN, entry, at + TAG);
        let other = match (write, bytes) {
            // A store must lie in one granule of code marks: an aligned one does.
            (true, 2..) => {
                let odd = self.b.ins().band_imm_u(address, i64::from(bytes) - 1);
                let differs = self.b.ins().bxor(tag, want);
                let other = self.b.ins().bor(differs, odd);
                self.b.ins().icmp_imm_u(IntCC::NotEqual, other, 0)
            }
            _ => self.b.ins().icmp(IntCC::NotEqual, tag, want),
        };
        self.unless(other, cold);
        let host = self.b.ins().load(types::I64, PLAIN, entry, at + Page::HOST);
        let host = self.b.ins().iadd(host, address);
        let mark = write.then(|| self.mark(entry, at + Page::MARKS, address));
        Way { host, mark }
    }

    /// [`Self::way_by_window`], if there is a window that it mostly is: a look at that one, and the engine looks at all others.
    fn way_mostly(&mut self, address: V, bytes: u8, n: u32, write: bool, at: WindowsAt, cold: Label) -> Way {
        let exact = self.exact.take();
        let Some((window, plain)) = self.hint.take() else {
            return self.way_by_window(address, bytes, n, write, at, cold);
        };
        let Some(last) = window.last(bytes, n, write) else {
            return self.way_by_window(address, bytes, n, write, at, cold);
        };
        let unit = |address: u32| address.wrapping_sub(window.first).rotate_right(bytes.trailing_zeros());
        if let Some(address) = exact
            && !write
            && unit(address as u32) <= last
        {
            let host = self.constant(window.host.wrapping_add(address));
            return Way { host, mark: None };
        }
        let (other, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(other);
        let host = self.b.append_block_param(on, types::I64);
        let low = self.b.ins().ireduce(types::I32, address);
        let distance = self.b.ins().iadd_imm_s(low, -i64::from(window.first as i32));
        // What is not aligned is very far away.
        let unit = match bytes.trailing_zeros() {
            0 => distance,
            shift => self.b.ins().rotr_imm_u(distance, i64::from(shift)),
        };
        let is_other = self
            .b
            .ins()
            .icmp_imm_u(IntCC::UnsignedGreaterThan, unit, i64::from(last));
        self.unless(is_other, other);
        if write && !plain {
            let more = i64::from(bytes) * i64::from(n.saturating_sub(1));
            for place in [0, more].into_iter().take(1 + usize::from(more > 0)) {
                let end = self.b.ins().iadd_imm_s(address, place);
                let granule = self.b.ins().ushr_imm_u(end, i64::from(GRANULE_SHIFT));
                let marks = self.constant(window.marks);
                let mark = self.b.ins().iadd(marks, granule);
                let code = self.b.ins().load(types::I8, PLAIN, mark, 0);
                self.unless(code, cold);
            }
        }
        let base = self.constant(window.host);
        let there = self.b.ins().iadd(base, address);
        self.b.ins().jump(on, &[there.into()]);
        self.b.switch_to_block(other);
        let how = self.constant(Reach::what(self.asks, bytes, n, write));
        let what = self.b.ins().bor(address, how);
        let thunk = self.constant(self.shared.thunk);
        let arguments = [self.fixed.guest, self.fixed.world, what];
        self.b.ins().call_indirect(self.thunk, thunk, &arguments);
        let there = self.home(self.layout.exit, types::I64);
        self.b.ins().brif(there, on, &[there.into()], cold, &[]);
        self.b.switch_to_block(on);
        Way { host, mark: None }
    }

    /// `n` accesses of `bytes` each, the first of them aligned.
    fn way_by_window(&mut self, address: V, bytes: u8, n: u32, write: bool, at: WindowsAt, cold: Label) -> Way {
        let offset = at.offset as i32;
        let slot = self.b.ins().ushr_imm_u(address, i64::from(at.shift));
        let slot = self.b.ins().ishl_imm_u(slot, ENTRY);
        let entry = self.b.ins().iadd(self.fixed.guest, slot);
        let first = self.b.ins().uload32(PLAIN, entry, offset + Window::FIRST);
        let len = if write { Window::WRITE } else { Window::READ };
        let len = self.b.ins().uload32(PLAIN, entry, offset + len);
        // Below the window the distance wraps to beyond any length. Window and access are aligned: one has all of the other or nothing.
        let distance = self.b.ins().isub(address, first);
        let other = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, distance, len);
        self.unless(other, cold);
        let more = i64::from(bytes) * i64::from(n.saturating_sub(1));
        if more > 0 {
            let last = self.b.ins().iadd_imm_s(distance, more);
            let other = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, last, len);
            self.unless(other, cold);
        }
        if bytes > 1 {
            let odd = self.b.ins().band_imm_u(address, i64::from(bytes) - 1);
            self.unless(odd, cold);
        }
        let host = self.b.ins().load(types::I64, PLAIN, entry, offset + Window::HOST);
        let host = self.b.ins().iadd(host, address);
        if !write {
            return Way { host, mark: None };
        }
        if more > 0 {
            // At most two granules.
            let last = self.b.ins().iadd_imm_s(address, more);
            let mark = self.mark(entry, offset + Window::MARKS, last);
            let code = self.b.ins().load(types::I8, PLAIN, mark, 0);
            self.unless(code, cold);
        }
        let mark = Some(self.mark(entry, offset + Window::MARKS, address));
        Way { host, mark }
    }

    /// Where `n` words from the address are, if one window has them all.
    fn way_to_many(&mut self, address: V, n: u32, write: bool, cold: Label) -> Way {
        let Memory::Windows(at) = self.layout.memory else {
            // Whoever has pages moves one word at a time.
            let always = self.constant(1);
            self.unless(always, cold);
            return Way {
                host: address,
                mark: None,
            };
        };
        self.way_mostly(address, 4, n, write, at, cold)
    }

    pub(super) fn load_many(&mut self, address: V, all: &[Register], slow: Call) {
        let address = self.resize(address, self.word, types::I64);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        self.asks = slow.what;
        let way = self.way_to_many(address, all.len() as u32, false, cold);
        // All are read before any is set: one of them may be the base.
        let values: Vec<V> = (0..all.len() as i32)
            .map(|i| self.b.ins().load(types::I32, PLAIN, way.host, 4 * i))
            .collect();
        let before = self.stale;
        for (r, v) in all.iter().zip(values) {
            let v = self.resize(v, types::I32, self.word);
            self.set(*r, v);
        }
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(cold);
        let after = std::mem::replace(&mut self.stale, before);
        self.call(slow, true);
        all.iter().for_each(|r| self.reload(*r));
        self.stale = after;
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(on);
    }

    pub(super) fn store_many(&mut self, address: V, all: &[Register], slow: Call) {
        let address = self.resize(address, self.word, types::I64);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        if self.layout.note.is_some() {
            for i in 0..all.len() as i64 {
                let at = self.b.ins().iadd_imm_s(address, 4 * i);
                self.note(at, 4);
            }
        }
        self.asks = slow.what;
        let way = self.way_to_many(address, all.len() as u32, true, cold);
        if let Some(mark) = way.mark {
            let code = self.b.ins().load(types::I8, PLAIN, mark, 0);
            self.unless(code, cold);
        }
        for (i, r) in (0..).zip(all) {
            let v = self.get(*r);
            let v = self.resize(v, self.word, types::I32);
            self.b.ins().store(PLAIN, v, way.host, 4 * i);
        }
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(cold);
        self.call(slow, true);
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(on);
    }

    fn mark(&mut self, entry: V, offset: i32, address: V) -> V {
        let marks = self.b.ins().load(types::I64, PLAIN, entry, offset);
        let granule = self.b.ins().ushr_imm_u(address, i64::from(GRANULE_SHIFT));
        self.b.ins().iadd(marks, granule)
    }
}
