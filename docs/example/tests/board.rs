//! The metronome in machines: on a board of its own with a processor that runs a program, and where a user would plug it in.

use southbridge_core::machine::{Machine, Pacing};
use southbridge_core::{ClockRate, Outcome, Properties, Registry, VirtualTime};
use southbridge_machine::board::{
    BOARDS, Board, Core, CortexM, Description, Expansion, Irq, Memory, MemoryKind, Part, Ram, Unassigned,
};
use southbridge_machine::boot::Boot;
use southbridge_machine::load::{Format, install, parse};
use southbridge_machine::place::place;
use southbridge_machine::{Built, Options, build};

// ANCHOR: board
static BOARD: Board = Board {
    name: "example",
    summary: "A Cortex-M3 with a metronome",
    cpu: Some(Core::CortexM(CortexM {
        model: "cortex-m3",
        irqs: 8,
        priority_bits: 3,
        systick_reference: None,
    })),
    properties: &[],
    pacing: Pacing::SkipIdle,
    unassigned: Unassigned::Fault,
    expansion: Expansion {
        mmio: &[],
        ram: &[],
        irqs: &[],
    },
    ram: Ram::Own,
    boot: Boot::Vectors,
    serial_ports: 0,
    describe: |_| Description {
        clocks: vec![("SYSCLK", 10_000_000)],
        memory: vec![
            Memory::new("rom", 0, 4096, MemoryKind::Rom),
            Memory::new("ram", 0x2000_0000, 4096, MemoryKind::Ram),
        ],
        parts: vec![
            Part::new("metronome", "example-metronome", 0x4000_0000)
                .irqs(&[("irq", 0, Irq::Line(3))])
                .clocks(&["SYSCLK"]),
        ],
        ..Description::default()
    },
};
// ANCHOR_END: board

// ANCHOR: run
/// What `guest.s` beside this file assembles to: it sleeps through three beats of 10,000 clocks, counts them in its interrupt handler,
/// stops the metronome and writes the count to the first word of RAM.
fn program() -> Vec<u8> {
    let stop = 0x77;
    let mut words = vec![0x2000_1000, 0x51];
    words.extend([stop; 17]);
    words.push(0x7b);
    words.extend([
        0x2108_480b_u32,
        0xf04f_6001,
        0x2500_4480,
        0x7110_f242,
        0x2103_6061,
        0xbf30_6021,
        0xd1fc_2d03,
        0x6021_2100,
        0x5000_f04f,
        0xbf30_6005,
        0x6124_e7fd,
        0x4770_3501,
        0xe000_e100,
    ]);
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn example_board() -> Built {
    let mut registry = Registry::default();
    southbridge_example::register(&mut registry);
    let machine = Machine::empty(ClockRate::Hz(1)).expect("the host gives an epoll descriptor");
    let mut built = build::build(machine, &BOARD, &registry, &Options::default()).expect("the board is sound");
    let program = parse(&program(), Format::Raw, 0).expect("it has contents");
    install(&mut built.machine, "guest", program).expect("it fits the ROM");
    built
}

#[test]
fn a_guest_sleeps_from_beat_to_beat() {
    let run = || {
        let mut built = example_board();
        // 10,000 clocks of 10 MHz are 1 ms: three beats, and time to spare.
        let outcome = built.machine.run_until(VirtualTime(10_000_000));
        assert_eq!(outcome, Outcome::Deadline);
        assert_eq!(built.machine.sys.read(0x2000_0000, 4), Ok(3));
        (built.machine.sys.clock.executed(), built.machine.sys.clock.ticks())
    };
    let (executed, ticks) = run();
    assert!(executed < 100, "the rest of the time it slept: {executed}");
    assert_eq!(ticks, 100_000, "10 ms at 10 MHz");
    assert_eq!(run(), (executed, ticks), "two runs agree to the instruction");
}

#[test]
fn a_machine_goes_on_where_it_was_saved() {
    let mut first = example_board();
    first.machine.run_until(VirtualTime(1_500_000));
    let saved = first.machine.save().expect("nothing here blocks it");
    let mut second = example_board();
    second.machine.load(&saved).expect("the same board");
    for built in [&mut first, &mut second] {
        built.machine.run_until(VirtualTime(10_000_000));
        assert_eq!(built.machine.sys.read(0x2000_0000, 4), Ok(3));
    }
    assert_eq!(first.machine.save(), second.machine.save());
}
// ANCHOR_END: run

// ANCHOR: plug
#[test]
fn a_user_can_plug_it_into_a_board() {
    let board = BOARDS
        .iter()
        .find(|b| b.name == "mps2-an385")
        .expect("it is in the list");
    let mut registry = southbridge_machine::registry();
    southbridge_example::register(&mut registry);
    let machine = Machine::empty(ClockRate::Hz(1)).expect("the host gives an epoll descriptor");
    let mut built = build::build(machine, board, &registry, &Options::default()).expect("the board is sound");
    let t = registry.get("example-metronome").expect("it was registered");
    let sys = &mut built.machine.sys;
    let device = sys
        .add_device(t, Some("m"), Properties::default(), &[])
        .expect("created");
    let place = place(&mut built.machine, &mut built.layout, device).expect("there is room");
    assert_eq!((place.regions[0].1, place.irq), (0x4003_0000, Some(31)));
}
// ANCHOR_END: plug
