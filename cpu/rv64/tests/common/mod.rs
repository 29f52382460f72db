//! A machine of one hart and RAM, and what loads programs into it.
#![allow(dead_code)]

use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use southbridge_core::machine::Pacing;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{ClockRate, CpuId, Machine};
use southbridge_cpu_rv64::{Config, Rv64};

pub(crate) const RAM: u64 = 0x8000_0000;
pub(crate) const RAM_LEN: u64 = 4 << 20;

/// A machine whose hart starts at the begin of RAM.
pub(crate) fn machine(config: Config) -> Machine {
    let mut m = Machine::empty(ClockRate::Hz(1_000_000_000)).expect("a machine");
    let block = m.add_ram("ram", RAM_LEN).expect("memory");
    let target = Target::Ram {
        block,
        offset: 0,
        readonly: false,
    };
    m.sys.memory.map(Mapping {
        start: RAM,
        len: RAM_LEN,
        priority: 0,
        name: "ram".into(),
        target,
    });
    m.pacing = Pacing::SkipIdle;
    m.set_cpu(Box::new(Rv64::new(config)));
    m
}

/// The usual hart, started in RAM.
pub(crate) fn config() -> Config {
    Config {
        reset_pc: RAM,
        ..Config::max(CpuId(0), 0)
    }
}

/// The hart of a machine.
pub(crate) fn hart(m: &mut Machine) -> &mut Rv64 {
    let cpu: &mut dyn std::any::Any = &mut *m.cpus[0];
    cpu.downcast_mut().expect("a RISC-V hart")
}

/// Instructions at the begin of RAM.
pub(crate) fn program(m: &mut Machine, words: &[u32]) {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    m.sys.load_bytes(RAM, &bytes).expect("RAM");
}

/// Loads an ELF file; where it begins, and where its `.tohost` is.
pub(crate) fn load(m: &mut Machine, file: &[u8]) -> (u64, Option<u64>) {
    let header = FileHeader64::<Endianness>::parse(file).expect("ELF64");
    let e = header.endian().expect("an endianness");
    for segment in header.program_headers(e, file).expect("segments") {
        if segment.p_type(e) == object::elf::PT_LOAD {
            let data = segment.data(e, file).expect("its bytes");
            m.sys.load_bytes(segment.p_paddr(e), data).expect("RAM");
        }
    }
    let sections = header.sections(e, file).expect("sections");
    let tohost = sections.section_by_name(e, b".tohost").map(|(_, s)| s.sh_addr(e));
    (header.e_entry(e), tohost)
}
