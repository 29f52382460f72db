//! Control and status registers that only hold what was written to them, or what happened.

use serde::{Deserialize, Serialize};

use super::regs::{self, gpt_cfg, hw_cfg, pmt_ctrl};

/// Registers that only hold what was written to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Csr {
    pub(super) irq_cfg: u32,
    pub(super) int_sts: u32,
    pub(super) int_en: u32,
    pub(super) fifo_int: u32,
    pub(super) rx_cfg: u32,
    pub(super) tx_cfg: u32,
    pub(super) hw_cfg: u32,
    pub(super) pmt_ctrl: u32,
    pub(super) gpio_cfg: u32,
    pub(super) gpt_cfg: u32,
    pub(super) word_swap: u32,
    pub(super) rx_drop: u32,
    pub(super) mac_cmd: u32,
    pub(super) mac_data: u32,
    pub(super) afc_cfg: u32,
    pub(super) e2p_cmd: u32,
    pub(super) e2p_data: u8,
}

impl Csr {
    /// As after a hardware reset.
    pub(super) const fn new(bus_32: bool) -> Self {
        Self {
            irq_cfg: 0,
            int_sts: 0,
            int_en: 0,
            fifo_int: regs::FIFO_INT_RESET,
            rx_cfg: 0,
            tx_cfg: 0,
            hw_cfg: hw_cfg::RESET | if bus_32 { hw_cfg::BUS_32 } else { 0 },
            pmt_ctrl: pmt_ctrl::READY,
            gpio_cfg: 0,
            gpt_cfg: gpt_cfg::LOAD,
            word_swap: 0,
            rx_drop: 0,
            mac_cmd: 0,
            mac_data: 0,
            afc_cfg: 0,
            e2p_cmd: 0,
            e2p_data: 0,
        }
    }
}
