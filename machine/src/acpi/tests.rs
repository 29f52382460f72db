use super::aml::{device, int, name, package, text};
use super::set::{RSDP_FILE, SCRIPT_FILE, TABLES_FILE};
use super::{Bytes, Linked, Set, checksum, table};

fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let bytes = &bytes[at..at + size];
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Walks placed tables as a kernel does, checks every sum and length, and gives all that is reached: signature and bytes.
pub(crate) fn walk(memory: &[u8], at: u64, rsdp: u64) -> Vec<(String, Vec<u8>)> {
    let root = &memory[(rsdp - at) as usize..][..36];
    assert_eq!(&root[..8], b"RSD PTR ");
    assert_eq!((checksum(&root[..20]), checksum(root)), (0, 0));
    let read = |address: u64| {
        let rest = &memory[usize::try_from(address - at).unwrap()..];
        let bytes = rest[..number(rest, 4, 4) as usize].to_vec();
        let signature = String::from_utf8(bytes[..4].to_vec()).unwrap();
        assert_eq!(checksum(&bytes), 0, "{signature}");
        (signature, bytes)
    };
    let (_, list) = read(number(root, 24, 8));
    let mut found: Vec<_> = (36..list.len()).step_by(8).map(|i| read(number(&list, i, 8))).collect();
    let fadt = found.iter().find(|(signature, _)| signature == "FACP");
    let namespace = fadt.map(|(_, fadt)| read(number(fadt, 140, 8)));
    found.extend(namespace);
    found
}

/// Does what the script says, as firmware does, with all files in one memory that begins at `base`: the memory and the root's address.
fn follow(tables: &Linked, base: u64) -> (Vec<u8>, u64) {
    let files = tables.files();
    let file = |name: &str| files.iter().find(|(n, _)| *n == name).unwrap().1.clone();
    let mut memory = Vec::new();
    let mut places = Vec::new();
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    for command in file(SCRIPT_FILE).chunks_exact(128) {
        let first = name(&command[4..60]);
        let find = |name: &str| places.iter().find(|(n, _)| n == name).map(|(_, at)| *at).unwrap();
        match number(command, 0, 4) {
            1 => {
                let align = number(command, 60, 4) as usize;
                memory.resize(usize::next_multiple_of(memory.len(), align), 0);
                places.push((first.clone(), memory.len()));
                memory.extend(file(&first));
            }
            2 => {
                let target = base + find(&name(&command[60..116])) as u64;
                let field = find(&first) + number(command, 116, 4) as usize;
                assert_eq!(command[120], 8);
                let value = number(&memory, field, 8) + target;
                memory[field..field + 8].copy_from_slice(&value.to_le_bytes());
            }
            3 => {
                let [field, start, len] = [60, 64, 68].map(|at| number(command, at, 4) as usize);
                let at = find(&first);
                let sum = checksum(&memory[at + start..at + start + len]);
                memory[at + field] = sum;
            }
            other => panic!("command {other}"),
        }
    }
    let rsdp = places.iter().find(|(n, _)| n == RSDP_FILE).unwrap().1;
    (memory, base + rsdp as u64)
}

/// Firmware that follows the script comes to what the machine itself puts into memory.
pub(crate) fn both_ways_agree(tables: &Linked) {
    let base = 0x8_1234_0000;
    let (memory, rsdp) = follow(tables, base);
    let placed = tables.placed(rsdp);
    assert_eq!(walk(&memory, base, rsdp), walk(&placed, rsdp, rsdp));
}

#[test]
fn the_script_and_the_placement_agree() {
    let mut set = Set::default();
    let far = set.add(&table(*b"FAR!", 1, Bytes::new().u64(7)));
    let near = Bytes::new().up_to(140 - 36).u64(far as u64);
    set.list(&table(*b"FACP", 1, near), &[140]);
    let tables = set.finish();
    both_ways_agree(&tables);
    let found = walk(&tables.placed(64), 64, 64);
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["FACP", "FAR!"]);
    assert_eq!(number(&found[1].1, 36, 8), 7);
    assert!(tables.files().iter().any(|(name, _)| *name == TABLES_FILE));
}

/// ACPI 6.5, 20.2.3 and 20.2.4.
#[test]
fn numbers_and_lengths_are_as_short_as_they_can_be() {
    assert_eq!(int(0), [0]);
    assert_eq!(int(1), [1]);
    assert_eq!(int(0xff), [0x0a, 0xff]);
    assert_eq!(int(0x100), [0x0b, 0, 1]);
    assert_eq!(int(0x1_0000), [0x0c, 0, 0, 1, 0]);
    assert_eq!(int(1 << 32), [0x0e, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(package(&[int(1)]), [0x12, 3, 1, 1]);
    assert_eq!(name("A", &text("b")), b"\x08A___\x0db\0");
    // A name of 4, so that the contents have n + 4 bytes.
    let of = |n: usize| device("DEV0", &[vec![0xa3; n]])[2..].to_vec();
    assert_eq!(of(58)[..2], [63, b'D']);
    assert_eq!(of(59)[..3], [0x40 | 1, 4, b'D'], "65 bytes with the length's two");
    assert_eq!(of(4089)[..3], [0x4f, 0xff, b'D']);
    assert_eq!(of(4090)[..4], [0x80 | 1, 0x00, 0x01, b'D'], "4097 bytes");
}
