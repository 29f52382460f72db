//! The devices together, wired as on the chip.

use southbridge_core::line::Sink;
use southbridge_core::system::Requests;
use southbridge_core::{ClockRate, DeviceId, DeviceType, LineDirection, Properties, System, VirtualTime};
use southbridge_device_stellaris::{adc, gptm, sys, watchdog};

const WDT: u64 = 0x4000_0000;
const TIMER0: u64 = 0x4003_0000;
const TIMER1: u64 = 0x4003_1000;
const ADC: u64 = 0x4003_8000;
const SYS: u64 = 0x400f_e000;

fn wire(s: &mut System, from: (DeviceId, &DeviceType, &str), to: (DeviceId, &DeviceType, &str)) {
    let output = from.1.line(LineDirection::Out, from.2, 0).expect("output");
    let input = to.1.line(LineDirection::In, to.2, 0).expect("input");
    s.wire(from.0, output, Sink::Device(to.0, input));
}

fn chip() -> System {
    let mut s = System::new(ClockRate::Hz(12_500_000)).expect("a system");
    let clock = s.add_clock(12_500_000);
    s.drive_cpu_clock(clock);
    let mut add = |t: &'static DeviceType, at| {
        let id = s
            .add_device(t, None, Properties::default(), &[clock])
            .expect("a device");
        s.map_device(id, 0, at, 0);
        id
    };
    let control = add(&sys::TYPE, SYS);
    let dog = add(&watchdog::TYPE, WDT);
    let timers = [add(&gptm::TYPE, TIMER0), add(&gptm::TYPE, TIMER1)];
    let converter = add(&adc::TYPE, ADC);
    for timer in timers {
        wire(
            &mut s,
            (timer, &gptm::TYPE, "trigger"),
            (converter, &adc::TYPE, "timer"),
        );
    }
    wire(
        &mut s,
        (dog, &watchdog::TYPE, "reset"),
        (control, &sys::TYPE, "watchdog-reset"),
    );
    s.reset();
    s
}

fn read(s: &mut System, address: u64) -> u64 {
    s.read(address, 4).expect("mapped")
}

fn write(s: &mut System, address: u64, value: u64) {
    s.write(address, 4, value).expect("mapped");
}

fn advance_us(s: &mut System, us: u64) {
    let end: VirtualTime = s.clock.now().after_ns(us * 1000);
    s.advance_to(end);
}

#[test]
fn the_pll_speeds_up_the_cpu_and_running_timers() {
    let mut s = chip();
    assert_eq!(s.clock.hz(), 12_500_000);
    write(&mut s, TIMER0 + 0x04, 1);
    write(&mut s, TIMER0 + 0x28, 100_000);
    write(&mut s, TIMER0 + 0x0c, 1);
    advance_us(&mut s, 4000);
    assert_eq!(read(&mut s, TIMER0 + 0x48), 50_000);
    write(&mut s, SYS + 0x60, 0x0380 | 3 << 23 | 1 << 22);
    assert_eq!(s.clock.hz(), 50_000_000);
    advance_us(&mut s, 999);
    assert_eq!(read(&mut s, TIMER0 + 0x1c), 0);
    advance_us(&mut s, 1);
    assert_eq!(read(&mut s, TIMER0 + 0x1c), 1);
}

#[test]
fn both_timers_trigger_the_converter() {
    let mut s = chip();
    write(&mut s, ADC + 0xa4, 6);
    write(&mut s, ADC + 0x14, 0x5000);
    write(&mut s, ADC, 8);
    for timer in [TIMER0, TIMER1] {
        write(&mut s, timer + 0x04, 2);
        write(&mut s, timer + 0x28, 12_499);
        write(&mut s, timer + 0x0c, 0x21);
        advance_us(&mut s, 1000);
        assert_eq!(read(&mut s, ADC + 0x04), 8);
        assert_eq!(read(&mut s, ADC + 0xa8) & !7, 0x200);
        write(&mut s, ADC + 0x0c, 8);
        write(&mut s, timer + 0x0c, 0);
    }
}

#[test]
fn system_control_knows_that_it_was_the_watchdog() {
    let mut s = chip();
    write(&mut s, SYS + 0x5c, 0);
    write(&mut s, WDT, 125);
    write(&mut s, WDT + 0x08, 3);
    advance_us(&mut s, 30);
    assert!(s.requests.contains(Requests::RESET));
    s.reset();
    assert_eq!(read(&mut s, SYS + 0x5c), 8);
    assert_eq!(read(&mut s, WDT + 0x08), 0);
    assert!(!s.requests.contains(Requests::RESET));
}
