use southbridge_core::clock::ClockRate;
use southbridge_core::{DeviceId, Machine};

use super::{PciError, PciPlace, parse_address, unplug};
use crate::add::{self, AddError, Surroundings};
use crate::board::BOARDS;
use crate::build::{Built, Options, build};
use crate::{Spec, registry};
use southbridge_bus_pci::{Leaves, SlotError};

fn virt() -> Built {
    let board = BOARDS.iter().find(|b| b.name == "virt").expect("a board with PCI");
    let machine = Machine::empty(ClockRate::Hz(1_000_000_000)).expect("an epoll descriptor");
    build(machine, board, &registry(), &Options::default()).expect("the board")
}

fn add(b: &mut Built, hot: bool, words: &str) -> Result<DeviceId, AddError> {
    let mut parts = words.split(',');
    let mut spec = Spec {
        driver: parts.next().unwrap_or_default(),
        ..Spec::default()
    };
    for (name, value) in parts.filter_map(|p| p.split_once('=')) {
        match name {
            "id" => spec.id = Some(value),
            "bus" => spec.bus = Some(value),
            _ => spec.properties.push((name, value)),
        }
    }
    let around = Surroundings {
        registry: &registry(),
        globals: &[],
        chardev: &|_| None,
        memdev: &|_| None,
        netdev: &|_| None,
    };
    let way = if hot { add::hot_plug_device } else { add::add_device };
    way(&mut b.machine, &mut b.layout, &around, &spec).map(|a| a.device)
}

fn refusal(b: &mut Built, words: &str) -> String {
    add(b, false, words).expect_err("it is refused").to_string()
}

fn at(b: &Built, device: DeviceId) -> PciPlace {
    let (bus, devfn) = southbridge_bus_pci::wiring::place_of(&b.machine.sys, device).expect("on a bus");
    let bus = b.machine.sys.buses().find(|(id, _)| *id == bus).expect("the bus").1;
    PciPlace {
        bus: bus.name.clone(),
        devfn,
    }
}

#[test]
fn addresses_are_hexadecimal() {
    assert_eq!(parse_address("3"), Ok(0x18));
    assert_eq!(parse_address("0x1f.7"), Ok(0xff));
    assert_eq!(parse_address("03.0"), Ok(0x18));
    for bad in ["20", "1.8", "x", "", "1.", ".1", "100"] {
        assert_eq!(parse_address(bad), Err(PciError::BadAddress(bad.into())));
    }
}

#[test]
fn devices_find_slots_and_errors_name_who_has_them() {
    let mut b = virt();
    let first = add(&mut b, false, "edu").unwrap();
    let third = add(&mut b, false, "edu,id=e,addr=3").unwrap();
    let second = add(&mut b, false, "pci-testdev").unwrap();
    assert_eq!([first, second, third].map(|d| at(&b, d).devfn), [0x08, 0x10, 0x18]);
    assert_eq!(
        refusal(&mut b, "edu,addr=3"),
        "slot 3 function 0 of 'pcie.0' has 'e' already; the next free slot is 4"
    );
    assert_eq!(
        refusal(&mut b, "edu,addr=0"),
        "slot 0 function 0 of 'pcie.0' has 'gpex-root' already; the next free slot is 4"
    );
    assert!(refusal(&mut b, "edu,addr=3.1").contains("multifunction=on"));
    assert!(refusal(&mut b, "edu,bus=pcie.7").contains("there is pcie.0"));
    add(&mut b, false, "edu,addr=5.0,multifunction=on").unwrap();
    add(&mut b, false, "edu,addr=5.1").unwrap();
    for _ in 0..27 {
        add(&mut b, false, "edu").unwrap();
    }
    assert_eq!(refusal(&mut b, "edu"), "no slot of 'pcie.0' is free");
}

#[test]
fn ports_take_one_device_and_let_it_go() {
    let mut b = virt();
    add(&mut b, false, "pcie-root-port,id=rp").unwrap();
    assert!(refusal(&mut b, "edu,bus=rp,addr=1").contains("takes one device, at slot 0"));
    b.machine.sys.reset();
    let e = add(&mut b, true, "edu,bus=rp").unwrap();
    assert_eq!(
        at(&b, e),
        PciPlace {
            bus: "rp".into(),
            devfn: 0
        }
    );
    assert!(matches!(
        add(&mut b, true, "edu"),
        Err(AddError::NotOnPci(PciError::Slot {
            error: SlotError::NoHotPlug,
            ..
        }))
    ));
    assert_eq!(unplug(&mut b.machine, e), Ok(Leaves::Now));
}
