use super::*;
use proptest::prelude::*;

fn unimplemented(start: u64, len: u64, priority: i32) -> Mapping {
    Mapping {
        start,
        len,
        priority,
        name: String::new(),
        target: Target::Unimplemented,
    }
}

#[test]
fn ram_reads_back_what_was_written_and_knows_its_bounds() {
    let block = RamBlock::new("t", 0x1000).unwrap();
    let w = RamWindow::new(0x2000_0000, 0x1000, false, &block, 0).unwrap();
    assert_eq!(w.write_u32(0xffc, 0x1234_5678), Some(false));
    assert_eq!(w.read_u16(0xffe), Some(0x1234));
    assert_eq!(w.read_u32(0xffd), None);
    assert_eq!(w.read_u8(0x1000), None);
    assert_eq!(w.read_u64(u64::MAX - 3), None);
    assert!(RamWindow::new(0, 0x1001, false, &block, 0).is_none());
    let rom = RamWindow::new(0, 0x1000, true, &block, 0).unwrap();
    assert_eq!(rom.write_u8(0, 1), None);
}

#[test]
fn a_store_into_marked_code_is_reported_across_the_granule_edge() {
    let block = RamBlock::new("t", 0x1000).unwrap();
    let w = RamWindow::new(0, 0x800, false, &block, 0x800).unwrap();
    block.mark_code(0x900);
    assert_eq!(w.write_u32(0xfc, 0), Some(false));
    assert_eq!(w.write_u32(0xfe, 0), Some(true));
    assert!(block.code_hit(0x8ff, 2));
    block.clear_code(0x900);
    assert_eq!(w.write_u32(0xfe, 0), Some(false));
}

#[test]
fn zeros_are_written_where_a_value_could_be() {
    let block = RamBlock::new("t", 0x1000).unwrap();
    let w = RamWindow::new(0, 0x800, false, &block, 0x800).unwrap();
    block.mark_code(0x900);
    assert!((0..0x100).all(|i| w.write_u8(i, 7) == Some(false)));
    assert_eq!(w.zero(0x40, 0x40), Some(false));
    assert_eq!([w.read_u8(0x3f), w.read_u8(0x80)], [Some(7); 2]);
    assert_eq!([w.read_u64(0x40), w.read_u64(0x78)], [Some(0); 2]);
    assert_eq!(w.zero(0x100, 0x40), Some(true), "there is code");
    assert_eq!([w.zero(0x7c8, 0x40), w.zero(0x800, 8), w.zero(0x44, 8)], [None; 3]);
    let rom = RamWindow::new(0, 0x1000, true, &block, 0).unwrap();
    assert_eq!(rom.zero(0, 8), None);
}

#[test]
fn truncated_shared_memory_reads_as_zero_and_does_not_kill_us() {
    let block = RamBlock::new("t", 0x4000).unwrap();
    let w = RamWindow::new(0, 0x4000, false, &block, 0).unwrap();
    w.write_u32(0x3000, 7).unwrap();
    rustix::fs::ftruncate(block.fd(), 0x1000).unwrap();
    assert_eq!(w.read_u32(0x3000), Some(0));
    assert_eq!(w.write_u32(0x2000, 1), Some(false));
    assert_eq!(w.read_u32(0x2000), Some(1));
}

#[test]
fn a_short_descriptor_is_refused() {
    let block = RamBlock::new("t", 0x1000).unwrap();
    let fd = rustix::io::dup(block.fd()).unwrap();
    assert!(RamBlock::from_fd(fd, 0x1001).is_err());
}

proptest! {
    #[test]
    fn the_flat_view_has_the_highest_mapping_at_every_address(
        maps in proptest::collection::vec((0u64..64, 0u64..32, 0i32..3), 0..8), probe in 0u64..100,
    ) {
        let mut space = AddressSpace::default();
        for (s, l, p) in &maps {
            space.map(unimplemented(*s, *l, *p));
        }
        let want = maps.iter().enumerate().filter(|(_, (s, l, _))| *s <= probe && probe < s + l).max_by_key(|(i, m)| (m.2, *i));
        let got = space.find(probe).map(|r| r.mapping.0 as usize);
        prop_assert_eq!(got, want.map(|(i, _)| i));
        prop_assert!(space.flat().windows(2).all(|w| w[0].last < w[1].start));
    }
}
