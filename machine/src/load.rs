//! Programs into memory: ELF, Intel HEX and raw binaries, all checked against the board before a byte is written.

use object::Endianness;
use object::elf::{ELFCLASS32, ELFCLASS64, ELFMAG, EM_ARM, EM_RISCV, FileClass, FileHeader32, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use southbridge_core::machine::Image;
use southbridge_core::memory::Target;
use southbridge_core::{AddressSpace, Machine};
use thiserror::Error;

use crate::board::Isa;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// By its contents: ELF by its magic, HEX if every line is a record, else raw.
    Detect,
    /// The bytes as they are.
    Raw,
}

/// A program as found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Pieces with their addresses.
    pub pieces: Vec<(u64, Vec<u8>)>,
    /// Entry point, if the format has one.
    pub entry: Option<u64>,
    /// First address behind all it occupies at run time, zeroed data included, if the format says so.
    pub end: Option<u64>,
    /// What it was.
    pub format: &'static str,
    /// The processor that it is for, if the format says so.
    pub made_for: Option<MadeFor>,
}

/// Why a file is not a program for this board.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LoadError {
    /// ELF, but damaged.
    #[error("the ELF file is damaged or truncated: {0}")]
    Elf(String),
    /// ELF for something else.
    #[error("the ELF file is for {found}, this machine runs {expected}")]
    Machine {
        /// What the file says.
        found: String,
        /// What would run.
        expected: &'static str,
    },
    /// HEX, but damaged.
    #[error("the Intel HEX file is damaged: {0}")]
    Hex(String),
    /// Nothing in it.
    #[error("the file has no contents to load")]
    Empty,
    /// A piece does not fit where it wants to go.
    #[error("{len:#x} bytes at {start:#x} do not fit: {why}")]
    NoRoom {
        /// First address.
        start: u64,
        /// Bytes.
        len: u64,
        /// What is there.
        why: String,
    },
}

/// Reads a file's contents. Raw contents go to `raw_at`.
///
/// # Errors
/// When the contents begin like a format and then are not of it.
pub fn parse(contents: &[u8], format: Format, raw_at: u64) -> Result<Program, LoadError> {
    let program = match format {
        Format::Detect if contents.starts_with(&ELFMAG) => parse_elf(contents)?,
        Format::Detect if looks_like_hex(contents) => parse_hex(contents)?,
        _ => Program {
            pieces: vec![(raw_at, contents.to_vec())],
            entry: None,
            end: None,
            format: "raw binary",
            made_for: None,
        },
    };
    if program.pieces.iter().all(|(_, data)| data.is_empty()) {
        return Err(LoadError::Empty);
    }
    Ok(program)
}

fn parse_elf(contents: &[u8]) -> Result<Program, LoadError> {
    match contents.get(4).copied().map(FileClass) {
        Some(ELFCLASS32) => elf_of_class::<FileHeader32<Endianness>>(contents),
        Some(ELFCLASS64) => elf_of_class::<FileHeader64<Endianness>>(contents),
        _ => Err(LoadError::Elf("it is neither of 32 nor of 64 bits".into())),
    }
}

fn elf_of_class<H: FileHeader<Endian = Endianness>>(contents: &[u8]) -> Result<Program, LoadError> {
    let damaged = |e: object::Error| LoadError::Elf(e.to_string());
    let header = H::parse(contents).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let mut pieces = Vec::new();
    let mut end = 0;
    for segment in header.program_headers(endian, contents).map_err(damaged)? {
        if segment.p_type(endian) != PT_LOAD {
            continue;
        }
        let at: u64 = segment.p_paddr(endian).into();
        let data = segment.data(endian, contents).map_err(|()| {
            let (len, from): (u64, u64) = (segment.p_filesz(endian).into(), segment.p_offset(endian).into());
            let have = contents.len();
            LoadError::Elf(format!(
                "a segment at {at:#x} needs {len:#x} bytes from offset {from:#x}, the file has {have:#x}"
            ))
        })?;
        let (start, len): (u64, u64) = (segment.p_vaddr(endian).into(), segment.p_memsz(endian).into());
        end = end.max(start.saturating_add(len));
        if !data.is_empty() {
            pieces.push((at, data.to_vec()));
        }
    }
    Ok(Program {
        pieces,
        entry: Some(header.e_entry(endian).into()),
        end: Some(end),
        format: "ELF",
        made_for: Some(MadeFor {
            machine: header.e_machine(endian).0,
            wide: header.is_class_64(),
            big: endian == Endianness::Big,
        }),
    })
}

/// What an ELF file says of the processor that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeFor {
    /// `e_machine`.
    pub machine: u16,
    /// 64 bits.
    pub wide: bool,
    /// Most significant byte first.
    pub big: bool,
}

/// Checks that a program is for such a processor. Files that do not say are for any.
///
/// # Errors
/// When it is for another.
pub fn check_isa(program: &Program, isa: Isa) -> Result<(), LoadError> {
    let Some(found) = program.made_for else { return Ok(()) };
    let (machine, wide, expected) = match isa {
        Isa::Arm => (EM_ARM.0, false, "32-bit Arm code (type 40)"),
        Isa::Rv64 => (EM_RISCV.0, true, "64-bit RISC-V code (type 243)"),
    };
    if !found.big && (found.machine, found.wide) == (machine, wide) {
        return Ok(());
    }
    let order = if found.big { "big-endian, " } else { "" };
    let bits = if found.wide { 64 } else { 32 };
    let found = format!("a machine of type {} ({order}{bits}-bit)", found.machine);
    Err(LoadError::Machine { found, expected })
}

fn looks_like_hex(contents: &[u8]) -> bool {
    let mut lines = contents
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|l| !l.is_empty());
    let record = |l: &[u8]| l.len() >= 11 && l[0] == b':' && l[1..].iter().all(u8::is_ascii_hexdigit);
    lines.next().is_some_and(record)
}

fn parse_hex(contents: &[u8]) -> Result<Program, LoadError> {
    let text = std::str::from_utf8(contents).map_err(|e| LoadError::Hex(e.to_string()))?;
    let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
    let (mut base, mut entry, mut ended) = (0u64, None, false);
    for (line, record) in ihex::Reader::new(text).enumerate() {
        let record = record.map_err(|e| LoadError::Hex(format!("line {}: {}", line + 1, hex_reason(&e))))?;
        match record {
            ihex::Record::Data { offset, value } => push(&mut pieces, base + u64::from(offset), value),
            ihex::Record::ExtendedSegmentAddress(segment) => base = u64::from(segment) << 4,
            ihex::Record::ExtendedLinearAddress(upper) => base = u64::from(upper) << 16,
            ihex::Record::StartLinearAddress(at) => entry = Some(u64::from(at)),
            ihex::Record::StartSegmentAddress { .. } => {}
            ihex::Record::EndOfFile => ended = true,
        }
    }
    if !ended {
        return Err(LoadError::Hex("it ends without an end-of-file record".into()));
    }
    Ok(Program {
        pieces,
        entry,
        end: None,
        format: "Intel HEX",
        made_for: None,
    })
}

fn hex_reason(error: &ihex::ReaderError) -> String {
    match error {
        // The crate calls the two the other way round.
        ihex::ReaderError::ChecksumMismatch(right, written) => {
            format!("the checksum is {written:02X}, and the other bytes make {right:02X}")
        }
        other => other.to_string(),
    }
}

/// Records follow each other closely; joined, they are one image in lists.
fn push(pieces: &mut Vec<(u64, Vec<u8>)>, at: u64, data: Vec<u8>) {
    match pieces.last_mut() {
        Some((start, last)) if *start + last.len() as u64 == at => last.extend(data),
        _ => pieces.push((at, data)),
    }
}

/// Checks that all pieces fall into memory.
///
/// # Errors
/// The first piece that does not, with what stands there.
pub fn check(space: &mut AddressSpace, program: &Program) -> Result<(), LoadError> {
    for (start, data) in &program.pieces {
        let len = data.len() as u64;
        let mut at = *start;
        let end = start
            .checked_add(len)
            .ok_or_else(|| no_room(*start, len, "that is beyond the address space".into()))?;
        while at < end {
            let Some(range) = space.find(at) else {
                return Err(no_room(*start, len, format!("nothing stands at {at:#x}")));
            };
            let (first, last, mapping) = (range.start.max(*start), range.last, range.mapping);
            if !matches!(range.target, Target::Ram { .. }) {
                let name = space.mapping(mapping).map_or("something else", |m| &m.name);
                let before = space
                    .flat()
                    .iter()
                    .rev()
                    .find(|r| r.last < at && matches!(r.target, Target::Ram { .. }));
                let memory = before.map_or(String::new(), |r| format!("; memory before it ends at {:#x}", r.last));
                return Err(no_room(
                    *start,
                    len,
                    format!("at {first:#x} is '{name}', not memory{memory}"),
                ));
            }
            match last.checked_add(1) {
                Some(next) => at = next,
                None => break,
            }
        }
    }
    Ok(())
}

fn no_room(start: u64, len: u64, why: String) -> LoadError {
    LoadError::NoRoom { start, len, why }
}

/// Takes a checked program into the machine: it is written at each reset.
///
/// # Errors
/// As [`check`].
pub fn install(machine: &mut Machine, name: &str, program: Program) -> Result<(), LoadError> {
    check(&mut machine.sys.memory, &program)?;
    for (address, data) in program.pieces {
        machine.images.push(Image {
            name: name.to_owned(),
            address,
            data,
        });
    }
    Ok(())
}

/// Reads any bytes as a program: the entry for fuzzing.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(program) = parse(bytes, Format::Detect, 0) {
        let mut space = AddressSpace::default();
        let _ = check(&mut space, &program);
    }
}
