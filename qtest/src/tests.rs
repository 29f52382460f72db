use super::*;
use southbridge_machine::{BOARDS, Options, build, registry};

fn board(name: &str) -> (Machine, Session) {
    let found = BOARDS.iter().find(|b| b.name == name).unwrap();
    let machine = Machine::empty(ClockRate::Hz(1)).unwrap();
    let built = build::build(machine, found, &registry(), &Options::default()).unwrap();
    let places = southbridge_machine::qom::places(&built.layout, &built.machine);
    let mut machine = built.machine;
    take_over(&mut machine);
    machine.reset();
    (machine, Session::new(places))
}

/// A conversation: requests after `>`, what must come back after `<`.
fn conversation(name: &str, text: &str) {
    let (mut machine, mut session) = board(name);
    let mut answers = std::collections::VecDeque::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        match line.split_at(1) {
            (">", request) => {
                assert!(answers.is_empty(), "{answers:?} came unexpected before {request}");
                answers.extend(session.execute(request.trim_start(), &mut machine));
            }
            (_, answer) => assert_eq!(answers.pop_front().as_deref(), Some(answer.trim_start()), "in {text}"),
        }
    }
    assert!(answers.is_empty(), "{answers:?}");
}

#[test]
fn memory_of_every_width() {
    conversation(
        "mps2-an385",
        "
        > writel 0x20000000 0x12345678
        < OK
        > readb 0x20000001
        < OK 0x0000000000000056
        > readw 0x20000002
        < OK 0x0000000000001234
        > readq 0x20000000
        < OK 0x0000000012345678
        > write 0x20000010 4 0xdeadbe
        < OK
        > read 0x20000010 4
        < OK 0xdeadbe00
        > b64read 0x20000010 3
        < OK 3q2+
        > memset 0x20000010 2 0x11
        < OK
        > read 0x20000010 4
        < OK 0x1111be00
        > readl 0x90000000
        < OK 0x0000000000000000
        > endianness
        < OK little
        ",
    );
}

#[test]
fn a_timer_by_the_clock_and_its_interrupt_before_the_answer() {
    conversation(
        "mps2-an385",
        "
        > irq_intercept_out /machine/timer0
        < FAIL No intercepts installed
        > irq_intercept_out /machine/timer0 sysbus-irq
        < OK
        > writel 0x40000008 25000
        < OK
        > writel 0x40000004 25000
        < OK
        > writel 0x40000000 9
        < OK
        > clock_step 999999
        < OK 999999
        > clock_step 100
        < IRQ raise 0
        < OK 1000099
        > writel 0x4000000c 1
        < IRQ lower 0
        < OK
        > clock_step
        < IRQ raise 0
        < OK 2000040
        > clock_set 5000000
        < OK 5000000
        > clock_set 1
        < FAIL 5000000
        ",
    );
}

#[test]
fn lines_of_pins_and_of_the_processor() {
    conversation(
        "lm3s6965evb",
        "
        > irq_intercept_in /machine/soc/v7m/nvic
        < OK
        > writel 0x40004410 0x01
        < OK
        > set_irq_in /machine/unattached/device[1] unnamed-gpio-in 0 0
        < OK
        > writel 0x40004408 0x01
        < OK
        > writel 0x4000440c 0x01
        < OK
        > set_irq_in /machine/unattached/device[1] unnamed-gpio-in 0 1
        < IRQ raise 0
        < OK
        > set_irq_in /machine/unattached/device[1] unnamed-gpio-in 9 1
        < FAIL '/machine/unattached/device[1]' has 8 lines 'unnamed-gpio-in', not number 9
        > irq_intercept_in nobody
        < FAIL Unknown device
        > irq_intercept_in /machine/soc/v7m/nvic
        < OK
        > irq_intercept_in device[2] in
        < FAIL Interception of named in-GPIOs not yet supported
        > irq_intercept_out /machine/unattached/device[2]
        < FAIL IRQ intercept already enabled
        ",
    );
}

/// As QEMU's virt answers, but for its refusal of the clock where a processor runs.
#[test]
fn interrupts_of_virt() {
    conversation(
        "virt",
        "
        > irq_intercept_in /machine/unattached/device[2]
        < OK
        > readb 0x10000005
        < OK 0x0000000000000060
        > writeb 0x10000001 2
        < IRQ raise 10
        < OK
        > readb 0x10000002
        < IRQ lower 10
        < OK 0x0000000000000002
        > set_irq_in /machine/unattached/device[2] unnamed-gpio-in 11 1
        < IRQ raise 11
        < OK
        > readl 0xc001000
        < OK 0x0000000000000c00
        > set_irq_in /machine/unattached/device[2] unnamed-gpio-in 11 1
        < OK
        > irq_intercept_out /machine/unattached/device[1]
        < FAIL IRQ intercept already enabled
        > readl 0x30000000
        < OK 0x0000000000081b36
        ",
    );
    conversation(
        "virt",
        "
        > irq_intercept_out /machine/unattached/device[1]
        < OK
        > writeq 0x2004000 100
        < OK
        > clock_step
        < IRQ raise 0
        < OK 10000
        > clock_step 100000
        < OK 110000
        > readq 0x200bff8
        < OK 0x000000000000044c
        ",
    );
    conversation(
        "virt",
        "
        > irq_intercept_out /machine/unattached/device[0]
        < OK
        > writel 0x2000000 1
        < IRQ raise 0
        < OK
        > writel 0x2000000 0
        < IRQ lower 0
        < OK
        ",
    );
}

#[test]
fn a_clock_without_deadlines_says_so() {
    conversation(
        "mps2-an385",
        "
        > clock_step
        < FAIL cannot advance clock to the next deadline because there is no pending deadline
        > clock_step 0
        < FAIL could not advance time
        > frobnicate
        < FAIL Unknown command 'frobnicate'
        ",
    );
}
