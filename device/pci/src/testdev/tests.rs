use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use crate::rig::{MMIO, Rig};

#[test]
fn writes_are_counted_where_the_header_says() {
    check_device(|| Bench::new(&super::TYPE, Properties::default()));
    check_device(|| {
        Bench::new(
            &super::TYPE,
            Properties::default().with("membar", PropValue::Uint(1 << 20)),
        )
    });
    let mut r = Rig::new();
    r.add(&super::TYPE, 0, 3, 0);
    r.set_cfg(0, 3, 0x10, 4, MMIO as u32);
    r.set_cfg(0, 3, 4, 2, 2);
    for test in 0..3u8 {
        r.sys.write(MMIO, 1, test.into()).unwrap();
        let at = MMIO + u64::from(r.read32(MMIO + 4));
        let datum = r.sys.read(MMIO + 8, 1).unwrap();
        for value in [datum, datum, 0x11] {
            r.sys.write(at, 1, value).unwrap();
        }
        let wild = test == 1;
        assert_eq!(r.read32(MMIO + 12), if wild { 3 } else { 2 });
        assert_eq!(r.sys.read(MMIO + 16, 1), Ok(u64::from(b'm')));
    }
    r.sys.write(MMIO, 1, 3).unwrap();
    assert_eq!(r.read32(MMIO + 4), 0, "no such test");
}
