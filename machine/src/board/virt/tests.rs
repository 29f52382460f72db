use std::process::{Command, Stdio};

use southbridge_core::PropValue;

use super::{BOARD, tree};
use crate::board::cores::IsaText;
use crate::board::{Choices, NumaNode};
use crate::fdt::Node;

pub(super) fn isa() -> IsaText {
    IsaText {
        string: "rv64imafdc_zicboz".into(),
        extensions: vec!["i", "m", "a", "f", "d", "c", "zicboz"],
        mmu: "riscv,sv57",
    }
}

pub(super) fn choices(cpus: u8, properties: &[(&str, PropValue)]) -> Choices {
    let mut choices = Choices::of(&BOARD);
    choices.cpus = cpus;
    for (name, value) in properties {
        choices.properties.set(name, value.clone());
    }
    choices
}

fn tree_of(choices: &Choices) -> Node {
    tree::tree(&(BOARD.describe)(choices), choices, &isa())
}

fn word(name: &str) -> PropValue {
    PropValue::Str(name.into())
}

pub(super) fn variants() -> Vec<Choices> {
    vec![
        choices(1, &[]),
        choices(4, &[("aia", word("aplic-imsic")), ("aia-guests", PropValue::Uint(2))]),
        choices(2, &[("aia", word("aplic"))]),
        choices(2, &[("aclint", PropValue::Bool(true))]),
        choices(2, &[("aclint", PropValue::Bool(true)), ("aia", word("aplic-imsic"))]),
    ]
}

/// All numbers by which nodes may be referred to.
fn handles(node: &Node, found: &mut Vec<u32>) {
    found.extend(node.get("phandle").map(|h| u32::from_be_bytes(h.try_into().unwrap())));
    node.children.iter().for_each(|c| handles(c, found));
}

#[test]
fn every_reference_leads_somewhere() {
    for choices in variants() {
        let tree = tree_of(&choices);
        let mut all = Vec::new();
        handles(&tree, &mut all);
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "no number is given twice");
        let serial = tree.find("soc/serial@10000000").unwrap();
        let parent = u32::from_be_bytes(serial.get("interrupt-parent").unwrap().try_into().unwrap());
        assert!(all.contains(&parent));
        assert_eq!(
            tree.find("chosen").unwrap().get("stdout-path"),
            Some(&b"/soc/serial@10000000\0"[..])
        );
    }
}

#[test]
fn nodes_say_which_part_of_the_machine_they_are_in() {
    let mut choices = choices(3, &[]);
    choices.ram = 192 << 20;
    let node = |cpus: &[u8], memory| NumaNode {
        cpus: cpus.to_vec(),
        memory,
        memdev: None,
    };
    choices.numa = vec![node(&[0, 2], 128 << 20), node(&[1], 64 << 20)];
    let tree = tree_of(&choices);
    let id = |path: &str| tree.find(path).unwrap().get("numa-node-id").unwrap()[3];
    assert_eq!([0, 1, 2].map(|n| id(&format!("cpus/cpu@{n}"))), [0, 1, 0]);
    assert_eq!((id("memory@80000000"), id("memory@88000000")), (0, 1));
    assert!(tree.find("cpus/cpu-map/cluster0/core1").is_some());
}

/// Two seeds differ, one does not.
#[test]
fn the_seed_decides() {
    let with = |seed| {
        let mut choices = choices(1, &[]);
        choices.seed = seed;
        tree_of(&choices)
            .find("chosen")
            .unwrap()
            .get("rng-seed")
            .unwrap()
            .to_vec()
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
    assert_eq!(with(0).len(), 32);
}

/// The reference compiler reads every tree, and finds nothing to warn of but what QEMU's tree has as well.
#[test]
fn dtc_understands_the_trees() {
    for choices in variants() {
        let blob = tree_of(&choices).to_blob().unwrap();
        let dtc = Command::new("dtc")
            .args(["-I", "dtb", "-O", "dts", "-q"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        // Not everybody has it; the tree is read back by ourselves too.
        let Ok(mut dtc) = dtc else { return };
        std::io::Write::write_all(&mut dtc.stdin.take().unwrap(), &blob).unwrap();
        let out = dtc.wait_with_output().unwrap();
        assert!(out.status.success());
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("compatible = \"riscv-virtio\""), "{text}");
    }
}
