//! `lm3s6965evb`: the Stellaris LM3S6965 evaluation board.
//!
//! Addresses and interrupts: LM3S6965 data sheet, memory map and interrupt table; board wiring: EK-LM3S6965 user's manual.

use super::{
    Board, Choices, Core, CortexM, Description, Expansion, Irq, Memory, MemoryKind, Part, Plug, Ram, Unassigned, Value,
    Wire,
};
use crate::boot::Boot;
use Irq::Line as Irq_;
use southbridge_bus_ssi::ALWAYS_SELECTED;
use southbridge_core::machine::Pacing;

const SYSCLK: &[&str] = &["SYSCLK"];
pub(super) static BOARD: Board = Board {
    name: "lm3s6965evb",
    summary: "Stellaris LM3S6965EVB (Cortex-M3)",
    cpu: Some(Core::CortexM(CortexM {
        model: "cortex-m3",
        irqs: 64,
        priority_bits: 3,
        systick_reference: None,
    })),
    properties: &[],
    pacing: Pacing::PaceIdle,
    unassigned: Unassigned::Ignored,
    expansion: Expansion {
        mmio: &[(0x400f_f000, 0x1000), (0x4010_0000, 0x01f0_0000)],
        ram: &[(0x4010_0000, 0x01f0_0000), (0x6000_0000, 0x4000_0000)],
        irqs: &[
            44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
        ],
    },
    ram: Ram::Own,
    boot: Boot::Vectors,
    serial_ports: 3,
    describe,
};

fn describe(_: &Choices) -> Description {
    Description {
        clocks: vec![("SYSCLK", 12_500_000)],
        memory: vec![
            Memory {
                name: "stellaris.flash",
                start: 0x0000_0000,
                len: 256 << 10,
                kind: MemoryKind::Rom,
            },
            Memory {
                name: "stellaris.sram",
                start: 0x2000_0000,
                len: 64 << 10,
                kind: MemoryKind::Ram,
            },
        ],
        parts: vec![
            Part::new("sys", "stellaris-sys", 0x400f_e000)
                .irqs(&[("irq", 0, Irq_(28))])
                .clocks(SYSCLK)
                .with(vec![
                    ("user0", Value::NicAddress(0, 0)),
                    ("user1", Value::NicAddress(0, 3)),
                    ("did0", Value::Uint(0x1001_0002)),
                    ("did1", Value::Uint(0x1073_402e)),
                    ("dc0", Value::Uint(0x00ff_007f)),
                    ("dc1", Value::Uint(0x0011_33ff)),
                    ("dc2", Value::Uint(0x030f_5317)),
                    ("dc3", Value::Uint(0x0f0f_87ff)),
                    ("dc4", Value::Uint(0x5000_007f)),
                ]),
            Part::new("adc", "stellaris-adc", 0x4003_8000).irqs(&[
                ("irq", 0, Irq_(14)),
                ("irq", 1, Irq_(15)),
                ("irq", 2, Irq_(16)),
                ("irq", 3, Irq_(17)),
            ]),
            gptm("gptm0", 0x4003_0000, &[("irq", 0, Irq_(19)), ("irq-b", 0, Irq_(20))]),
            gptm("gptm1", 0x4003_1000, &[("irq", 0, Irq_(21)), ("irq-b", 0, Irq_(22))]),
            gptm("gptm2", 0x4003_2000, &[("irq", 0, Irq_(23)), ("irq-b", 0, Irq_(24))]),
            gptm("gptm3", 0x4003_3000, &[("irq", 0, Irq_(35)), ("irq-b", 0, Irq_(36))]),
            Part::new("watchdog", "luminary-watchdog", 0x4000_0000)
                .irqs(&[("irq", 0, Irq_(18))])
                .clocks(SYSCLK),
            gpio("gpio_a", 0x4000_4000, &[("irq", 0, Irq_(0))]),
            gpio("gpio_b", 0x4000_5000, &[("irq", 0, Irq_(1))]),
            gpio("gpio_c", 0x4000_6000, &[("irq", 0, Irq_(2))]),
            // The select of the SD card (PD0) has a resistor to 1: no card is selected while the pin floats.
            gpio("gpio_d", 0x4000_7000, &[("irq", 0, Irq_(3))]).with(vec![("pullups", Value::Uint(1))]),
            gpio("gpio_e", 0x4002_4000, &[("irq", 0, Irq_(4))]),
            gpio("gpio_f", 0x4002_5000, &[("irq", 0, Irq_(30))]),
            gpio("gpio_g", 0x4002_6000, &[("irq", 0, Irq_(31))]),
            Part::new("i2c0", "stellaris-i2c", 0x4002_0000)
                .irqs(&[("irq", 0, Irq_(8))])
                .clocks(SYSCLK),
            Part::new("i2c1", "stellaris-i2c", 0x4002_1000)
                .irqs(&[("irq", 0, Irq_(37))])
                .clocks(SYSCLK),
            Part::new("uart0", "pl011_luminary", 0x4000_c000)
                .irqs(&[("irq", 0, Irq_(5))])
                .clocks(SYSCLK)
                .with(vec![("chardev", Value::Serial(0))]),
            Part::new("uart1", "pl011_luminary", 0x4000_d000)
                .irqs(&[("irq", 0, Irq_(6))])
                .clocks(SYSCLK)
                .with(vec![("chardev", Value::Serial(1))]),
            Part::new("uart2", "pl011_luminary", 0x4000_e000)
                .irqs(&[("irq", 0, Irq_(33))])
                .clocks(SYSCLK)
                .with(vec![("chardev", Value::Serial(2))]),
            Part::new("ssi", "pl022", 0x4000_8000)
                .irqs(&[("irq", 0, Irq_(7))])
                .clocks(SYSCLK),
            Part::new("enet", "stellaris_enet", 0x4004_8000).irqs(&[("irq", 0, Irq_(42))]),
            Part::aside("ssi-sd", "ssi-sd"),
            Part::aside("sd-card", "sd-card-spi"),
            Part::aside("oled", "ssd0323"),
            Part::aside("gamepad", "stellaris-gamepad"),
        ],
        wires: vec![
            Wire::new(("gptm0", "trigger", 0), ("adc", "timer", 0)),
            Wire::new(("gptm1", "trigger", 0), ("adc", "timer", 0)),
            Wire::new(("gptm2", "trigger", 0), ("adc", "timer", 0)),
            Wire::new(("gptm3", "trigger", 0), ("adc", "timer", 0)),
            Wire::new(("watchdog", "reset", 0), ("sys", "watchdog-reset", 0)),
            Wire::new(("gpio_d", "out", 0), ("ssi-sd", "ssi-gpio-cs", 0)),
            Wire::new(("gpio_d", "out", 0), ("oled", "ssi-gpio-cs", 0)),
            Wire::new(("gpio_c", "out", 7), ("oled", "dc", 0)),
            Wire::new(("gamepad", "button", 0), ("gpio_e", "in", 0)),
            Wire::new(("gamepad", "button", 1), ("gpio_e", "in", 1)),
            Wire::new(("gamepad", "button", 2), ("gpio_e", "in", 2)),
            Wire::new(("gamepad", "button", 3), ("gpio_e", "in", 3)),
            Wire::new(("gamepad", "button", 4), ("gpio_f", "in", 1)),
        ],
        plugs: vec![
            Plug {
                bus_of: "ssi",
                part: "ssi-sd",
                address: ALWAYS_SELECTED,
            },
            Plug {
                bus_of: "ssi",
                part: "oled",
                address: ALWAYS_SELECTED,
            },
            Plug {
                bus_of: "ssi-sd",
                part: "sd-card",
                address: 0,
            },
        ],
        unimplemented: vec![
            ("PWM", 0x4002_8000, 0x1000),
            ("QEI-0", 0x4002_c000, 0x1000),
            ("QEI-1", 0x4002_d000, 0x1000),
            ("analogue-comparator", 0x4003_c000, 0x1000),
            ("hibernation", 0x400f_c000, 0x1000),
            ("flash-control", 0x400f_d000, 0x1000),
        ],
        interrupts: None,
        finish: None,
    }
}

fn gptm(name: &'static str, at: u64, irqs: &'static [(&'static str, u16, Irq)]) -> Part {
    Part::new(name, "stellaris-gptm", at).irqs(irqs).clocks(SYSCLK)
}

fn gpio(name: &'static str, at: u64, irqs: &'static [(&'static str, u16, Irq)]) -> Part {
    Part::new(name, "pl061_luminary", at).irqs(irqs)
}
