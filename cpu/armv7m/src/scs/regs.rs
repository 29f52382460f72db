//! The private peripheral bus: which register stands at which address (ARM ARM B3.2 and table B3-4).
//!
//! Registers are words; byte and halfword accesses work on the lanes of the word, as priorities and fault status need.

use crate::bus::Bus;
use crate::core::Core;
use crate::scs::nvic::{Nvic, number::*};
use crate::scs::scb::{ccr, demcr};

const SHCSR_ENABLES: [(u32, u16); 3] = [(16, MEM_MANAGE), (17, BUS_FAULT), (18, USAGE_FAULT)];
const SHCSR_PENDING: [(u32, u16); 4] = [(12, USAGE_FAULT), (13, MEM_MANAGE), (14, BUS_FAULT), (15, SVCALL)];
const SHCSR_ACTIVE: [(u32, u16); 7] = [
    (0, MEM_MANAGE),
    (1, BUS_FAULT),
    (3, USAGE_FAULT),
    (7, SVCALL),
    (8, DEBUG_MONITOR),
    (10, PENDSV),
    (11, SYSTICK),
];

/// Reads at cycle `now`. An error is a bus fault.
pub(crate) fn read<B: Bus>(core: &mut Core<B>, addr: u32, n: u8, privileged: bool, now: u64) -> Result<u32, ()> {
    if !privileged {
        return Err(());
    }
    let word = read_word(core, addr & !3, now)?;
    let value = word >> (8 * (addr & 3));
    Ok(match n {
        1 => value & 0xff,
        2 => value & 0xffff,
        _ => value,
    })
}

/// Writes at cycle `now`. An error is a bus fault.
pub(crate) fn write<B: Bus>(
    core: &mut Core<B>,
    addr: u32,
    n: u8,
    v: u32,
    privileged: bool,
    now: u64,
) -> Result<(), ()> {
    let stir = addr & !3 == 0xe000_ef00 && core.s.scb.ccr & ccr::USERSETMPEND != 0;
    // ITM stimulus ports are open to everyone (as far as ITM_TPR says; accepted quietly here).
    if !privileged && !stir && !matches!(addr, 0xe000_0000..=0xe000_007f) {
        return Err(());
    }
    if n == 4 {
        return write_word(core, addr, v, now);
    }
    let shift = 8 * (addr & 3);
    let lanes = (if n == 1 { 0xff } else { 0xffff }) << shift;
    let old = match addr & !3 {
        // Write-one-to-clear, or with effects of their own: untouched lanes are written as zero.
        0xe000_ed28..=0xe000_ed30 | 0xe000_e100..=0xe000_e2ff | 0xe000_ed04 => 0,
        a => read_word(core, a, now)?,
    };
    write_word(core, addr & !3, old & !lanes | v << shift & lanes, now)
}

fn read_word<B: Bus>(core: &mut Core<B>, addr: u32, now: u64) -> Result<u32, ()> {
    let irqs = core.cfg.irqs;
    let rates = core.rates();
    let regions = core.cfg.variant.mpu_regions;
    let s = &mut core.s;
    let word = addr >> 2 & 7;
    Ok(match addr {
        0xe000_0000..=0xe000_0fff => s.dwt.read_itm(addr & 0xfff),
        0xe000_1000..=0xe000_1fff => {
            s.dwt.advance(now, s.scb.demcr & demcr::TRCENA != 0);
            s.dwt.read(addr & 0xfff)
        }
        // FPB: no comparators. TPIU: nothing connected.
        0xe000_2000..=0xe000_2fff | 0xe004_0000..=0xe004_0fff => 0,
        0xe000_e004 => u32::from(irqs.saturating_sub(1) / 32),
        0xe000_e008 => 0,
        0xe000_e010..=0xe000_e01c => {
            sync_systick(core, now);
            core.s.systick.read(addr - 0xe000_e010, rates)
        }
        0xe000_e100..=0xe000_e11c | 0xe000_e180..=0xe000_e19c => Nvic::external_word(&s.nvic.enabled, word, irqs),
        0xe000_e200..=0xe000_e21c | 0xe000_e280..=0xe000_e29c => Nvic::external_word(&s.nvic.pending, word, irqs),
        0xe000_e300..=0xe000_e31c => Nvic::external_word(&s.nvic.active, word, irqs),
        0xe000_e400..=0xe000_e4ef => priorities(&s.nvic, EXTERNAL + (addr & 0xff) as u16),
        0xe000_ed00 => core.cfg.variant.cpuid,
        0xe000_ed04 => icsr(core, now),
        0xe000_ed08 => s.scb.vtor,
        0xe000_ed0c => 0xfa05_0000 | u32::from(s.nvic.prigroup) << 8,
        0xe000_ed10 => s.scb.scr,
        0xe000_ed14 => s.scb.ccr,
        0xe000_ed18..=0xe000_ed20 => priorities(&s.nvic, (addr - 0xe000_ed14) as u16),
        0xe000_ed24 => shcsr(&s.nvic),
        0xe000_ed28 => s.scb.cfsr,
        0xe000_ed2c => s.scb.hfsr,
        0xe000_ed30 => s.scb.dfsr,
        0xe000_ed34 => s.scb.mmfar,
        0xe000_ed38 => s.scb.bfar,
        // AFSR: no implementation defined faults. CPACR: no coprocessors.
        0xe000_ed3c | 0xe000_ed88 => 0,
        0xe000_ed40..=0xe000_ed74 => {
            let index = (addr - 0xe000_ed40) >> 2;
            core.cfg.variant.id_registers.get(index as usize).copied().unwrap_or(0)
        }
        0xe000_ed90..=0xe000_edb8 => s.mpu.read(addr - 0xe000_ed90, regions),
        0xe000_edf0..=0xe000_edf8 => 0,
        0xe000_edfc => s.scb.demcr,
        // Reserved words of the SCS and its ID registers read as zero.
        0xe000_e000..=0xe000_efff => 0,
        0xe00f_f000..=0xe00f_ffff => rom_table(addr & 0xfff),
        _ => return Err(()),
    })
}

fn write_word<B: Bus>(core: &mut Core<B>, addr: u32, v: u32, now: u64) -> Result<(), ()> {
    let irqs = core.cfg.irqs;
    let rates = core.rates();
    let regions = core.cfg.variant.mpu_regions;
    core.look_up = true;
    let s = &mut core.s;
    let word = addr >> 2 & 7;
    match addr {
        0xe000_0000..=0xe000_0fff => s.dwt.write_itm(addr & 0xfff, v),
        0xe000_1000..=0xe000_1fff => {
            s.dwt.advance(now, s.scb.demcr & demcr::TRCENA != 0);
            s.dwt.write(addr & 0xfff, v);
        }
        0xe000_2000..=0xe000_2fff | 0xe004_0000..=0xe004_0fff => {}
        0xe000_e010..=0xe000_e01c => {
            sync_systick(core, now);
            core.s.systick.write(addr - 0xe000_e010, v, rates);
        }
        0xe000_e100..=0xe000_e11c => s.nvic.write_enable(word, v, irqs, true),
        0xe000_e180..=0xe000_e19c => s.nvic.write_enable(word, v, irqs, false),
        0xe000_e200..=0xe000_e21c => {
            s.nvic.write_pending(word, v, irqs, true);
            core.pended();
        }
        0xe000_e280..=0xe000_e29c => s.nvic.write_pending(word, v, irqs, false),
        0xe000_e400..=0xe000_e4ef => {
            let first = EXTERNAL + (addr & 0xff) as u16;
            let present = usize::from((EXTERNAL + irqs).saturating_sub(first)).min(4);
            set_priorities(core, first, v, present);
        }
        0xe000_ed04 => write_icsr(core, v),
        0xe000_ed08 => s.scb.vtor = v & 0xffff_ff80,
        0xe000_ed0c => write_aircr(core, v),
        0xe000_ed10 => s.scb.scr = v & 0x16,
        0xe000_ed14 => s.scb.ccr = v & ccr::WRITABLE,
        0xe000_ed18..=0xe000_ed20 => set_priorities(core, (addr - 0xe000_ed14) as u16, v, 4),
        0xe000_ed24 => write_shcsr(&mut s.nvic, v),
        0xe000_ed28 => s.scb.cfsr &= !v,
        0xe000_ed2c => s.scb.hfsr &= !v,
        0xe000_ed30 => s.scb.dfsr &= !v,
        0xe000_ed34 => s.scb.mmfar = v,
        0xe000_ed38 => s.scb.bfar = v,
        0xe000_ed90..=0xe000_edb8 => {
            s.mpu.write(addr - 0xe000_ed90, v, regions);
            core.rights_changed(true);
        }
        0xe000_edfc => write_demcr(core, v, now),
        0xe000_ef00 => {
            let irq = v & 0x1ff;
            if irq < irqs.into() {
                s.nvic.pending.put(EXTERNAL + irq as u16, true);
                core.pended();
            }
        }
        0xe000_e000..=0xe000_efff | 0xe00f_f000..=0xe00f_ffff => {}
        _ => return Err(()),
    }
    Ok(())
}

/// Brings SysTick up to date; its interrupt becomes pending.
pub(crate) fn sync_systick<B: Bus>(core: &mut Core<B>, now: u64) {
    let rates = core.rates();
    if core.s.systick.advance(now, rates) {
        core.s.nvic.pending.put(SYSTICK, true);
        core.pended();
    }
}

/// Exception numbers of the SHPR registers that are there: 4 to 6, 11, 12, 14, 15.
fn has_priority(n: u16) -> bool {
    n >= EXTERNAL
        || matches!(
            n,
            MEM_MANAGE | BUS_FAULT | USAGE_FAULT | SVCALL | DEBUG_MONITOR | PENDSV | SYSTICK
        )
}

fn priorities(nvic: &Nvic, first: u16) -> u32 {
    (0..4)
        .map(|i| u32::from(nvic.priority_byte(first + i)) << (8 * i))
        .sum()
}

fn set_priorities<B: Bus>(core: &mut Core<B>, first: u16, v: u32, present: usize) {
    let mask = core.cfg.priority_mask();
    for (i, byte) in v.to_le_bytes().into_iter().enumerate().take(present) {
        let n = first + i as u16;
        if has_priority(n) {
            core.s.nvic.set_priority_byte(n, byte & mask);
        }
    }
}

fn icsr<B: Bus>(core: &mut Core<B>, now: u64) -> u32 {
    sync_systick(core, now);
    let nvic = &core.s.nvic;
    let vect_pending = nvic.best().map_or(0, |(n, _)| n);
    let mut external = false;
    nvic.pending.each(|n| external |= n >= EXTERNAL);
    // RETTOBASE: no active exception but the running one.
    let others = nvic.active.count() - u32::from(nvic.active.has(core.s.ipsr));
    let base = core.s.ipsr == 0 || others == 0;
    u32::from(core.s.ipsr)
        | u32::from(base) << 11
        | u32::from(vect_pending) << 12
        | u32::from(external) << 22
        | u32::from(nvic.pending.has(SYSTICK)) << 26
        | u32::from(nvic.pending.has(PENDSV)) << 28
        | u32::from(nvic.pending.has(NMI)) << 31
}

fn write_icsr<B: Bus>(core: &mut Core<B>, v: u32) {
    let nvic = &mut core.s.nvic;
    for (set, clear, n) in [(31, 32, NMI), (28, 27, PENDSV), (26, 25, SYSTICK)] {
        if v >> set & 1 != 0 {
            nvic.pending.put(n, true);
        } else if clear < 32 && v >> clear & 1 != 0 {
            nvic.pending.put(n, false);
        }
    }
    core.pended();
}

fn write_aircr<B: Bus>(core: &mut Core<B>, v: u32) {
    if v >> 16 != 0x05fa {
        return;
    }
    core.s.nvic.prigroup = (v >> 8 & 7) as u8;
    // VECTCLRACTIVE and VECTRESET are for debuggers; a running core may not use them.
    core.reset_request |= v & 4 != 0;
}

fn write_demcr<B: Bus>(core: &mut Core<B>, v: u32, now: u64) {
    let s = &mut core.s;
    s.dwt.advance(now, s.scb.demcr & demcr::TRCENA != 0);
    s.scb.demcr = v & demcr::WRITABLE;
    s.nvic.pending.put(DEBUG_MONITOR, v & demcr::MON_PEND != 0);
}

fn bits(set: &crate::scs::nvic::Set, table: &[(u32, u16)]) -> u32 {
    table.iter().map(|(bit, n)| u32::from(set.has(*n)) << bit).sum()
}

fn shcsr(nvic: &Nvic) -> u32 {
    bits(&nvic.active, &SHCSR_ACTIVE) | bits(&nvic.pending, &SHCSR_PENDING) | bits(&nvic.enabled, &SHCSR_ENABLES)
}

fn write_shcsr(nvic: &mut Nvic, v: u32) {
    for (bit, n) in SHCSR_ACTIVE {
        nvic.active.put(n, v >> bit & 1 != 0);
    }
    for (bit, n) in SHCSR_PENDING {
        nvic.pending.put(n, v >> bit & 1 != 0);
    }
    for (bit, n) in SHCSR_ENABLES {
        nvic.enabled.put(n, v >> bit & 1 != 0);
    }
}

/// CoreSight ROM table of the Cortex-M3 (TRM table 8-1): SCS, DWT, FPB, ITM present; TPIU and ETM not.
fn rom_table(offset: u32) -> u32 {
    match offset {
        0x00 => 0xfff0_f003,
        0x04 => 0xfff0_2003,
        0x08 => 0xfff0_3003,
        0x0c => 0xfff0_1003,
        0x10 => 0xfff4_1002,
        0x14 => 0xfff4_2002,
        0xfcc => 1,
        _ => 0,
    }
}
