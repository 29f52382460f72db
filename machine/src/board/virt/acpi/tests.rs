use std::process::Command;

use super::tables;
use crate::acpi::Linked;
use crate::acpi::tests::{both_ways_agree, walk};
use crate::board::virt::tests::{choices, isa, variants};
use crate::board::virt::{BOARD, map};
use crate::board::{Choices, NumaNode};
use crate::boot::efi;

fn tables_of(choices: &Choices) -> Linked {
    tables(&(BOARD.describe)(choices), choices, &isa())
}

fn walked(choices: &Choices) -> Vec<(String, Vec<u8>)> {
    walk(&tables_of(choices).placed(0x8000_0000), 0x8000_0000, 0x8000_0000)
}

fn table(choices: &Choices, signature: &str) -> Option<Vec<u8>> {
    walked(choices)
        .into_iter()
        .find(|(s, _)| s == signature)
        .map(|(_, t)| t)
}

/// Structures behind the fixed part of a table: kind and bytes, by the length that each says it has.
fn structures(table: &[u8], from: usize) -> Vec<(u8, Vec<u8>)> {
    let mut rest = &table[from..];
    let mut found = Vec::new();
    while let [kind, len, ..] = *rest {
        let (this, behind) = rest.split_at(len.into());
        found.push((kind, this.to_vec()));
        rest = behind;
    }
    found
}

#[test]
fn every_table_is_reached_and_sums_up() {
    for choices in variants() {
        both_ways_agree(&tables_of(&choices));
        let names: Vec<_> = walked(&choices).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["FACP", "APIC", "RHCT", "SPCR", "MCFG", "DSDT"]);
    }
}

#[test]
fn each_hart_says_where_its_interrupts_come_from() {
    let kinds = |choices: &Choices| {
        let madt = table(choices, "APIC").unwrap();
        structures(&madt, 44)
    };
    let [plain, messages, wires, ..] = &variants()[..] else {
        panic!("variants")
    };
    let plain = kinds(plain);
    assert_eq!(plain.iter().map(|(k, _)| *k).collect::<Vec<_>>(), [0x18, 0x1b]);
    assert_eq!(plain[0].1[20], 1, "the second context of the PLIC is the supervisor's");
    let messages = kinds(messages);
    let expected = [0x18, 0x18, 0x18, 0x18, 0x19, 0x1a];
    assert_eq!(messages.iter().map(|(k, _)| *k).collect::<Vec<_>>(), expected);
    // Three files of 4 KiB for a hart take the place of four.
    assert_eq!(messages[3].1[24..36], [0, 0xc0, 0, 0x28, 0, 0, 0, 0, 0, 0x40, 0, 0]);
    assert_eq!(messages[4].1[12..16], [2, 2, 0, 24]);
    let wires = kinds(wires);
    assert_eq!((wires[1].1[20], wires[2].1[16]), (1, 2), "two harts, each with a wire");
}

#[test]
fn nodes_say_what_belongs_together() {
    let mut choices = choices(3, &[]);
    choices.ram = 192 << 20;
    assert!(table(&choices, "SRAT").is_none());
    let node = |cpus: &[u8], memory| NumaNode {
        cpus: cpus.to_vec(),
        memory,
        memdev: None,
    };
    choices.numa = vec![node(&[0, 2], 128 << 20), node(&[1], 64 << 20)];
    let all = structures(&table(&choices, "SRAT").unwrap(), 48);
    let harts: Vec<_> = all.iter().filter(|(kind, _)| *kind == 7).map(|(_, s)| s[4]).collect();
    assert_eq!(harts, [0, 1, 0]);
    let memory = all.iter().filter(|(kind, _)| *kind == 1);
    let memory: Vec<_> = memory.map(|(_, s)| (s[2], s[11], s[19])).collect();
    assert_eq!(memory, [(0, 0x80, 8), (1, 0x88, 4)]);
}

/// The reference disassembler reads the namespace of every variant.
#[test]
fn iasl_understands_the_namespaces() {
    for choices in variants() {
        let folder = std::env::temp_dir().join(format!("southbridge-acpi-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("dsdt.dat");
        std::fs::write(&file, table(&choices, "DSDT").unwrap()).unwrap();
        let out = Command::new("iasl").arg("-d").arg(&file).output();
        let text = std::fs::read_to_string(folder.join("dsdt.dsl"));
        std::fs::remove_dir_all(&folder).unwrap();
        let Ok(out) = out else {
            // Not everybody has it; bin/southbridge compares with QEMU too.
            eprintln!("SKIPPED iasl_understands_the_namespaces: there is no iasl (Debian: acpica-tools)");
            return;
        };
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = text.unwrap();
        for expected in [
            "Device (COM0)",
            "Device (VR07)",
            "Device (PCI0)",
            "QWordMemory",
            "Method (_OSC, 4",
        ] {
            assert!(text.contains(expected), "no {expected} in\n{text}");
        }
        assert!(!text.contains("Unknown"), "{text}");
    }
}

/// A kernel that takes its memory from the map has all of it, once.
#[test]
fn the_map_without_firmware_covers_memory() {
    let tables = tables_of(&choices(2, &[]));
    let end = map::DRAM + (64 << 20);
    for kept in [map::DRAM, map::DRAM + 0x20_0000] {
        let area = efi::area(&tables, map::DRAM, kept, end + 0x123).unwrap();
        let at = area.at as usize;
        assert_eq!(at as u64 + area.bytes.len().next_multiple_of(4096) as u64, end);
        let mut next = map::DRAM;
        for entry in area.bytes[0x100..0x200].chunks_exact(40) {
            let field = |i: usize| u64::from_le_bytes(entry[i..i + 8].try_into().unwrap());
            if field(24) == 0 {
                break;
            }
            assert_eq!((field(8), field(32)), (next, 8));
            next += field(24) * 4096;
        }
        assert_eq!(next, end);
        let mut header = area.bytes[..120].to_vec();
        let sum = u32::from_le_bytes(header[16..20].try_into().unwrap());
        header[16..20].fill(0);
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        assert_eq!(sum, crc.sum());
        let rsdp = u64::from_le_bytes(area.bytes[0x90..0x98].try_into().unwrap());
        assert_eq!(walk(&area.bytes, area.at, rsdp).len(), 6);
    }
    assert!(efi::area(&tables, map::DRAM, map::DRAM, map::DRAM + 4096).is_none());
}
