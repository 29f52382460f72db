//! All tables of a machine as a whole, and how it comes into memory.
//!
//! Tables refer to each other by address, which is known when they are placed. Firmware places them itself and follows a script of three
//! commands: allocate a file's bytes, add the address of a file to a field, make a checksum right (the fw_cfg file `etc/table-loader`, as in
//! QEMU 10, `hw/acpi/bios-linker-loader.c`). Without firmware the machine does the same.

use std::ops::Range;

use super::{Bytes, CHECKSUM, HEADER, OEM, checksum, table};

pub(crate) const RSDP_FILE: &str = "etc/acpi/rsdp";
pub(crate) const TABLES_FILE: &str = "etc/acpi/tables";
pub(crate) const SCRIPT_FILE: &str = "etc/table-loader";

/// Bytes of the root pointer (ACPI 6.5, 5.2.5.3), of its part that ACPI 1.0 had, and where its fields are.
const RSDP: usize = 36;
const RSDP_OLD: usize = 20;
const RSDP_CHECKSUM: usize = 8;
const RSDP_XSDT: usize = 24;
const RSDP_EXTENDED_CHECKSUM: usize = 32;

/// Bytes of a command of the script, and of a file's name in it.
const COMMAND: usize = 128;
const NAME: usize = 56;
const ALLOCATE: u32 = 1;
const ADD_POINTER: u32 = 2;
const ADD_CHECKSUM: u32 = 3;
/// Where to allocate: anywhere, or where a BIOS would look.
const HIGH: u8 = 1;
const LOW_SEGMENT: u8 = 2;
const TABLE_ALIGN: usize = 64;
const RSDP_ALIGN: usize = 16;

/// Tables so far.
#[derive(Debug, Default)]
pub(crate) struct Set {
    bytes: Vec<u8>,
    tables: Vec<Range<usize>>,
    /// Fields of 8 bytes with the offset of what they point to.
    pointers: Vec<usize>,
    listed: Vec<usize>,
}

impl Set {
    /// Adds a table that another one leads to, and gives its offset.
    pub(crate) fn add(&mut self, table: &Bytes) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&table.0);
        self.tables.push(at..self.bytes.len());
        at
    }

    /// Adds a table that the root leads to; `pointers` are the offsets of its fields that hold the offset of another table.
    pub(crate) fn list(&mut self, table: &Bytes, pointers: &[usize]) {
        let at = self.add(table);
        self.listed.push(at);
        self.pointers.extend(pointers.iter().map(|p| at + p));
    }

    /// Adds the roots.
    pub(crate) fn finish(mut self) -> Linked {
        let entries = self.listed.iter().fold(Bytes::new(), |b, at| b.u64(*at as u64));
        let count = self.listed.len();
        let root = self.add(&table(*b"XSDT", 1, entries));
        self.pointers.extend((0..count).map(|i| root + HEADER + 8 * i));
        let rsdp = Bytes::new()
            .bytes(b"RSD PTR ")
            .u8(0)
            .bytes(OEM)
            .u8(2)
            .u32(0)
            .u32(RSDP as u32)
            .u64(root as u64)
            .up_to(RSDP);
        Linked { set: self, rsdp }
    }
}

/// Tables with their roots.
#[derive(Debug)]
pub(crate) struct Linked {
    set: Set,
    rsdp: Bytes,
}

impl Linked {
    /// The files for firmware: name and contents.
    pub(crate) fn files(&self) -> [(&'static str, Vec<u8>); 3] {
        [
            (RSDP_FILE, self.rsdp.0.clone()),
            (TABLES_FILE, self.set.bytes.clone()),
            (SCRIPT_FILE, self.script()),
        ]
    }

    fn script(&self) -> Vec<u8> {
        let mut script = [
            command(ALLOCATE, &[RSDP_FILE], &[RSDP_ALIGN], Some(LOW_SEGMENT)),
            command(ALLOCATE, &[TABLES_FILE], &[TABLE_ALIGN], Some(HIGH)),
        ]
        .concat();
        let pointer = |file, field| command(ADD_POINTER, &[file, TABLES_FILE], &[field], Some(8));
        let sum = |file, field, of: Range<usize>| command(ADD_CHECKSUM, &[file], &[field, of.start, of.len()], None);
        for table in &self.set.tables {
            for field in self.set.pointers.iter().filter(|p| table.contains(p)) {
                script.extend(pointer(TABLES_FILE, *field));
            }
            script.extend(sum(TABLES_FILE, table.start + CHECKSUM, table.clone()));
        }
        script.extend(sum(RSDP_FILE, RSDP_CHECKSUM, 0..RSDP_OLD));
        script.extend(pointer(RSDP_FILE, RSDP_XSDT));
        script.extend(sum(RSDP_FILE, RSDP_EXTENDED_CHECKSUM, 0..RSDP));
        script
    }

    /// The bytes that stand at an address, the root pointer first.
    pub(crate) fn placed(&self, at: u64) -> Vec<u8> {
        let tables_at = RSDP.next_multiple_of(TABLE_ALIGN);
        let base = at + tables_at as u64;
        let mut tables = self.set.bytes.clone();
        for field in &self.set.pointers {
            add(&mut tables, *field, base);
        }
        for table in &self.set.tables {
            correct(&mut tables, table.start + CHECKSUM, table.clone());
        }
        let mut bytes = self.rsdp.0.clone();
        add(&mut bytes, RSDP_XSDT, base);
        correct(&mut bytes, RSDP_CHECKSUM, 0..RSDP_OLD);
        correct(&mut bytes, RSDP_EXTENDED_CHECKSUM, 0..RSDP);
        bytes.resize(tables_at, 0);
        bytes.extend(tables);
        bytes
    }
}

fn add(bytes: &mut [u8], field: usize, value: u64) {
    if let Some(field) = bytes.get_mut(field..).and_then(|b| b.first_chunk_mut::<8>()) {
        *field = u64::from_le_bytes(*field).wrapping_add(value).to_le_bytes();
    }
}

fn correct(bytes: &mut [u8], field: usize, of: Range<usize>) {
    let sum = bytes.get(of).map_or(0, checksum);
    if let Some(field) = bytes.get_mut(field) {
        *field = sum;
    }
}

fn command(code: u32, files: &[&str], numbers: &[usize], byte: Option<u8>) -> Vec<u8> {
    let mut bytes = Bytes::new().u32(code);
    for file in files {
        let end = bytes.len() + NAME;
        bytes = bytes.bytes(file.as_bytes()).up_to(end);
    }
    bytes = numbers.iter().fold(bytes, |b, n| b.u32(*n as u32));
    if let Some(byte) = byte {
        bytes = bytes.u8(byte);
    }
    bytes.up_to(COMMAND).0
}
