//! The Stellaris LM3S6965 evaluation board. Addresses: LM3S6965 data sheet, "Memory Map" and register chapters.

use crate::{Role, mmio::Block};

/// The board's name, as `-M` has it.
pub const NAME: &str = "lm3s6965evb";
/// Its part in the talk.
pub const ROLE: Role = Role::Leader;
/// CPU clock after reset: 200 MHz / 16 (RCC.SYSDIV is 15 then).
pub const CLOCK_HZ: u32 = 12_500_000;

pub(crate) const IVSHMEM_REGISTERS: Block = Block::new(0x400f_f000, 0x10);
pub(crate) const IVSHMEM_MEMORY: Block = Block::new(0x4010_0000, 4 << 20);
pub(crate) const IVSHMEM_IRQ: u32 = 44;

const SYSTEM_CONTROL: Block = Block::new(0x400f_e000, 0x1000);
const GPIO_A: Block = Block::new(0x4000_4000, 0x1000);
const UART0: Block = Block::new(0x4000_c000, 0x1000);

const RCGC1: usize = 0x104;
const RCGC2: usize = 0x108;
const GPIO_AFSEL: usize = 0x420;
const GPIO_DEN: usize = 0x51c;
const UART_DR: usize = 0x00;
const UART_FR: usize = 0x18;
const UART_IBRD: usize = 0x24;
const UART_FBRD: usize = 0x28;
const UART_LCRH: usize = 0x2c;
const UART_CR: usize = 0x30;

const FR_TXFF: u32 = 1 << 5;

/// UART0 on pins PA0 and PA1: 115200 baud, 8N1, FIFOs on.
pub(crate) fn console_init() {
    SYSTEM_CONTROL.write(RCGC1, SYSTEM_CONTROL.read(RCGC1) | 1);
    SYSTEM_CONTROL.write(RCGC2, SYSTEM_CONTROL.read(RCGC2) | 1);
    GPIO_A.write(GPIO_AFSEL, GPIO_A.read(GPIO_AFSEL) | 3);
    GPIO_A.write(GPIO_DEN, GPIO_A.read(GPIO_DEN) | 3);
    UART0.write(UART_CR, 0);
    // 12.5 MHz / (16 * 115200) = 6 + 50/64
    UART0.write(UART_IBRD, 6);
    UART0.write(UART_FBRD, 50);
    UART0.write(UART_LCRH, 0x70);
    UART0.write(UART_CR, 0x301);
}

pub(crate) fn console_put(byte: u8) {
    while UART0.read(UART_FR) & FR_TXFF != 0 {}
    UART0.write(UART_DR, byte.into());
}
