use super::{DamagedTree, Node};
use proptest::prelude::*;

fn sample() -> Node {
    Node::new("")
        .text("compatible", "riscv-virtio")
        .cell("#address-cells", 2)
        .child(
            Node::new("soc").flag("ranges").child(
                Node::new("serial@10000000")
                    .reg(&[(0x1000_0000, 0x100)])
                    .texts("compatible", &["a", "bc"]),
            ),
        )
        .child(Node::new("chosen").text("bootargs", "quiet"))
}

#[test]
fn a_tree_comes_back_as_it_went() {
    let blob = sample().to_blob().unwrap();
    assert_eq!(&blob[..4], &[0xd0, 0x0d, 0xfe, 0xed]);
    let mut back = Node::from_blob(&blob).unwrap();
    assert_eq!(back, sample());
    let serial = back.find("/soc/serial@10000000").unwrap();
    assert_eq!(serial.get("compatible"), Some(&b"a\0bc\0"[..]));
    assert_eq!(serial.get("reg").unwrap().len(), 16);
    back.child_mut("chosen").set("bootargs", b"x\0".to_vec());
    assert_eq!(Node::from_blob(&back.to_blob().unwrap()).unwrap(), back);
}

#[test]
fn damage_is_told() {
    let blob = sample().to_blob().unwrap();
    assert_eq!(Node::from_blob(b"/dts-v1/;"), Err(DamagedTree::NotOne));
    assert_eq!(Node::from_blob(&blob[..60]), Err(DamagedTree::Damaged));
    let mut deep = Node::new("x");
    for _ in 0..55 {
        deep = Node::new("x").child(deep);
    }
    let blob = Node::new("").child(deep).to_blob().unwrap();
    assert_eq!(Node::from_blob(&blob), Err(DamagedTree::Deep));
}

proptest! {
    #[test]
    fn no_bytes_upset_the_reader(at in 0usize..300, byte in any::<u8>(), more in proptest::collection::vec((0usize..300, any::<u8>()), 0..6)) {
        let mut blob = sample().to_blob().unwrap();
        for (at, byte) in more.into_iter().chain([(at, byte)]) {
            if let Some(b) = blob.get_mut(at) {
                *b = byte;
            }
        }
        if let Ok(tree) = Node::from_blob(&blob) {
            let _ = tree.to_blob();
        }
    }
}
