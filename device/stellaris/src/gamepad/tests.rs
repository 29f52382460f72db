use super::{Button, StellarisGamepad, TYPE};
use southbridge_core::Properties;
use southbridge_testing::{Bench, check_device};

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

fn levels(b: &Bench) -> Vec<bool> {
    (0..5).map(|i| b.line("button", i)).collect()
}

#[test]
fn general() {
    check_device(bench);
}

#[test]
fn a_pressed_button_is_low() {
    let mut b = bench();
    assert_eq!(levels(&b), [true; 5]);
    b.with(|d: &mut StellarisGamepad, cx| d.press(Button::Select, true, cx));
    b.with(|d: &mut StellarisGamepad, cx| d.press(Button::Down, true, cx));
    assert_eq!(levels(&b), [true, false, true, true, false]);
    b.with(|d: &mut StellarisGamepad, cx| d.press(Button::Down, false, cx));
    assert_eq!(levels(&b), [true, true, true, true, false]);
    b.sys.reset();
    assert_eq!(levels(&b), [true; 5]);
}
