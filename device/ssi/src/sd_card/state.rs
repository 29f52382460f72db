//! The card as a state machine: commands in, status and data blocks out. The medium is passed in by whoever has it.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

use super::medium::Medium;
use super::regs::{self, BLOCK, MOST_SDSC, Status};

/// What a command is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// R1: the card status.
    Status,
    /// R3 or R7: a word of its own.
    Word(u32),
    /// Not a command in this state.
    Illegal,
}

/// What the card does besides taking commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Activity {
    /// Not initialised.
    Idle,
    /// Waits for a command.
    Transfer,
    /// Sends the buffer; then the next block, if there are several.
    Sending { next: Option<u64> },
    /// Fills the buffer, for a block at this address.
    Receiving { at: u64, several: bool },
    /// Fills the buffer, for CMD27.
    ReceivingCsd,
}

/// All that the guest can see or influence, but for the blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    activity: Activity,
    application: bool,
    status: u32,
    csd: [u8; 16],
    block_len: u16,
    buffer: Vec<u8>,
    position: usize,
    erase: (Option<u32>, Option<u32>),
    written: u32,
}

impl State {
    /// After power-up or CMD0, with a medium of `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        Self {
            activity: Activity::Idle,
            application: false,
            status: Status::READY_FOR_DATA.bits(),
            csd: regs::csd(size),
            block_len: BLOCK as u16,
            buffer: Vec::with_capacity(BLOCK as usize),
            position: 0,
            erase: (None, None),
            written: 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let busy = !matches!(self.activity, Activity::Idle | Activity::Transfer);
        match () {
            () if self.buffer.len() > BLOCK as usize => Err(LoadError::Impossible("SD card buffer")),
            () if busy && self.position >= self.buffer.len() => Err(LoadError::Impossible("SD card buffer position")),
            () if self.block_len == 0 || u64::from(self.block_len) > BLOCK => {
                Err(LoadError::Impossible("SD card block length"))
            }
            () if self.activity == Activity::ReceivingCsd && self.buffer.len() != 16 => {
                Err(LoadError::Impossible("SD card CSD length"))
            }
            () => Ok(()),
        }
    }

    /// A command. The status for [`Answer::Status`] is then in [`State::take_status`].
    pub(crate) fn command(&mut self, index: u8, argument: u32, medium: &mut dyn Medium) -> Answer {
        let application = std::mem::take(&mut self.application);
        self.status &= !Status::APP_CMD.bits();
        match (application, index) {
            (_, 0) => {
                *self = Self {
                    csd: self.csd,
                    ..Self::new(medium.size())
                };
                Answer::Status
            }
            (_, 1) | (true, 41) => self.become_ready(),
            (_, 55) => {
                self.application = true;
                self.status |= Status::APP_CMD.bits();
                Answer::Status
            }
            (_, 58) => Answer::Word(self.ocr(medium.size())),
            (_, 59) => Answer::Status,
            (_, 8) if self.activity == Activity::Idle => Answer::Word(if_cond(argument)),
            (_, 12) => self.stop(),
            (_, 13) if !application && self.activity != Activity::Idle => Answer::Status,
            _ if self.activity != Activity::Transfer => Answer::Illegal,
            (true, 13) => self.send(&[0; 64]),
            (true, 22) => self.send(&self.written.to_be_bytes()),
            (true, 23 | 42) => Answer::Status,
            (true, 51) => self.send(&regs::SCR),
            _ => self.data_command(index, argument, medium),
        }
    }

    /// Commands that need an initialised card that waits.
    fn data_command(&mut self, index: u8, argument: u32, medium: &mut dyn Medium) -> Answer {
        match index {
            6 => self.send(&regs::switch_status(argument)),
            9 => {
                let csd = self.csd;
                self.send(&csd)
            }
            10 => self.send(&regs::cid()),
            16 => self.set_block_length(argument),
            17 | 18 => self.read(argument, index == 18, medium),
            24 | 25 => self.write(argument, index == 25, medium),
            27 => self.receive(16, Activity::ReceivingCsd),
            32 => self.erase_mark((Some(argument), self.erase.1)),
            33 => self.erase_mark((self.erase.0, Some(argument))),
            38 => self.erase(medium),
            _ => Answer::Illegal,
        }
    }

    /// The status with the state of the card in which the command came; what a read clears is cleared.
    pub(crate) fn take_status(&mut self, before: u32) -> u32 {
        let status = self.status | before << regs::STATE_SHIFT;
        self.status &= (Status::READY_FOR_DATA | Status::APP_CMD).bits();
        status
    }

    /// CURRENT_STATE.
    pub(crate) fn number(&self) -> u32 {
        match self.activity {
            Activity::Idle => regs::STATE_IDLE,
            Activity::Transfer => regs::STATE_TRANSFER,
            Activity::Sending { .. } => regs::STATE_DATA,
            Activity::Receiving { .. } | Activity::ReceivingCsd => regs::STATE_RECEIVE,
        }
    }

    pub(crate) fn sending(&self) -> bool {
        matches!(self.activity, Activity::Sending { .. })
    }

    pub(crate) fn receiving(&self) -> bool {
        matches!(self.activity, Activity::Receiving { .. } | Activity::ReceivingCsd)
    }

    /// The next byte of a block for the host.
    pub(crate) fn next_byte(&mut self, medium: &mut dyn Medium) -> u8 {
        let Activity::Sending { next } = self.activity else {
            return 0;
        };
        let byte = self.buffer.get(self.position).copied().unwrap_or(0);
        self.position += 1;
        if self.position >= self.buffer.len() {
            match next {
                Some(at) => self.load_block(at, true, medium),
                None => self.activity = Activity::Transfer,
            }
        }
        byte
    }

    /// The next byte of a block from the host.
    pub(crate) fn take_byte(&mut self, byte: u8, medium: &mut dyn Medium) {
        if !self.receiving() {
            return;
        }
        if let Some(place) = self.buffer.get_mut(self.position) {
            *place = byte;
        }
        self.position += 1;
        if self.position >= self.buffer.len() {
            self.block_received(medium);
        }
    }

    // ----- commands ------------------------------------------------------------------------------------------------------------

    fn become_ready(&mut self) -> Answer {
        if self.activity == Activity::Idle {
            self.activity = Activity::Transfer;
        }
        Answer::Status
    }

    /// CMD12. In the middle of nothing it is no command.
    fn stop(&mut self) -> Answer {
        if !self.sending() && !self.receiving() {
            return Answer::Illegal;
        }
        self.activity = Activity::Transfer;
        Answer::Status
    }

    fn set_block_length(&mut self, len: u32) -> Answer {
        match u16::try_from(len) {
            Ok(len) if len > 0 && u64::from(len) <= BLOCK => self.block_len = len,
            _ => self.status |= Status::BLOCK_LEN_ERROR.bits(),
        }
        Answer::Status
    }

    fn read(&mut self, argument: u32, several: bool, medium: &mut dyn Medium) -> Answer {
        if let Some(at) = self.address(argument, medium) {
            self.load_block(at, several, medium);
        }
        Answer::Status
    }

    fn write(&mut self, argument: u32, several: bool, medium: &mut dyn Medium) -> Answer {
        let Some(at) = self.address(argument, medium) else {
            return Answer::Status;
        };
        if medium.read_only() || regs::csd_protects(&self.csd) {
            self.status |= Status::WP_VIOLATION.bits();
            return Answer::Status;
        }
        self.written = 0;
        self.receive(self.length(medium), Activity::Receiving { at, several })
    }

    fn erase_mark(&mut self, marks: (Option<u32>, Option<u32>)) -> Answer {
        self.erase = marks;
        Answer::Status
    }

    /// Erased blocks read as ones.
    fn erase(&mut self, medium: &mut dyn Medium) -> Answer {
        let (Some(first), Some(last)) = std::mem::take(&mut self.erase) else {
            self.status |= Status::ERASE_SEQ_ERROR.bits();
            return Answer::Status;
        };
        let (Some(first), Some(last)) = (self.address(first, medium), self.address(last, medium)) else {
            return Answer::Status;
        };
        let (mut at, last) = (first - first % BLOCK, last - last % BLOCK);
        if at > last {
            self.status |= Status::ERASE_PARAM.bits();
        } else if medium.read_only() || regs::csd_protects(&self.csd) {
            self.status |= Status::WP_VIOLATION.bits();
        } else {
            while at <= last && medium.write(at, &[0xff; BLOCK as usize]) {
                at += BLOCK;
            }
            if at <= last {
                self.status |= Status::ERROR.bits();
            }
        }
        Answer::Status
    }

    // ----- blocks --------------------------------------------------------------------------------------------------------------

    /// Where a command points to, if a block there is on the medium.
    fn address(&mut self, argument: u32, medium: &dyn Medium) -> Option<u64> {
        let size = medium.size();
        let at = u64::from(argument) * if size > MOST_SDSC { BLOCK } else { 1 };
        let fits = at + self.length(medium) as u64 <= size;
        if !fits {
            self.status |= Status::ADDRESS_ERROR.bits();
        }
        fits.then_some(at)
    }

    /// Bytes of a data block: large cards have only one length.
    fn length(&self, medium: &dyn Medium) -> usize {
        if medium.size() > MOST_SDSC {
            BLOCK as usize
        } else {
            self.block_len.into()
        }
    }

    fn send(&mut self, data: &[u8]) -> Answer {
        self.buffer.clear();
        self.buffer.extend_from_slice(data);
        self.position = 0;
        self.activity = Activity::Sending { next: None };
        Answer::Status
    }

    /// Starts to send a block. At the end of the medium, or if the host cannot read, sending ends.
    fn load_block(&mut self, at: u64, several: bool, medium: &mut dyn Medium) {
        let len = self.length(medium);
        let end = at.saturating_add(len as u64);
        self.buffer.clear();
        self.buffer.resize(len, 0);
        self.position = 0;
        self.activity = Activity::Sending {
            next: several.then_some(end),
        };
        if end > medium.size() {
            self.status |= Status::OUT_OF_RANGE.bits();
            self.activity = Activity::Transfer;
        } else if !medium.read(at, &mut self.buffer) {
            self.status |= Status::ERROR.bits();
            self.activity = Activity::Transfer;
        }
    }

    fn receive(&mut self, len: usize, activity: Activity) -> Answer {
        self.buffer.clear();
        self.buffer.resize(len, 0);
        self.position = 0;
        self.activity = activity;
        Answer::Status
    }

    fn block_received(&mut self, medium: &mut dyn Medium) {
        self.position = 0;
        let activity = std::mem::replace(&mut self.activity, Activity::Transfer);
        match activity {
            Activity::Receiving { at, several } => {
                if !medium.write(at, &self.buffer) {
                    self.status |= Status::ERROR.bits();
                    return;
                }
                self.written = self.written.saturating_add(1);
                let next = at.saturating_add(self.buffer.len() as u64);
                let room = next.saturating_add(self.buffer.len() as u64) <= medium.size();
                if several && room {
                    self.activity = Activity::Receiving { at: next, several };
                }
            }
            Activity::ReceivingCsd => {
                let new = self.buffer.as_slice().try_into().ok();
                match new.and_then(|new| regs::csd_programmed(&self.csd, new)) {
                    Some(csd) => self.csd = csd,
                    None => self.status |= Status::CSD_OVERWRITE.bits(),
                }
            }
            Activity::Idle | Activity::Transfer | Activity::Sending { .. } => {}
        }
    }

    fn ocr(&self, size: u64) -> u32 {
        // The capacity bit is valid only with the power bit (section 5.1).
        let state = match (self.activity, size > MOST_SDSC) {
            (Activity::Idle, _) => 0,
            (_, false) => regs::OCR_POWERED,
            (_, true) => regs::OCR_POWERED | regs::OCR_HIGH_CAPACITY,
        };
        regs::OCR_VOLTAGES | state
    }
}

/// CMD8: voltage and pattern come back if exactly one voltage is offered.
fn if_cond(argument: u32) -> u32 {
    if (argument >> 8 & 0xf).count_ones() == 1 {
        argument & 0xfff
    } else {
        0
    }
}
