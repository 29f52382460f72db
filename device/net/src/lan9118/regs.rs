//! Registers of the LAN9118 (SMSC data sheet, chapter 5 "Register Description"; 5.3 system control and status registers, 5.4 MAC
//! registers).

use southbridge_core::Register;

/// Size of the window.
pub(super) const SIZE: u64 = 0x100;

pub(super) const RX_DATA: u64 = 0x00;
pub(super) const TX_DATA: u64 = 0x20;
pub(super) const RX_STATUS: u64 = 0x40;
pub(super) const RX_STATUS_PEEK: u64 = 0x44;
pub(super) const TX_STATUS: u64 = 0x48;
pub(super) const TX_STATUS_PEEK: u64 = 0x4c;
pub(super) const ID_REV: u64 = 0x50;
pub(super) const IRQ_CFG: u64 = 0x54;
pub(super) const INT_STS: u64 = 0x58;
pub(super) const INT_EN: u64 = 0x5c;
pub(super) const BYTE_TEST: u64 = 0x64;
pub(super) const FIFO_INT: u64 = 0x68;
pub(super) const RX_CFG: u64 = 0x6c;
pub(super) const TX_CFG: u64 = 0x70;
pub(super) const HW_CFG: u64 = 0x74;
pub(super) const RX_DP_CTRL: u64 = 0x78;
pub(super) const RX_FIFO_INF: u64 = 0x7c;
pub(super) const TX_FIFO_INF: u64 = 0x80;
pub(super) const PMT_CTRL: u64 = 0x84;
pub(super) const GPIO_CFG: u64 = 0x88;
pub(super) const GPT_CFG: u64 = 0x8c;
pub(super) const GPT_CNT: u64 = 0x90;
pub(super) const WORD_SWAP: u64 = 0x98;
pub(super) const FREE_RUN: u64 = 0x9c;
pub(super) const RX_DROP: u64 = 0xa0;
pub(super) const MAC_CSR_CMD: u64 = 0xa4;
pub(super) const MAC_CSR_DATA: u64 = 0xa8;
pub(super) const AFC_CFG: u64 = 0xac;
pub(super) const E2P_CMD: u64 = 0xb0;
pub(super) const E2P_DATA: u64 = 0xb4;

// Each register is two halfwords, because a host with a 16-bit bus reaches the halves one by one.
const fn rw(offset: u64, name: &'static str) -> Register {
    Register::rw(offset, name).times(2, 2)
}

const fn ro(offset: u64, name: &'static str) -> Register {
    Register::ro(offset, name).times(2, 2)
}

pub(super) static TABLE: [Register; 30] = [
    Register::ro(RX_DATA, "RX_DATA_FIFO").times(16, 2),
    Register::wo(TX_DATA, "TX_DATA_FIFO").times(16, 2),
    ro(RX_STATUS, "RX_STATUS_FIFO"),
    ro(RX_STATUS_PEEK, "RX_STATUS_FIFO_PEEK"),
    ro(TX_STATUS, "TX_STATUS_FIFO"),
    ro(TX_STATUS_PEEK, "TX_STATUS_FIFO_PEEK"),
    ro(ID_REV, "ID_REV"),
    rw(IRQ_CFG, "IRQ_CFG"),
    rw(INT_STS, "INT_STS"),
    rw(INT_EN, "INT_EN"),
    rw(BYTE_TEST, "BYTE_TEST"),
    rw(FIFO_INT, "FIFO_INT"),
    rw(RX_CFG, "RX_CFG"),
    rw(TX_CFG, "TX_CFG"),
    rw(HW_CFG, "HW_CFG"),
    rw(RX_DP_CTRL, "RX_DP_CTRL"),
    ro(RX_FIFO_INF, "RX_FIFO_INF"),
    ro(TX_FIFO_INF, "TX_FIFO_INF"),
    rw(PMT_CTRL, "PMT_CTRL"),
    rw(GPIO_CFG, "GPIO_CFG"),
    rw(GPT_CFG, "GPT_CFG"),
    ro(GPT_CNT, "GPT_CNT"),
    rw(WORD_SWAP, "WORD_SWAP"),
    ro(FREE_RUN, "FREE_RUN"),
    ro(RX_DROP, "RX_DROP"),
    rw(MAC_CSR_CMD, "MAC_CSR_CMD"),
    rw(MAC_CSR_DATA, "MAC_CSR_DATA"),
    rw(AFC_CFG, "AFC_CFG"),
    rw(E2P_CMD, "E2P_CMD"),
    rw(E2P_DATA, "E2P_DATA"),
];

/// ID_REV: chip 0x0118, revision 1.
pub(super) const ID: u32 = 0x0118_0001;
/// BYTE_TEST: shows a driver its byte order.
pub(super) const BYTE_TEST_PATTERN: u32 = 0x8765_4321;

/// Bits of IRQ_CFG.
pub(super) mod irq_cfg {
    /// An enabled interrupt is pending.
    pub(crate) const IRQ_INT: u32 = 1 << 12;
    /// Lets it out.
    pub(crate) const IRQ_EN: u32 = 1 << 8;
    /// Active high; only with push-pull.
    pub(crate) const IRQ_POL: u32 = 1 << 4;
    /// Push-pull instead of open drain.
    pub(crate) const IRQ_TYPE: u32 = 1 << 0;
    /// What a guest can write; the deassertion interval (31:24) is not modelled and reads as 0.
    pub(crate) const WRITABLE: u32 = IRQ_EN | IRQ_POL | IRQ_TYPE;
    /// Not affected by a software reset.
    pub(crate) const NASR: u32 = IRQ_POL | IRQ_TYPE;
}

/// Bits of INT_STS and INT_EN.
pub(super) mod int {
    /// Software, by setting the enable.
    pub(crate) const SW: u32 = 1 << 31;
    /// The transmitter stopped.
    pub(crate) const TXSTOP: u32 = 1 << 25;
    /// The receiver stopped.
    pub(crate) const RXSTOP: u32 = 1 << 24;
    /// RX_DROP is half full.
    pub(crate) const RXDFH: u32 = 1 << 23;
    /// A buffer with "interrupt on completion" is done.
    pub(crate) const TX_IOC: u32 = 1 << 21;
    /// General-purpose timer.
    pub(crate) const GPT: u32 = 1 << 19;
    /// The PHY has something.
    pub(crate) const PHY: u32 = 1 << 18;
    /// TX status FIFO overflow.
    pub(crate) const TXSO: u32 = 1 << 16;
    /// Receiver error: read of an empty data FIFO.
    pub(crate) const RXE: u32 = 1 << 14;
    /// Transmitter error.
    pub(crate) const TXE: u32 = 1 << 13;
    /// TX data FIFO overrun.
    pub(crate) const TDFO: u32 = 1 << 10;
    /// TX status FIFO full.
    pub(crate) const TSFF: u32 = 1 << 8;
    /// TX status FIFO above its level.
    pub(crate) const TSFL: u32 = 1 << 7;
    /// A frame was dropped.
    pub(crate) const RXDF: u32 = 1 << 6;
    /// RX status FIFO full.
    pub(crate) const RSFF: u32 = 1 << 4;
    /// RX status FIFO above its level.
    pub(crate) const RSFL: u32 = 1 << 3;
    /// Reserved in INT_EN.
    pub(crate) const RESERVED: u32 = 0x7c00_1000;
}

/// FIFO_INT after reset.
pub(super) const FIFO_INT_RESET: u32 = 0x4800_0000;

/// Bits of RX_CFG.
pub(super) mod rx_cfg {
    /// Empties the receive FIFOs; reads as 0.
    pub(crate) const RX_DUMP: u32 = 1 << 15;
    /// What is kept.
    pub(crate) const KEPT: u32 = 0xcfff_1ff0;

    /// Bytes before the frame in the first words.
    pub(crate) const fn offset(word: u32) -> u32 {
        word >> 8 & 0x1f
    }

    /// Words to which the end of a frame is filled up.
    pub(crate) const fn alignment(word: u32) -> u32 {
        super::alignment(word >> 30)
    }
}

/// Words that an end alignment field means: 4, 16 or 32 bytes.
const fn alignment(field: u32) -> u32 {
    match field & 3 {
        1 => 4,
        2 => 8,
        _ => 1,
    }
}

/// Bits of TX_CFG.
pub(super) mod tx_cfg {
    /// Empties the status FIFO; reads as 0.
    pub(crate) const TXS_DUMP: u32 = 1 << 15;
    /// Empties the data FIFO; reads as 0.
    pub(crate) const TXD_DUMP: u32 = 1 << 14;
    /// Allow the status FIFO to overrun.
    pub(crate) const TXSAO: u32 = 1 << 2;
    /// Transmitter on.
    pub(crate) const TX_ON: u32 = 1 << 1;
    /// Stops the transmitter; reads as 0.
    pub(crate) const STOP_TX: u32 = 1 << 0;
}

/// Transmit command words (data sheet 3.12.2).
pub(super) mod tx_cmd {
    /// A: interrupt on completion.
    pub(crate) const A_IOC: u32 = 1 << 31;
    /// A: first segment of a frame.
    pub(crate) const A_FIRST: u32 = 1 << 13;
    /// A: last segment of a frame.
    pub(crate) const A_LAST: u32 = 1 << 12;

    /// A: words to which the end of the buffer is filled up.
    pub(crate) const fn alignment(a: u32) -> u32 {
        super::alignment(a >> 24)
    }

    /// A: bytes to skip.
    pub(crate) const fn offset(a: u32) -> u32 {
        a >> 16 & 0x1f
    }

    /// A: bytes of the buffer.
    pub(crate) const fn size(a: u32) -> u32 {
        a & 0x7ff
    }

    /// B: the tag comes back in the status word, at the same place.
    pub(crate) const B_TAG: u32 = 0xffff_0000;
}

/// Receive status word (data sheet 3.13.3).
pub(super) mod rx_status {
    /// The address filter would not have passed it.
    pub(crate) const FILTERING_FAIL: u32 = 1 << 30;
    /// Position of the length, checksum included.
    pub(crate) const LENGTH_SHIFT: u32 = 16;
    /// Broadcast.
    pub(crate) const BROADCAST: u32 = 1 << 13;
    /// Multicast.
    pub(crate) const MULTICAST: u32 = 1 << 10;
    /// The type field is a type, not a length.
    pub(crate) const FRAME_TYPE: u32 = 1 << 5;
}

/// Bits of HW_CFG.
pub(super) mod hw_cfg {
    /// Software reset; reads as 0.
    pub(crate) const SRST: u32 = 1 << 0;
    /// The host's bus has 32 bits; strapped.
    pub(crate) const BUS_32: u32 = 1 << 2;
    /// TX FIFO size in KiB, 2 to 14.
    pub(crate) const TX_FIF_SZ: u32 = 0xf << 16;
    /// What else is kept.
    pub(crate) const KEPT: u32 = 0x0030_3300;
    /// After reset: 5 KiB.
    pub(crate) const RESET: u32 = 5 << 16;

    /// TX FIFO size in KiB.
    pub(crate) const fn tx_kib(word: u32) -> u32 {
        word >> 16 & 0xf
    }
}

/// RX_DP_CTRL: skip the rest of the frame.
pub(super) const RX_FFWD: u32 = 1 << 31;

/// Bits of PMT_CTRL.
pub(super) mod pmt_ctrl {
    /// Resets the PHY; reads as 0.
    pub(crate) const PHY_RST: u32 = 1 << 10;
    /// The chip is awake.
    pub(crate) const READY: u32 = 1 << 0;
    /// What is kept.
    pub(crate) const KEPT: u32 = 0x34e;
    /// Not affected by a software reset.
    pub(crate) const NASR: u32 = 0x45;
}

/// GPIO_CFG: what is kept.
pub(super) const GPIO_CFG_KEPT: u32 = 0x7777_071f;

/// Bits of GPT_CFG.
pub(super) mod gpt_cfg {
    /// The timer runs.
    pub(crate) const TIMER_EN: u32 = 1 << 29;
    /// Where it starts.
    pub(crate) const LOAD: u32 = 0xffff;
}

/// Rate of the general-purpose timer in Hz.
pub(super) const GPT_HZ: u64 = 10_000;
/// Rate of FREE_RUN in Hz.
pub(super) const FREE_RUN_HZ: u64 = 25_000_000;

/// Bits of MAC_CSR_CMD.
pub(super) mod mac_cmd {
    /// Starts the access; reads as 0, because it is done at once.
    pub(crate) const BUSY: u32 = 1 << 31;
    /// It is a read.
    pub(crate) const READ: u32 = 1 << 30;
    /// Which register.
    pub(crate) const ADDRESS: u32 = 0xff;
}

/// AFC_CFG: what is kept.
pub(super) const AFC_CFG_KEPT: u32 = 0x00ff_ffff;

/// MAC registers, reached through MAC_CSR_CMD.
pub(super) mod mac {
    pub(crate) const MAC_CR: u32 = 1;
    pub(crate) const ADDRH: u32 = 2;
    pub(crate) const ADDRL: u32 = 3;
    pub(crate) const HASHH: u32 = 4;
    pub(crate) const HASHL: u32 = 5;
    pub(crate) const MII_ACC: u32 = 6;
    pub(crate) const MII_DATA: u32 = 7;
    pub(crate) const FLOW: u32 = 8;
    pub(crate) const VLAN1: u32 = 9;
    pub(crate) const VLAN2: u32 = 10;
    pub(crate) const WUFF: u32 = 11;
    pub(crate) const WUCSR: u32 = 12;

    /// MII_ACC: it is a write.
    pub(crate) const MII_WRITE: u32 = 1 << 1;
    /// MII_ACC: what is kept.
    pub(crate) const MII_ACC_KEPT: u32 = 0xffc2;
    /// FLOW: what is kept.
    pub(crate) const FLOW_KEPT: u32 = 0xffff_0000;
}

/// Bits of MAC_CR.
pub(super) mod mac_cr {
    /// Frames that fail the filter come in too, marked.
    pub(crate) const RXALL: u32 = 1 << 31;
    /// What is sent comes back.
    pub(crate) const LOOPBK: u32 = 1 << 21;
    /// All multicast passes.
    pub(crate) const MCPAS: u32 = 1 << 19;
    /// Promiscuous.
    pub(crate) const PRMS: u32 = 1 << 18;
    /// Inverse filtering.
    pub(crate) const INVFILT: u32 = 1 << 17;
    /// Hash filtering for unicast.
    pub(crate) const HO: u32 = 1 << 15;
    /// Hash filtering for multicast.
    pub(crate) const HPFILT: u32 = 1 << 13;
    /// No broadcast.
    pub(crate) const BCAST: u32 = 1 << 11;
    /// Receiver on.
    pub(crate) const RXEN: u32 = 1 << 2;
    /// Reserved.
    pub(crate) const RESERVED: u32 = 0x7f40_4213;
}

/// Bits of E2P_CMD.
pub(super) mod e2p_cmd {
    /// The MAC address came from the EEPROM.
    pub(crate) const MAC_ADDR_LOADED: u32 = 1 << 8;
    /// Position of the command.
    pub(crate) const COMMAND_SHIFT: u32 = 28;
    /// Address in the EEPROM.
    pub(crate) const ADDRESS: u32 = 0x7f;
}
