//! Arm's MPS2 board with the Cortex-M3 image AN385. Addresses: application note AN385, "Memory Map"; the UART is that of
//! the Cortex-M System Design Kit (TRM, "APB UART").

use crate::{Role, mmio::Block};

/// The board's name, as `-M` has it.
pub const NAME: &str = "mps2-an385";
/// Its part in the talk.
pub const ROLE: Role = Role::Follower;
/// CPU clock.
pub const CLOCK_HZ: u32 = 25_000_000;

pub(crate) const IVSHMEM_REGISTERS: Block = Block::new(0x4003_0000, 0x10);
pub(crate) const IVSHMEM_MEMORY: Block = Block::new(0x6000_0000, 4 << 20);
pub(crate) const IVSHMEM_IRQ: u32 = 31;

const UART0: Block = Block::new(0x4000_4000, 0x1000);

const UART_DATA: usize = 0x00;
const UART_STATE: usize = 0x04;
const UART_CTRL: usize = 0x08;
const UART_BAUDDIV: usize = 0x10;

const STATE_TXFULL: u32 = 1;

/// UART0: 115200 baud (25 MHz / 217), sender and receiver on.
pub(crate) fn console_init() {
    UART0.write(UART_BAUDDIV, 217);
    UART0.write(UART_CTRL, 3);
}

pub(crate) fn console_put(byte: u8) {
    while UART0.read(UART_STATE) & STATE_TXFULL != 0 {}
    UART0.write(UART_DATA, byte.into());
}
