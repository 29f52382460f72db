//! The display through its bus and lines.

use southbridge_core::Properties;
use southbridge_testing::{Bench, Noise, check_device};

use super::*;

fn bench() -> Bench {
    let mut b = Bench::new(&TYPE, Properties::default());
    b.set_input("ssi-gpio-cs", 0, true);
    b
}

fn send(b: &mut Bench, bytes: &[u8]) {
    for byte in bytes {
        let device = b.device;
        b.sys
            .with_role::<dyn SsiTarget, _>(device, |t, cx| assert_eq!(t.transfer((*byte).into(), cx), 0));
    }
}

fn commands(b: &mut Bench, bytes: &[u8]) {
    b.set_input("dc", 0, false);
    send(b, bytes);
}

fn data(b: &mut Bench, bytes: &[u8]) {
    b.set_input("dc", 0, true);
    send(b, bytes);
}

fn image(b: &mut Bench) -> Vec<u8> {
    b.with::<Ssd0323, _>(|d, _| d.render())
}

fn pixel(b: &mut Bench, x: usize, y: usize) -> u8 {
    image(b)[y * WIDTH + x]
}

#[test]
fn generic() {
    check_device(|| {
        let mut b = bench();
        commands(&mut b, &[0xaf, 0x15]);
        b.sys.reset();
        b
    });
}

#[test]
fn pixels_appear_where_they_were_put() {
    let mut b = bench();
    commands(&mut b, &[0xaf, 0x15, 2, 3, 0x75, 10, 11]);
    data(&mut b, &[0x12, 0x34, 0x56, 0x78, 0xff]);
    let mut expected = vec![0; WIDTH * HEIGHT];
    for (row, pixels) in [(10, [15, 15, 3, 4]), (11, [5, 6, 7, 8])] {
        for (i, p) in pixels.into_iter().enumerate() {
            expected[row * WIDTH + 4 + i] = p * 17;
        }
    }
    assert_eq!(
        image(&mut b),
        expected,
        "the window wraps: the fifth byte is the first again"
    );
}

#[test]
fn vertical_addressing_goes_down_first() {
    let mut b = bench();
    commands(&mut b, &[0xaf, 0xa0, 0x56, 0x15, 0, 1, 0x75, 0, 1]);
    data(&mut b, &[0x10, 0x20, 0x30, 0x40]);
    let at = |b: &mut Bench, x, y| pixel(b, x, y) / 17;
    assert_eq!(
        (at(&mut b, 0, 0), at(&mut b, 0, 1), at(&mut b, 2, 0), at(&mut b, 2, 1)),
        (1, 2, 3, 4)
    );
}

#[test]
fn modes_and_power() {
    let mut b = bench();
    data(&mut b, &[0x50]);
    assert_eq!(pixel(&mut b, 0, 0), 0, "off at reset");
    commands(&mut b, &[0xaf]);
    assert_eq!((pixel(&mut b, 0, 0), pixel(&mut b, 1, 0)), (0x55, 0));
    commands(&mut b, &[0xa7]);
    assert_eq!((pixel(&mut b, 0, 0), pixel(&mut b, 1, 0)), (0xaa, 0xff));
    commands(&mut b, &[0xa5]);
    assert_eq!(pixel(&mut b, 1, 0), 0xff);
    commands(&mut b, &[0xa6]);
    assert_eq!(pixel(&mut b, 0, 0), 0);
    commands(&mut b, &[0xa4, 0xa1, 79]);
    assert_eq!(pixel(&mut b, 0, 1), 0x55, "the top row is memory row 79");
}

#[test]
fn deselected_it_hears_nothing() {
    let mut b = bench();
    b.set_input("ssi-gpio-cs", 0, false);
    let device = b.device;
    let selected = b.sys.with_role::<dyn SsiTarget, _>(device, |t, _| t.is_selected());
    assert_eq!(selected, Some(false));
}

#[test]
fn unknown_commands_do_not_swallow_the_next() {
    let mut b = bench();
    commands(&mut b, &[0x00, 0xff, 0x81, 0x7f, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xaf]);
    data(&mut b, &[0xf0]);
    assert_eq!(pixel(&mut b, 0, 0), 0xff);
}

#[test]
fn any_bytes_are_survived() {
    let mut b = bench();
    for (i, byte) in Noise::new(1).bytes(100_000).into_iter().enumerate() {
        if i % 13 == 0 {
            b.set_input("dc", 0, byte & 1 != 0);
        }
        send(&mut b, &[byte]);
    }
    let saved = b.save();
    let loaded = b.sys.with_device(b.device, |d, _| d.load(&saved));
    assert_eq!(loaded, Some(Ok(())), "every state that can be reached can be loaded");
    assert_eq!(image(&mut b).len(), WIDTH * HEIGHT);
}
