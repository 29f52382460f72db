//! What `virt` does with the files that the user gives: firmware at the start of memory, the kernel behind it, the initial RAM disk in the
//! middle, the device tree at the end, and the first instructions in ROM. Places are those of QEMU 10.

use std::ops::Range;

use southbridge_core::PropValue;
use southbridge_core::machine::Image;
use southbridge_cpu_sbi as sbi;
use southbridge_device_platform::fw_cfg::{FirmwareConfig, key};

use super::firmware::{self as built_in, BuiltIn};
use super::{Variant, acpi, map, tree};
use crate::acpi::Linked;
use crate::board::cores::IsaText;
use crate::boot::{Bios, BootError, Booted, File, Files, Word, efi, image};
use crate::build::Built;
use crate::fdt::{Node, wide};
use crate::load::{self, Format, Program};

const KERNEL_ALIGN: u64 = 2 << 20;
const TREE_ALIGN: u64 = 2 << 20;
/// An initial RAM disk is not put further behind the kernel than this.
const INITRD_BEHIND: u64 = 512 << 20;

pub(super) fn boot(built: &mut Built, files: &Files) -> Result<Booted, BootError> {
    let ram_end = map::DRAM + built.layout.choices.ram;
    let mut start = map::DRAM;
    let firmware_end = firmware(built, files, &mut start)?;
    let mut booted = Booted::default();
    if files.flash {
        match files.bios {
            Bios::None => start = map::FLASH.0,
            _ => booted.kernel_at = Some(map::FLASH.0),
        }
    }
    let isa = isa(built)?;
    let acpi = acpi::tables(&built.layout.description, &built.layout.choices, &isa);
    let mut tree = device_tree(built, files, &isa)?;
    let mut free = map::DRAM..ram_end;
    if let (Some(file), None) = (&files.kernel, booted.kernel_at) {
        let at = firmware_end.next_multiple_of(KERNEL_ALIGN);
        let (low, high) = kernel(built, file, at)?;
        booted.kernel_at = Some(low);
        free.start = high;
        if let Some(initrd) = &files.initrd {
            let range = ramdisk(built, initrd, low, ram_end)?;
            booted.initrd = Some(range);
            free.start = range.1;
        }
        if built.layout.choices.properties.bool("acpi") {
            free.end = hand_over(built, &acpi, low, &free, tree.child_mut("chosen"))?;
        }
    }
    complete(&mut tree, files, booted.initrd);
    booted.tree = tree.to_blob().map_err(BootError::Tree)?;
    let built_in = built.layout.choices.built_in_firmware;
    if built_in {
        built_in::claim(&mut tree);
    }
    let blob = tree.to_blob().map_err(BootError::Tree)?;
    booted.tree_at = put_tree(built, &blob, &free)?;
    let kernel = booted.kernel_at.unwrap_or(0);
    let first = reset_vector(start, booted.tree_at, kernel);
    put(built, "mrom.reset", map::MROM.0, first);
    configure(built, files, &acpi)?;
    if built_in {
        built_in_firmware(built, &booted);
    }
    Ok(booted)
}

fn isa(built: &Built) -> Result<IsaText, BootError> {
    let layout = &built.layout;
    let isa = layout.board.cpu.as_ref().and_then(|c| c.isa_text(&layout.choices));
    isa.ok_or_else(|| BootError::Tree("the processors have no description".into()))
}

/// Puts the ACPI tables where a kernel finds them without UEFI, and says where they begin. Firmware from a file keeps what is before the
/// kernel.
fn hand_over(
    built: &mut Built,
    tables: &Linked,
    kernel: u64,
    free: &Range<u64>,
    chosen: &mut Node,
) -> Result<u64, BootError> {
    let kept = match built.layout.choices.built_in_firmware {
        true => map::DRAM,
        false => kernel,
    };
    let area = efi::area(tables, map::DRAM, kept, free.end).filter(|a| a.at >= free.start);
    let area = area.ok_or_else(|| no_room("the ACPI tables", free))?;
    area.tell(chosen);
    let at = area.at;
    put(built, "acpi", at, area.bytes);
    Ok(at)
}

fn no_room(what: &str, free: &Range<u64>) -> BootError {
    BootError::File {
        word: Word::Memory,
        why: format!(
            "no memory is left for {what} behind {:#x}; a larger -m helps",
            free.start
        ),
    }
}

/// Loads firmware and says where it ends; `start` becomes where it starts.
fn firmware(built: &mut Built, files: &Files, start: &mut u64) -> Result<u64, BootError> {
    match &files.bios {
        // The built-in one needs no memory, and kernels are used to finding themselves behind some.
        Bios::Default => Ok(map::DRAM + KERNEL_ALIGN),
        Bios::None => Ok(map::DRAM),
        Bios::File(file) => {
            let program = parse(built, Word::Bios, file, &file.contents, map::DRAM)?;
            *start = program.entry.unwrap_or(map::DRAM);
            let end = program.end.unwrap_or_else(|| last(&program));
            install(built, Word::Bios, file, program)?;
            Ok(end)
        }
    }
}

fn parse(built: &Built, word: Word, file: &File, contents: &[u8], at: u64) -> Result<Program, BootError> {
    let format = if contents.starts_with(b"\x7fELF") {
        Format::Detect
    } else {
        Format::Raw
    };
    let program = load::parse(contents, format, at).map_err(BootError::load(word, file))?;
    if let Some(core) = &built.layout.board.cpu {
        load::check_isa(&program, core.isa()).map_err(BootError::load(word, file))?;
    }
    Ok(program)
}

fn install(built: &mut Built, word: Word, file: &File, program: Program) -> Result<(), BootError> {
    load::install(&mut built.machine, &file.name, program).map_err(BootError::load(word, file))
}

fn last(program: &Program) -> u64 {
    let ends = program
        .pieces
        .iter()
        .map(|(at, data)| at.saturating_add(data.len() as u64));
    ends.max().unwrap_or(0)
}

/// Loads the kernel and says where it came to stand: first address, and the one behind it.
fn kernel(built: &mut Built, file: &File, at: u64) -> Result<(u64, u64), BootError> {
    let unpacked = image::unpack(&file.contents).map_err(|e| BootError::at(Word::Kernel, file, e))?;
    let program = parse(built, Word::Kernel, file, &unpacked.contents, at)?;
    let low = program.pieces.iter().map(|(at, _)| *at).min().unwrap_or(at);
    let mut high = program.end.unwrap_or(0).max(last(&program));
    if let Some(header) = unpacked.header {
        high = high.max(low.saturating_add(header.image_size.min(image::MAX_UNPACKED)));
    }
    install(built, Word::Kernel, file, program)?;
    Ok((low, high))
}

fn ramdisk(built: &mut Built, file: &File, kernel: u64, ram_end: u64) -> Result<(u64, u64), BootError> {
    let start = kernel + (built.layout.choices.ram / 2).min(INITRD_BEHIND);
    let end = start + file.contents.len() as u64;
    if end > ram_end {
        let why = format!("it needs memory up to {end:#x}, and there is memory up to {ram_end:#x}; a larger -m helps");
        return Err(BootError::at(Word::Initrd, file, why));
    }
    let program = parse(built, Word::Initrd, &File::default(), &[0], start)?;
    let program = Program {
        pieces: vec![(start, file.contents.clone())],
        ..program
    };
    install(built, Word::Initrd, file, program)?;
    Ok((start, end))
}

fn device_tree(built: &Built, files: &Files, isa: &IsaText) -> Result<Node, BootError> {
    match &files.dtb {
        Some(file) => Node::from_blob(&file.contents).map_err(|e| BootError::at(Word::Dtb, file, e)),
        None => Ok(tree::tree(&built.layout.description, &built.layout.choices, isa)),
    }
}

/// What only loading tells.
fn complete(tree: &mut Node, files: &Files, initrd: Option<(u64, u64)>) {
    let chosen = tree.child_mut("chosen");
    if let Some((start, end)) = initrd {
        for (name, value) in [("linux,initrd-start", start), ("linux,initrd-end", end)] {
            chosen.set(name, crate::fdt::cells(wide(value)));
        }
    }
    if let Some(append) = files.append.as_ref().filter(|a| !a.is_empty()) {
        chosen.set("bootargs", [append.as_bytes(), b"\0"].concat());
    }
}

/// As far up as it goes, so that a kernel that unpacks itself does not meet it.
fn put_tree(built: &mut Built, blob: &[u8], free: &Range<u64>) -> Result<u64, BootError> {
    let at = free.end.saturating_sub(blob.len() as u64) / TREE_ALIGN * TREE_ALIGN;
    if at < free.start.max(map::DRAM) {
        return Err(no_room("the device tree", free));
    }
    put(built, "fdt", at, blob.to_vec());
    Ok(at)
}

fn put(built: &mut Built, name: &str, address: u64, data: Vec<u8>) {
    built.machine.images.push(Image {
        name: name.to_owned(),
        address,
        data,
    });
}

/// `OSBI`, as a number.
const DYNAMIC_INFO_MAGIC: u64 = 0x4942_534f;
const DYNAMIC_INFO_VERSION: u64 = 2;
const NEXT_MODE_S: u64 = 1;

/// The first instructions: they load `a0` with the number of the hart, `a1` with the address of the tree and `a2` with that of a record that
/// tells firmware where to go on (OpenSBI, `docs/firmware/fw_dynamic.md`), and jump.
fn reset_vector(start: u64, tree: u64, next: u64) -> Vec<u8> {
    const CODE: [u32; 6] = [
        0x0000_0297, // auipc t0, 0
        0x0282_8613, // addi  a2, t0, 40
        0xf140_2573, // csrr  a0, mhartid
        0x0202_b583, // ld    a1, 32(t0)
        0x0182_b283, // ld    t0, 24(t0)
        0x0002_8067, // jr    t0
    ];
    let data = [
        start,
        tree,
        DYNAMIC_INFO_MAGIC,
        DYNAMIC_INFO_VERSION,
        next,
        NEXT_MODE_S,
        0, // options
        0, // the hart that boots
    ];
    let mut bytes: Vec<u8> = CODE.into_iter().flat_map(u32::to_le_bytes).collect();
    bytes.extend(data.into_iter().flat_map(u64::to_le_bytes));
    bytes
}

/// Starts the kernel in supervisor mode.
fn built_in_firmware(built: &mut Built, booted: &Booted) {
    let boot = sbi::Boot {
        entry: booted.kernel_at.unwrap_or(map::DRAM),
        device_tree: booted.tree_at,
    };
    let firmware = BuiltIn::new(boot, &Variant::of(&built.layout.choices));
    built.machine.firmware = Some(Box::new(firmware));
}

/// What firmware of the user asks the board for. It loads a kernel by itself if it starts from flash.
fn configure(built: &mut Built, files: &Files, acpi: &Linked) -> Result<(), BootError> {
    let from_flash = files.flash && !matches!(files.bios, Bios::None);
    let kernel = files.kernel.as_ref().filter(|_| from_flash);
    let mut items = vec![(
        key::NB_CPUS,
        u16::from(built.layout.choices.cpus).to_le_bytes().to_vec(),
    )];
    let mut sized = |size, data, bytes: Vec<u8>| {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        items.push((size, len.to_le_bytes().to_vec()));
        items.push((data, bytes));
    };
    if let Some(file) = kernel {
        let kernel = image::unpack(&file.contents).map_err(|e| BootError::at(Word::Kernel, file, e))?;
        sized(key::KERNEL_SIZE, key::KERNEL_DATA, kernel.contents);
        let initrd = files.initrd.as_ref().map(|f| f.contents.clone());
        sized(key::INITRD_SIZE, key::INITRD_DATA, initrd.unwrap_or_default());
        let line = files.append.as_deref().unwrap_or_default();
        sized(key::CMDLINE_SIZE, key::CMDLINE_DATA, [line.as_bytes(), b"\0"].concat());
    }
    let Some(id) = built.layout.parts.get("fw_cfg").copied() else {
        return Ok(());
    };
    let off = built.layout.choices.properties.get("acpi") == Some(&PropValue::OnOffAuto(Some(false)));
    let tables = if off { Vec::new() } else { acpi.files().to_vec() };
    let set = built.machine.sys.with_role::<dyn FirmwareConfig, _>(id, |config, _| {
        for (key, bytes) in items {
            config.set(key, bytes);
        }
        tables
            .into_iter()
            .try_for_each(|(name, bytes)| config.add_file(name, bytes))
    });
    set.unwrap_or(Ok(())).map_err(|e| BootError::Firmware(e.to_string()))
}
