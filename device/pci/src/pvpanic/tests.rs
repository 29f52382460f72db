use southbridge_core::Properties;
use southbridge_core::system::Requests;
use southbridge_testing::{Bench, check_device};

use crate::rig::{MMIO, Rig};

#[test]
fn a_crash_is_told() {
    check_device(|| Bench::new(&super::TYPE, Properties::default()));
    let mut r = Rig::new();
    r.add(&super::TYPE, 0, 3, 0);
    assert_eq!(r.cfg(0, 3, 0, 4), 0x0011_1b36);
    assert_eq!(r.cfg(0, 3, 8, 4), 0x0880_0001);
    r.set_cfg(0, 3, 0x10, 4, MMIO as u32);
    r.set_cfg(0, 3, 4, 2, 2);
    assert_eq!(r.sys.read(MMIO, 1), Ok(7));
    r.sys.write(MMIO, 1, 4).unwrap();
    assert!(r.sys.requests.contains(Requests::SHUTDOWN));
    r.sys.write(MMIO, 1, 1).unwrap();
    assert!(r.sys.requests.contains(Requests::PANIC));
}
