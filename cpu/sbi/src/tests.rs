use super::*;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{ClockRate, Machine, Outcome};
use southbridge_cpu_rv64::Config;

const RAM: u64 = 0x8000_0000;

/// A machine with harts, RAM and the firmware; hart 0 starts at the beginning of RAM with `program`.
fn machine(harts: u8, program: &[u32]) -> Machine {
    let mut m = Machine::empty(ClockRate::Hz(1_000_000_000)).unwrap();
    let block = m.add_ram("ram", 1 << 20).unwrap();
    m.sys.memory.map(Mapping {
        start: RAM,
        len: 1 << 20,
        priority: 0,
        name: "ram".into(),
        target: Target::Ram {
            block,
            offset: 0,
            readonly: false,
        },
    });
    for i in 0..harts {
        let config = Config {
            firmware: true,
            ..Config::new(CpuId(i), i.into())
        };
        m.add_cpu(Box::new(Rv64::new(config)));
    }
    m.firmware = Some(Box::new(Sbi::new(
        0x1000_0000,
        Boot {
            entry: RAM,
            device_tree: 0x1234,
        },
    )));
    let bytes: Vec<u8> = program.iter().flat_map(|w| w.to_le_bytes()).collect();
    m.sys.write_bytes(RAM, &bytes).unwrap();
    m
}

// The few instructions that the programs below are made of (Unprivileged ISA, 2.4 and 2.6).
const fn li(rd: u32, value: i32) -> u32 {
    (value as u32) << 20 | rd << 7 | 0x13
}
const fn lui(rd: u32, value: u32) -> u32 {
    value & 0xffff_f000 | rd << 7 | 0x37
}
const fn addi(rd: u32, rs: u32, value: i32) -> u32 {
    li(rd, value) | rs << 15
}
const ECALL: u32 = 0x73;
const LOOP: u32 = 0x6f;
const A0_: u32 = 10;
const A1_: u32 = 11;
const A2_: u32 = 12;
const A6_: u32 = 16;
const A7_: u32 = 17;

/// `li a7, ext; li a6, function; ecall`.
fn call(ext: u64, function: i32) -> Vec<u32> {
    let (high, low) = ((ext + 0x800) as u32 & !0xfff, ((ext as i32) << 20) >> 20);
    vec![lui(A7_, high), addi(A7_, A7_, low), li(A6_, function), ECALL]
}

fn run(m: &mut Machine) -> Outcome {
    let end = m.sys.clock.now().after_ns(1_000_000);
    m.run_until(end)
}

fn gpr(m: &mut Machine, hart: u8, n: u32) -> u64 {
    let cpu = m.cpu_mut(CpuId(hart)).unwrap() as &mut dyn std::any::Any;
    cpu.downcast_mut::<Rv64>().unwrap().gpr(n as u8)
}

/// Runs one call on one hart and gives (a0, a1).
fn one_call(ext: u64, function: i32, arguments: &[u32]) -> (i64, u64) {
    let mut program = arguments.to_vec();
    program.extend(call(ext, function));
    program.push(LOOP);
    let mut m = machine(1, &program);
    assert_eq!(run(&mut m), Outcome::Deadline);
    (gpr(&mut m, 0, A0_) as i64, gpr(&mut m, 0, A1_))
}

#[test]
fn the_guest_starts_in_supervisor_mode_with_its_id_and_device_tree() {
    let mut m = machine(1, &[LOOP]);
    assert_eq!(run(&mut m), Outcome::Deadline);
    assert_eq!((gpr(&mut m, 0, A0_), gpr(&mut m, 0, A1_)), (0, 0x1234));
    assert_eq!(m.cpus[0].pc(), RAM);
}

#[test]
fn base_tells_version_and_extensions() {
    assert_eq!(one_call(extension::BASE, 0, &[]), (0, 0x0200_0000));
    let dbcn = [lui(A0_, 0x4442_4000), addi(A0_, A0_, 0x34e)];
    assert_eq!(one_call(extension::BASE, 3, &dbcn), (0, 1));
    assert_eq!(one_call(extension::BASE, 3, &[li(A0_, 0x77)]), (0, 0));
    assert_eq!(one_call(extension::BASE, 99, &[]).0, SbiError::NotSupported as i64);
    assert_eq!(one_call(0x777, 0, &[]).0, SbiError::NotSupported as i64);
}

#[test]
fn a_hart_is_started_once_and_gets_what_the_caller_passes() {
    // hart_start(1, RAM + 0x40, 7), twice; then loop. Hart 1 loops at once.
    let arguments = [
        li(A0_, 1),
        0x0000_0597, /* auipc a1, 0 */
        addi(A1_, A1_, 0x3c),
        li(A2_, 7),
    ];
    let mut program = arguments.to_vec();
    program.extend(call(extension::HSM, 0));
    program.extend([addi(18, A0_, 0), li(A0_, 1)]);
    program.extend(call(extension::HSM, 0));
    program.push(LOOP);
    program.resize(17, LOOP);
    let mut m = machine(2, &program);
    assert_eq!(run(&mut m), Outcome::Deadline);
    assert_eq!(gpr(&mut m, 0, 18), 0, "started");
    assert_eq!(gpr(&mut m, 0, A0_) as i64, SbiError::AlreadyAvailable as i64);
    assert_eq!((gpr(&mut m, 1, A0_), gpr(&mut m, 1, A1_)), (1, 7));
    assert_eq!(m.cpus[1].pc(), RAM + 0x40);
}

#[test]
fn harts_that_do_not_exist_are_refused() {
    assert_eq!(
        one_call(extension::HSM, 2, &[li(A0_, 9)]).0,
        SbiError::InvalidParam as i64
    );
    assert_eq!(
        one_call(extension::HSM, 0, &[li(A0_, -1)]).0,
        SbiError::InvalidParam as i64
    );
    let mask = [li(A0_, 3), li(A1_, 0)];
    assert_eq!(one_call(extension::IPI, 0, &mask).0, SbiError::InvalidParam as i64);
    let all = [li(A0_, 0), li(A1_, -1)];
    assert_eq!(one_call(extension::IPI, 0, &all), (0, 0));
}

#[test]
fn an_interrupt_to_oneself_is_pending() {
    let mut program = vec![li(A0_, 1), li(A1_, 0)];
    program.extend(call(extension::IPI, 0));
    program.extend([0x1440_2973 /* csrr s2, sip */, LOOP]);
    let mut m = machine(1, &program);
    assert_eq!(run(&mut m), Outcome::Deadline);
    assert_eq!(gpr(&mut m, 0, 18) & 2, 2);
}

#[test]
fn reset_and_shutdown_end_the_run_as_the_policy_says() {
    let program = |kind| {
        let mut p = vec![li(A0_, kind), li(A1_, 0)];
        p.extend(call(extension::SRST, 0));
        p
    };
    assert_eq!(run(&mut machine(1, &program(0))), Outcome::Shutdown);
    let mut m = machine(1, &program(1));
    m.policy.reset_ends = true;
    assert_eq!(run(&mut m), Outcome::Shutdown);
    assert_eq!(
        one_call(extension::SRST, 0, &[li(A0_, 3), li(A1_, 0)]).0,
        SbiError::InvalidParam as i64
    );
}

#[test]
fn the_timer_interrupt_comes_when_it_was_asked_for() {
    // set_timer(100) at 10 MHz, then look at sip until STIP is set, then read the time.
    let mut program = vec![li(A0_, 100)];
    program.extend(call(extension::TIME, 0));
    program.extend([
        0x1440_2973, // csrr s2, sip
        0x0209_7913, // andi s2, s2, 0x20
        0xfe09_0ce3, // beqz s2, -8
        0xc010_29f3, // csrr s3, time
        LOOP,
    ]);
    let mut m = machine(1, &program);
    assert_eq!(run(&mut m), Outcome::Deadline);
    assert_eq!(gpr(&mut m, 0, 18), 0x20);
    assert!((100..=101).contains(&gpr(&mut m, 0, 19)), "{}", gpr(&mut m, 0, 19));
}

#[test]
fn a_suspended_hart_goes_on_when_an_interrupt_is_pending() {
    // sie = STIE; set_timer(100); hart_suspend retentive; read the time.
    let mut program = vec![li(18, 0x20), 0x1049_1073 /* csrw sie, s2 */, li(A0_, 100)];
    program.extend(call(extension::TIME, 0));
    program.push(li(A0_, 0));
    program.extend(call(extension::HSM, 3));
    program.extend([0xc010_29f3 /* csrr s3, time */, LOOP]);
    let mut m = machine(1, &program);
    m.pacing = southbridge_core::machine::Pacing::SkipIdle;
    assert_eq!(run(&mut m), Outcome::Deadline);
    assert_eq!(gpr(&mut m, 0, A0_), 0);
    assert!((100..=101).contains(&gpr(&mut m, 0, 19)), "{}", gpr(&mut m, 0, 19));
}

#[test]
fn firmware_counters_count_calls() {
    // config_matching(base 3, mask all 16, flags clear|auto start, event firmware 5); set_timer twice; fw_read.
    let mut program = vec![
        li(A0_, 3),
        lui(A1_, 0x10000),
        addi(A1_, A1_, -1),
        li(A2_, 6),
        lui(13, 0xf_0000),
        addi(13, 13, 5),
    ];
    program.extend(call(extension::PMU, 2));
    program.push(addi(18, A1_, 0));
    for _ in 0..2 {
        program.push(li(A0_, -1));
        program.extend(call(extension::TIME, 0));
    }
    program.push(addi(A0_, 18, 0));
    program.extend(call(extension::PMU, 5));
    program.push(LOOP);
    let mut m = machine(1, &program);
    assert_eq!(run(&mut m), Outcome::Deadline);
    assert_eq!(gpr(&mut m, 0, 18), 3, "the first of the firmware's counters");
    assert_eq!((gpr(&mut m, 0, A0_), gpr(&mut m, 0, A1_)), (0, 2));
}

#[test]
fn the_console_refuses_memory_that_is_not_there() {
    let nowhere = [li(A0_, 4), li(A1_, 0), li(A2_, 0)];
    assert_eq!(one_call(extension::DBCN, 0, &nowhere).0, SbiError::InvalidParam as i64);
    assert_eq!(
        one_call(extension::DBCN, 2, &[li(A0_, 65)]).0,
        SbiError::Failed as i64,
        "no UART here"
    );
}

#[test]
fn state_survives_save_and_refuses_damage() {
    let mut sbi = Sbi::new(
        0,
        Boot {
            entry: 0,
            device_tree: 0,
        },
    );
    sbi.hart_state(3).suspended = true;
    let saved = sbi.save();
    let mut other = Sbi::new(
        0,
        Boot {
            entry: 0,
            device_tree: 0,
        },
    );
    other.load(&saved).unwrap();
    assert!(other.hart_state(3).suspended);
    let mut huge = State::default();
    huge.harts.resize_with(300, HartState::default);
    assert!(other.load(&SavedState::of(STATE_VERSION, &huge)).is_err());
    assert!(other.hart_state(3).suspended);
}
