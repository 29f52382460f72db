//! A guest that wants random numbers.

use southbridge_backend_rng::{Config, RngBackend};
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::{Guest, system};
use southbridge_core::{DeviceType, PropValue, Properties};
use std::io::Write;

use super::TYPES;

fn on_bus() -> &'static DeviceType {
    TYPES.iter().find(|t| t.name == "virtio-rng-device").expect("a type")
}

#[test]
fn buffers_are_filled() {
    for features in [0, feature::RING_PACKED, feature::INDIRECT_DESC] {
        let mut g = Guest::new(on_bus(), Properties::default().with("packed", PropValue::Bool(true)));
        g.start(features);
        let a = g.request(0, &[], &[64]);
        assert_eq!(a.len, 64);
        let b = g.request(0, &[], &[20, 44]);
        assert_eq!(b.len, 64);
        assert_ne!(a.data, b.data);
        assert!(a.data.iter().any(|b| *b != 0));
    }
}

#[test]
fn a_buffer_larger_than_a_request_gets_what_there_is() {
    let mut g = Guest::new(on_bus(), Properties::default());
    g.start(0);
    assert_eq!(g.request(0, &[], &[1 << 20]).len, 1 << 16);
    // One that is not for writing comes back as it was.
    assert_eq!(g.request(0, &[b"?"], &[]).len, 0);
}

#[test]
fn the_rate_is_limited() {
    let p = Properties::default()
        .with("max-bytes", PropValue::Uint(100))
        .with("period", PropValue::Uint(1000));
    let mut g = Guest::new(on_bus(), p);
    g.start(0);
    for _ in 0..4 {
        g.add(0, &[], &[60]);
    }
    let start = g.sys.clock.now();
    g.kick(0);
    let first = g.wait_used(0).len;
    let second = g.wait_used(0).len;
    assert_eq!((first, second), (60, 40), "the quota of the first second");
    assert_eq!(g.sys.clock.now(), start);
    assert_eq!(g.wait_used(0).len, 60);
    assert_eq!(g.sys.clock.now(), start.after_ns(1_000_000_000));
}

#[test]
fn a_file_is_a_source_until_it_ends() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&[7; 40]).expect("written");
    let mut sys = system();
    let id = RngBackend::add(&mut sys, "r0", &Config::File(file.path().into())).expect("a source");
    let p = Properties::default().with("rng", PropValue::Backend("r0".into(), id));
    let mut g = Guest::on(sys, on_bus(), p);
    g.start(0);
    assert_eq!(g.request(0, &[], &[32]).data, [7; 32]);
    assert_eq!(g.request(0, &[], &[32]).data, [7; 8]);
    g.add(0, &[], &[32]);
    g.kick(0);
    g.poll(std::time::Duration::from_millis(10));
    assert!(g.used(0).is_none(), "there is no more");
}

#[test]
fn a_request_moves_with_the_device() {
    let fifo = tempfile::tempdir().expect("a folder");
    let path = fifo.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");
    let make = || {
        let mut sys = system();
        let id = RngBackend::add(&mut sys, "r0", &Config::File(path.clone())).expect("a source");
        let p = Properties::default().with("rng", PropValue::Backend("r0".into(), id));
        Guest::on(sys, on_bus(), p)
    };
    let mut g = make();
    let mut writer = std::fs::OpenOptions::new().write(true).open(&path).expect("the pipe");
    g.start(0);
    g.add(0, &[], &[4]);
    g.kick(0);
    g.poll(std::time::Duration::ZERO);
    assert!(g.used(0).is_none(), "nobody wrote");
    let mut g = g.move_to(make());
    writer.write_all(b"1234").expect("written");
    assert_eq!(g.wait_used(0).data, b"1234");
}

#[test]
fn properties_are_checked() {
    for (name, value) in [("max-bytes", 0), ("max-bytes", 1 << 63), ("period", 0)] {
        let p = Properties::default().with(name, PropValue::Uint(value));
        let e = system()
            .add_device(on_bus(), None, p, &[])
            .expect_err("refused")
            .to_string();
        assert!(e.starts_with(&format!("'{name}' cannot be '{value}'")), "{e}");
    }
}
