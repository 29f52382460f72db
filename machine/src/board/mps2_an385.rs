//! `mps2-an385`: the Arm MPS2 board with the AN385 image, a Cortex-M3 with the devices of the Cortex-M System Design Kit.
//!
//! Addresses and interrupts: Application Note 385, memory map and interrupt assignments. Its table gives the shield SPIs interrupt 23;
//! here they raise 24, because that is where firmware that ran on other emulators looks.

use super::{
    Board, Choices, Core, CortexM, Description, Expansion, Irq, Memory, MemoryKind, Part, Ram, Unassigned, Value,
};
use crate::boot::Boot;
use Irq::Line as Irq_;
use southbridge_core::machine::Pacing;

const SYSCLK: &[&str] = &["SYSCLK"];

pub(super) static BOARD: Board = Board {
    name: "mps2-an385",
    summary: "ARM MPS2 with AN385 FPGA image for Cortex-M3",
    cpu: Some(Core::CortexM(CortexM {
        model: "cortex-m3",
        irqs: 32,
        priority_bits: 8,
        systick_reference: Some(1_000_000),
    })),
    properties: &[],
    pacing: Pacing::PaceIdle,
    unassigned: Unassigned::Fault,
    expansion: Expansion {
        mmio: &[(0x4003_0000, 0x001d_0000)],
        ram: &[(0x6000_0000, 0x4000_0000)],
        irqs: &[31, 30, 29, 28, 27, 26, 25],
    },
    ram: Ram::Fixed(16 << 20),
    boot: Boot::Vectors,
    serial_ports: 5,
    describe,
};

fn describe(_: &Choices) -> Description {
    Description {
        clocks: vec![("SYSCLK", 25_000_000)],
        memory: vec![
            ram("mps.ssram1", 0x0000_0000, 4 << 20),
            mirror("mps.ssram1_m", 0x0040_0000, 4 << 20, "mps.ssram1"),
            ram("mps.blockram", 0x0100_0000, 16 << 10),
            mirror("mps.blockram_m1", 0x0100_4000, 16 << 10, "mps.blockram"),
            mirror("mps.blockram_m2", 0x0100_8000, 16 << 10, "mps.blockram"),
            mirror("mps.blockram_m3", 0x0100_c000, 16 << 10, "mps.blockram"),
            ram("mps.ssram23", 0x2000_0000, 4 << 20),
            mirror("mps.ssram23_m", 0x2040_0000, 4 << 20, "mps.ssram23"),
            ram("mps.ram", 0x2100_0000, 16 << 20),
        ],
        parts: vec![
            uart(
                "uart0",
                0x4000_4000,
                &[("RXINT", 0, Irq_(0)), ("TXINT", 0, Irq_(1)), OVERFLOW[0], OVERFLOW[1]],
                SERIAL[0],
            ),
            uart(
                "uart1",
                0x4000_5000,
                &[("RXINT", 0, Irq_(2)), ("TXINT", 0, Irq_(3)), OVERFLOW[0], OVERFLOW[1]],
                SERIAL[1],
            ),
            uart(
                "uart2",
                0x4000_6000,
                &[("RXINT", 0, Irq_(4)), ("TXINT", 0, Irq_(5)), OVERFLOW[0], OVERFLOW[1]],
                SERIAL[2],
            ),
            uart(
                "uart3",
                0x4000_7000,
                &[("RXINT", 0, Irq_(18)), ("TXINT", 0, Irq_(19))],
                SERIAL[3],
            ),
            uart(
                "uart4",
                0x4000_9000,
                &[("RXINT", 0, Irq_(20)), ("TXINT", 0, Irq_(21))],
                SERIAL[4],
            ),
            Part::new("gpio0", "cmsdk-ahb-gpio", 0x4001_0000).irqs(&[("COMBINT", 0, Irq_(6))]),
            Part::new("gpio1", "cmsdk-ahb-gpio", 0x4001_1000).irqs(&[("COMBINT", 0, Irq_(7))]),
            Part::new("gpio2", "cmsdk-ahb-gpio", 0x4001_2000).irqs(&[("COMBINT", 0, Irq_(16))]),
            Part::new("gpio3", "cmsdk-ahb-gpio", 0x4001_3000).irqs(&[("COMBINT", 0, Irq_(17))]),
            Part::new("timer0", "cmsdk-apb-timer", 0x4000_0000)
                .irqs(&[("TIMERINT", 0, Irq_(8))])
                .clocks(SYSCLK),
            Part::new("timer1", "cmsdk-apb-timer", 0x4000_1000)
                .irqs(&[("TIMERINT", 0, Irq_(9))])
                .clocks(SYSCLK),
            Part::new("dualtimer", "cmsdk-apb-dualtimer", 0x4000_2000)
                .irqs(&[("TIMINTC", 0, Irq_(10))])
                .clocks(SYSCLK),
            Part::new("watchdog", "cmsdk-apb-watchdog", 0x4000_8000)
                .irqs(&[("WDOGINT", 0, Irq::Nmi)])
                .clocks(SYSCLK),
            Part::new("scc", "mps2-scc", 0x4002_f000).with(vec![
                ("scc-cfg4", Value::Uint(2)),
                ("scc-aid", Value::Uint(0x0020_0008)),
                ("scc-id", Value::Uint(0x4104_3850)),
                ("oscclk", Value::Text("50000000,24576000,25000000".into())),
            ]),
            Part::new("fpgaio", "mps2-fpgaio", 0x4002_8000).with(vec![("prescale-clk", Value::Uint(25_000_000))]),
            Part::new("spi_adc", "pl022", 0x4002_5000)
                .irqs(&[("irq", 0, Irq_(22))])
                .clocks(SYSCLK),
            Part::new("spi_apb", "pl022", 0x4002_0000)
                .irqs(&[("irq", 0, Irq_(11))])
                .clocks(SYSCLK),
            Part::new("spi_lcd", "pl022", 0x4002_1000)
                .irqs(&[("irq", 0, Irq_(11))])
                .clocks(SYSCLK),
            Part::new("spi_shield0", "pl022", 0x4002_6000)
                .irqs(&[("irq", 0, Irq_(24))])
                .clocks(SYSCLK),
            Part::new("spi_shield1", "pl022", 0x4002_7000)
                .irqs(&[("irq", 0, Irq_(24))])
                .clocks(SYSCLK),
            Part::new("i2c_touch", "versatile_i2c", 0x4002_2000),
            Part::new("i2c_audio", "versatile_i2c", 0x4002_3000),
            Part::new("i2c_shield0", "versatile_i2c", 0x4002_9000),
            Part::new("i2c_shield1", "versatile_i2c", 0x4002_a000),
            Part::new("ethernet", "lan9118", 0x4020_0000).irqs(&[("irq", 0, Irq_(13))]),
        ],
        wires: vec![],
        plugs: vec![],
        unimplemented: vec![
            ("RESERVED 1", 0x0080_0000, 0x0080_0000),
            ("RESERVED 2", 0x0101_0000, 0x1eff_0000),
            ("RESERVED 3", 0x2080_0000, 0x0080_0000),
            ("CMSDK APB peripheral region", 0x4000_0000, 0x0001_0000),
            ("CMSDK AHB peripheral region", 0x4001_0000, 0x0001_0000),
            ("Extra peripheral region", 0x4002_0000, 0x0001_0000),
            ("i2s", 0x4002_4000, 0x400),
            ("RESERVED 4", 0x4003_0000, 0x001d_0000),
            ("VGA", 0x4100_0000, 0x0020_0000),
        ],
        interrupts: None,
        finish: None,
    }
}

/// The overflow outputs of UART 0 to 2 share one interrupt.
const OVERFLOW: [(&str, u16, Irq); 2] = [("TXOVRINT", 0, Irq_(12)), ("RXOVRINT", 0, Irq_(12))];

const SERIAL: [&[(&str, Value)]; 5] = [
    &[("chardev", Value::Serial(0))],
    &[("chardev", Value::Serial(1))],
    &[("chardev", Value::Serial(2))],
    &[("chardev", Value::Serial(3))],
    &[("chardev", Value::Serial(4))],
];

const fn ram(name: &'static str, start: u64, len: u64) -> Memory {
    Memory {
        name,
        start,
        len,
        kind: MemoryKind::Ram,
    }
}

const fn mirror(name: &'static str, start: u64, len: u64, of: &'static str) -> Memory {
    Memory {
        name,
        start,
        len,
        kind: MemoryKind::MirrorOf(of),
    }
}

fn uart(
    name: &'static str,
    at: u64,
    irqs: &'static [(&'static str, u16, Irq)],
    serial: &'static [(&'static str, Value)],
) -> Part {
    Part::new(name, "cmsdk-apb-uart", at)
        .irqs(irqs)
        .clocks(SYSCLK)
        .with(serial)
}
