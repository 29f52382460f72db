//! The LAN9118 as a pure machine: system registers, and the parts put together. Frames go out through [`Effect::sent`].

use serde::{Deserialize, Serialize};
use southbridge_core::VirtualTime;

use super::csr::Csr;
use super::eeprom::{Command, Eeprom};
use super::gpt::Gpt;
use super::mac::{self, Mac};
use super::regs::{self, e2p_cmd, gpt_cfg, hw_cfg, int, irq_cfg, mac_cmd, pmt_ctrl, rx_cfg, rx_status, tx_cfg};
use super::rx::{self, Room, Rx};
use super::tx::Tx;

/// All that the guest can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    bus_32: bool,
    csr: Csr,
    rx: Rx,
    tx: Tx,
    mac: Mac,
    eeprom: Eeprom,
    gpt: Gpt,
    free_run_since: VirtualTime,
}

/// What an access asks of the outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// A frame leaves, without checksum.
    pub(super) sent: Option<Vec<u8>>,
    /// For the log.
    pub(super) complaint: Option<Complaint>,
}

/// What the guest did that the chip would not like, or that is not modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complaint {
    NoMacRegister(u32),
    NoPhyRegister(u32),
    PhyRegisterNotModelled(u32),
    FrameTooLong,
    TxFifoOverrun,
    BadTxFifoSize,
}

impl State {
    /// As after power-on.
    pub(super) fn new(bus_32: bool, mac: [u8; 6], now: VirtualTime) -> Self {
        Self::with_eeprom(bus_32, Eeprom::new(mac), mac, true, now)
    }

    fn with_eeprom(bus_32: bool, mut eeprom: Eeprom, mac: [u8; 6], link: bool, now: VirtualTime) -> Self {
        eeprom.reset();
        let mut s = Self {
            bus_32,
            csr: Csr::new(bus_32),
            rx: Rx::default(),
            tx: Tx::new(),
            mac: Mac::new(mac, link),
            eeprom,
            gpt: Gpt::new(),
            free_run_since: now,
        };
        s.reload_mac();
        s
    }

    /// Hardware reset: what is left is the EEPROM and the cable.
    pub(super) fn reset(&mut self, now: VirtualTime) {
        let link = self.mac.phy.link();
        *self = Self::with_eeprom(self.bus_32, self.eeprom.clone(), self.mac.address(), link, now);
    }

    /// HW_CFG.SRST: the same, but for the bits that the data sheet marks NASR, and the PHY.
    fn soft_reset(&mut self, now: VirtualTime) {
        let mut mac = self.mac.clone();
        mac.soft_reset();
        let (irq, pmt) = (self.csr.irq_cfg & irq_cfg::NASR, self.csr.pmt_ctrl & pmt_ctrl::NASR);
        self.reset(now);
        let address = self.mac.address();
        self.mac = mac;
        self.mac.set_address(address);
        self.csr.irq_cfg |= irq;
        self.csr.pmt_ctrl |= pmt;
    }

    pub(super) fn valid(&self, bus_32: bool) -> bool {
        self.bus_32 == bus_32 && self.eeprom.valid() && self.tx.valid() && self.rx.valid(self.rx_room())
    }

    fn tx_kib(&self) -> u32 {
        hw_cfg::tx_kib(self.csr.hw_cfg)
    }

    fn rx_room(&self) -> Room {
        Room::beside(self.tx_kib())
    }

    /// Accounts for the time until `now`; comes before everything else.
    pub(super) fn advance(&mut self, now: VirtualTime) {
        if self.gpt.advance(now) {
            self.csr.int_sts |= self.csr.int_en & int::GPT;
        }
    }

    // ----- interrupts -------------------------------------------------------------------------------------------------------------

    fn int_sts(&self) -> u32 {
        let phy = if self.mac.phy.interrupt() { int::PHY } else { 0 };
        self.csr.int_sts | phy
    }

    fn pending(&self) -> bool {
        self.int_sts() & self.csr.int_en != 0
    }

    /// Level of the IRQ pin: active low unless configured as active high and push-pull.
    pub(super) fn irq(&self) -> bool {
        let active = self.pending() && self.csr.irq_cfg & irq_cfg::IRQ_EN != 0;
        let high = self.csr.irq_cfg & irq_cfg::NASR == irq_cfg::IRQ_POL | irq_cfg::IRQ_TYPE;
        active == high
    }

    /// When something next happens that others can see.
    pub(super) fn deadline(&self) -> Option<VirtualTime> {
        let visible = self.csr.int_en & !self.csr.int_sts & int::GPT != 0;
        visible.then(|| self.gpt.next_zero()).flatten()
    }

    // ----- the wire ---------------------------------------------------------------------------------------------------------------

    /// A frame (without checksum) arrives; whether it was taken, or dropped by the filter as it should be.
    pub(super) fn receive(&mut self, frame: &[u8]) -> bool {
        if !self.mac.receives() || !rx::acceptable(frame) {
            return false;
        }
        let Some(to) = frame.first_chunk() else { return false };
        let passes = self.mac.passes(*to);
        if !passes && !self.mac.receives_all() {
            return true;
        }
        let flags = if passes { 0 } else { rx_status::FILTERING_FAIL };
        let taken = self.rx.push(frame, flags, self.csr.rx_cfg, self.rx_room());
        if !taken {
            self.dropped();
        }
        let level = (self.csr.fifo_int & 0xff) as usize;
        if taken && self.rx.status_used() > level {
            self.csr.int_sts |= int::RSFL;
        }
        if self.rx.status_used() >= self.rx_room().status {
            self.csr.int_sts |= int::RSFF;
        }
        taken
    }

    fn dropped(&mut self) {
        self.csr.rx_drop = self.csr.rx_drop.wrapping_add(1);
        self.csr.int_sts |= int::RXDF;
        if self.csr.rx_drop == 0x8000_0000 {
            self.csr.int_sts |= int::RXDFH;
        }
    }

    /// The cable is plugged or pulled.
    pub(super) fn set_link(&mut self, up: bool) {
        self.mac.phy.set_link(up);
    }

    // ----- registers --------------------------------------------------------------------------------------------------------------

    pub(super) fn read(&mut self, offset: u64, now: VirtualTime) -> u32 {
        match offset {
            regs::RX_DATA..regs::TX_DATA => self.rx.pop(self.csr.rx_cfg).unwrap_or_else(|| {
                self.csr.int_sts |= int::RXE;
                0
            }),
            regs::RX_STATUS => self.rx.pop_status(),
            regs::RX_STATUS_PEEK => self.rx.peek_status(),
            regs::TX_STATUS => self.tx.pop_status(),
            regs::TX_STATUS_PEEK => self.tx.peek_status(),
            regs::ID_REV => regs::ID,
            regs::IRQ_CFG => self.csr.irq_cfg | if self.pending() { irq_cfg::IRQ_INT } else { 0 },
            regs::INT_STS => self.int_sts(),
            regs::INT_EN => self.csr.int_en,
            regs::BYTE_TEST => regs::BYTE_TEST_PATTERN,
            regs::FIFO_INT => self.csr.fifo_int,
            regs::RX_CFG => self.csr.rx_cfg,
            regs::TX_CFG => self.csr.tx_cfg,
            regs::HW_CFG => self.csr.hw_cfg,
            regs::RX_FIFO_INF => self.rx.info(),
            regs::TX_FIFO_INF => self.tx.info(self.tx_kib()),
            regs::PMT_CTRL => self.csr.pmt_ctrl,
            regs::GPIO_CFG => self.csr.gpio_cfg,
            regs::GPT_CFG => self.csr.gpt_cfg,
            regs::GPT_CNT => self.gpt.value().into(),
            regs::WORD_SWAP => self.csr.word_swap,
            regs::FREE_RUN => now.ticks_since(self.free_run_since, regs::FREE_RUN_HZ) as u32,
            regs::RX_DROP => std::mem::take(&mut self.csr.rx_drop),
            regs::MAC_CSR_CMD => self.csr.mac_cmd,
            regs::MAC_CSR_DATA => self.csr.mac_data,
            regs::AFC_CFG => self.csr.afc_cfg,
            regs::E2P_CMD => self.csr.e2p_cmd,
            regs::E2P_DATA => self.csr.e2p_data.into(),
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32, now: VirtualTime) -> Effect {
        match offset {
            regs::TX_DATA..regs::RX_STATUS => return self.write_tx_data(value),
            regs::IRQ_CFG => self.csr.irq_cfg = value & irq_cfg::WRITABLE,
            regs::INT_STS => self.csr.int_sts &= !value,
            regs::INT_EN => {
                self.csr.int_en = value & !int::RESERVED;
                self.csr.int_sts |= value & int::SW;
            }
            regs::FIFO_INT => self.csr.fifo_int = value,
            regs::RX_CFG => self.write_rx_cfg(value),
            regs::TX_CFG => self.write_tx_cfg(value),
            regs::HW_CFG => return self.write_hw_cfg(value, now),
            regs::RX_DP_CTRL if value & regs::RX_FFWD != 0 => self.rx.skip(self.csr.rx_cfg),
            regs::PMT_CTRL => {
                if value & pmt_ctrl::PHY_RST != 0 {
                    self.mac.phy.reset();
                }
                self.csr.pmt_ctrl = pmt_ctrl::READY | value & pmt_ctrl::KEPT;
            }
            regs::GPIO_CFG => self.csr.gpio_cfg = value & regs::GPIO_CFG_KEPT,
            regs::GPT_CFG => self.write_gpt_cfg(value, now),
            regs::WORD_SWAP => self.csr.word_swap = value,
            regs::MAC_CSR_CMD => return self.write_mac_cmd(value),
            regs::MAC_CSR_DATA => self.csr.mac_data = value,
            regs::AFC_CFG => self.csr.afc_cfg = value & regs::AFC_CFG_KEPT,
            regs::E2P_CMD => self.write_e2p_cmd(value),
            regs::E2P_DATA => self.csr.e2p_data = value as u8,
            _ => {}
        }
        Effect::default()
    }

    fn write_tx_data(&mut self, word: u32) -> Effect {
        let outcome = self.tx.push(word, self.tx_kib());
        let mut effect = Effect::default();
        if outcome.overrun {
            self.csr.int_sts |= int::TDFO;
            effect.complaint = Some(Complaint::TxFifoOverrun);
        }
        if outcome.too_long {
            self.csr.int_sts |= int::TXE;
            effect.complaint = Some(Complaint::FrameTooLong);
        }
        if outcome.completed {
            self.csr.int_sts |= int::TX_IOC;
        }
        if outcome.send {
            effect.sent = Some(self.transmit());
        }
        effect
    }

    /// Like QEMU, it transmits whether TX_ON and TXEN are set or not: firmware that forgets them works there.
    fn transmit(&mut self) -> Vec<u8> {
        let frame = self.tx.take_frame();
        if self.mac.loopback() {
            self.receive(&frame);
        }
        if !self.tx.push_status() {
            self.csr.int_sts |= int::TXSO;
        }
        let level = (self.csr.fifo_int >> 16 & 0xff) as usize;
        if self.tx.status_used() > level {
            self.csr.int_sts |= int::TSFL;
        }
        if self.tx.status_full() {
            self.csr.int_sts |= int::TSFF;
        }
        frame
    }

    /// Whether what is sent stays inside.
    pub(super) fn loopback(&self) -> bool {
        self.mac.loopback()
    }

    fn write_rx_cfg(&mut self, value: u32) {
        if value & rx_cfg::RX_DUMP != 0 {
            self.rx = Rx::default();
        }
        self.csr.rx_cfg = value & rx_cfg::KEPT;
    }

    fn write_tx_cfg(&mut self, value: u32) {
        if value & tx_cfg::TXS_DUMP != 0 {
            self.tx.dump_status();
        }
        if value & tx_cfg::TXD_DUMP != 0 {
            self.tx.dump_data();
        }
        self.csr.tx_cfg = value & (tx_cfg::TXSAO | tx_cfg::TX_ON);
        if value & tx_cfg::STOP_TX != 0 {
            self.csr.tx_cfg &= !tx_cfg::TX_ON;
            self.csr.int_sts |= int::TXSTOP;
        }
    }

    fn write_hw_cfg(&mut self, value: u32, now: VirtualTime) -> Effect {
        if value & hw_cfg::SRST != 0 {
            self.soft_reset(now);
            return Effect::default();
        }
        let good = matches!(hw_cfg::tx_kib(value), 2..=14);
        let size = if good { value } else { self.csr.hw_cfg } & hw_cfg::TX_FIF_SZ;
        self.csr.hw_cfg = value & hw_cfg::KEPT | size | self.csr.hw_cfg & hw_cfg::BUS_32;
        Effect {
            sent: None,
            complaint: (!good).then_some(Complaint::BadTxFifoSize),
        }
    }

    fn write_gpt_cfg(&mut self, value: u32, now: VirtualTime) {
        let changed = self.csr.gpt_cfg ^ value;
        self.csr.gpt_cfg = value & (gpt_cfg::TIMER_EN | gpt_cfg::LOAD);
        if value & gpt_cfg::TIMER_EN == 0 {
            self.gpt = Gpt::new();
        } else if changed & (gpt_cfg::TIMER_EN | gpt_cfg::LOAD) != 0 {
            self.gpt.start(value as u16, now);
        }
    }

    fn write_mac_cmd(&mut self, value: u32) -> Effect {
        let register = value & mac_cmd::ADDRESS;
        self.csr.mac_cmd = value & (mac_cmd::READ | mac_cmd::ADDRESS);
        if value & mac_cmd::BUSY == 0 {
            return Effect::default();
        }
        let access = if value & mac_cmd::READ != 0 {
            let (data, access) = self.mac.read(register);
            self.csr.mac_data = data;
            access
        } else {
            self.mac.write(register, self.csr.mac_data)
        };
        if access == mac::Access::ReceiverStopped {
            self.csr.int_sts |= int::RXSTOP;
        }
        let phy_register = self.csr.mac_data >> 6 & 0x1f;
        let complaint = match access {
            mac::Access::Done | mac::Access::ReceiverStopped => None,
            mac::Access::NoRegister => Some(Complaint::NoMacRegister(register)),
            mac::Access::Phy(super::phy::Known::Unmodelled) => Some(Complaint::PhyRegisterNotModelled(phy_register)),
            mac::Access::Phy(_) => Some(Complaint::NoPhyRegister(phy_register)),
        };
        Effect { sent: None, complaint }
    }

    /// Like QEMU, it does not wait for EPC_BUSY to be set.
    fn write_e2p_cmd(&mut self, value: u32) {
        let field = value >> e2p_cmd::COMMAND_SHIFT & 7;
        let address = value & e2p_cmd::ADDRESS;
        let loaded = self.csr.e2p_cmd & e2p_cmd::MAC_ADDR_LOADED;
        self.csr.e2p_cmd = loaded | field << e2p_cmd::COMMAND_SHIFT | address;
        match Command::of(field) {
            Command::Reload => self.reload_mac(),
            command => self.eeprom.run(command, address, &mut self.csr.e2p_data),
        }
    }

    fn reload_mac(&mut self) {
        self.csr.e2p_cmd &= !e2p_cmd::MAC_ADDR_LOADED;
        if let Some(mac) = self.eeprom.mac() {
            self.mac.set_address(mac);
            self.csr.e2p_cmd |= e2p_cmd::MAC_ADDR_LOADED;
        }
    }
}
