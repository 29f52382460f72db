//! Data object exchange (PCI Express Base 6.0, section 6.30): a mailbox through which software and a function pass objects of a few
//! double words to a mebibyte, each with a vendor and a type. Discovery is answered here; other protocols are the function's.
//!
//! The function embeds a [`Mailbox`], adds [`crate::caps::DataObjectExchange`] at the same offset, gives it the accesses of its
//! configuration space first ([`Mailbox::read`], [`Mailbox::write`]) and answers through [`Protocols`].

use serde::{Deserialize, Serialize};
use southbridge_core::{Ctx, LoadError};

use crate::Pci;

const CONTROL: u16 = 0x08;
const STATUS: u16 = 0x0c;
const WRITE: u16 = 0x10;
const READ: u16 = 0x14;
/// Bytes of the capability.
const LEN: u16 = 0x18;
const ABORT: u32 = 1;
const INTERRUPT_ENABLE: u32 = 1 << 1;
const GO: u32 = 1 << 31;
const BUSY: u32 = 1;
const INTERRUPT: u32 = 1 << 1;
const ERROR: u32 = 1 << 2;
const READY: u32 = 1 << 31;
/// The most double words of an object, with its header; a length of 0 says this many.
pub const MAX_WORDS: usize = 1 << 18;
const LENGTH: u32 = MAX_WORDS as u32 - 1;

/// A protocol: vendor, and type of data object.
pub type Protocol = (u16, u8);

/// Discovery, of the PCI-SIG.
pub const DISCOVERY: Protocol = (1, 0);

/// What becomes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The double words of the answer, without the header.
    Object(Vec<u32>),
    /// It is dropped in silence.
    Nothing,
    /// It makes no sense: the error bit.
    Error,
    /// The answer comes with [`Mailbox::finish`]; the mailbox is busy until then.
    Later,
}

/// The function's side.
pub trait Protocols {
    /// What it speaks besides discovery, in the order in which discovery tells.
    fn protocols(&self) -> &[Protocol];

    /// An object came: `words` without the two of the header.
    fn object(&mut self, protocol: Protocol, words: &[u32], cx: &mut Ctx<'_>) -> Answer;
}

/// A mailbox that speaks discovery alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscoveryOnly;

impl Protocols for DiscoveryOnly {
    fn protocols(&self) -> &[Protocol] {
        &[]
    }

    fn object(&mut self, _protocol: Protocol, _words: &[u32], _cx: &mut Ctx<'_>) -> Answer {
        Answer::Nothing
    }
}

/// The mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    // Fixed.
    at: u16,
    vector: Option<u16>,
    // Volatile.
    state: MailboxState,
}

/// The saved form, and the state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxState {
    interrupt_enable: bool,
    /// Status register.
    status: u32,
    /// What software wrote, header and all.
    incoming: Vec<u32>,
    /// The answer, header and all, and how much of it has been taken.
    outgoing: Vec<u32>,
    taken: usize,
    /// Protocol of an object that is answered later.
    later: Option<Protocol>,
}

impl Mailbox {
    /// The mailbox of the capability at `at`, which tells of answers by `vector`.
    pub fn new(at: u16, vector: Option<u16>) -> Self {
        Self {
            at,
            vector,
            state: MailboxState::default(),
        }
    }

    fn inside(&self, offset: u16) -> Option<u16> {
        let at = offset.checked_sub(self.at)?;
        (CONTROL..LEN).contains(&at).then_some(at)
    }

    /// A read of configuration space, if it is of the mailbox. The two mailbox registers are read as double words; narrower reads of
    /// them give 0.
    pub fn read(&self, offset: u16, size: u8) -> Option<u32> {
        let at = self.inside(offset)?;
        let s = &self.state;
        let word = match at & !3 {
            CONTROL if s.interrupt_enable => INTERRUPT_ENABLE,
            STATUS => s.status,
            READ if size == 4 && at == READ => self.next_word(),
            _ => 0,
        };
        let value = word >> (8 * (at & 3));
        let mask = u32::MAX >> (32 - 8 * u32::from(size.clamp(1, 4)));
        Some(value & mask)
    }

    fn next_word(&self) -> u32 {
        let s = &self.state;
        let ready = s.status & READY != 0 && s.status & ERROR == 0;
        s.outgoing.get(s.taken).copied().filter(|_| ready).unwrap_or(0)
    }

    /// A write of configuration space; tells whether it was to the mailbox.
    pub fn write(
        &mut self,
        offset: u16,
        size: u8,
        value: u32,
        pci: &mut Pci,
        protocols: &mut dyn Protocols,
        cx: &mut Ctx<'_>,
    ) -> bool {
        let Some(at) = self.inside(offset) else { return false };
        let value = value.wrapping_shl(8 * u32::from(at & 3));
        match at & !3 {
            CONTROL => self.control(value, at & 3 == 0, pci, protocols, cx),
            STATUS if value & INTERRUPT != 0 => self.state.status &= !INTERRUPT,
            WRITE if size == 4 && at == WRITE => self.push(value, pci, cx),
            READ if size == 4 && at == READ => self.pop(pci, cx),
            _ => {}
        }
        true
    }

    fn control(&mut self, value: u32, low: bool, pci: &mut Pci, protocols: &mut dyn Protocols, cx: &mut Ctx<'_>) {
        if value & ABORT != 0 {
            let interrupt_enable = self.state.interrupt_enable;
            self.state = MailboxState {
                interrupt_enable,
                status: self.state.status & INTERRUPT,
                ..MailboxState::default()
            };
            return;
        }
        if low {
            self.state.interrupt_enable = value & INTERRUPT_ENABLE != 0;
        }
        if value & GO != 0 && self.state.status & (BUSY | ERROR | READY) == 0 {
            self.go(pci, protocols, cx);
        }
    }

    fn push(&mut self, word: u32, pci: &mut Pci, cx: &mut Ctx<'_>) {
        if self.state.status & (BUSY | ERROR) != 0 {
            return;
        }
        if self.state.incoming.len() >= MAX_WORDS {
            return self.fail(pci, cx);
        }
        self.state.incoming.push(word);
    }

    /// Software has taken a double word of the answer.
    fn pop(&mut self, pci: &mut Pci, cx: &mut Ctx<'_>) {
        let s = &mut self.state;
        if s.status & ERROR != 0 {
            return;
        }
        if s.status & READY == 0 {
            return self.fail(pci, cx);
        }
        s.taken += 1;
        if s.taken >= s.outgoing.len() {
            s.outgoing = Vec::new();
            s.taken = 0;
            s.status &= !READY;
        }
    }

    fn go(&mut self, pci: &mut Pci, protocols: &mut dyn Protocols, cx: &mut Ctx<'_>) {
        let words = std::mem::take(&mut self.state.incoming);
        let [first, second, body @ ..] = words.as_slice() else {
            return;
        };
        let length = match (second & LENGTH) as usize {
            0 => MAX_WORDS,
            n => n,
        };
        // An object whose length is not what was transferred is dropped in silence.
        if length != words.len() {
            return;
        }
        let protocol = (*first as u16, (first >> 16) as u8);
        let known = protocols.protocols().contains(&protocol);
        let answer = match protocol {
            DISCOVERY => discover(body, protocols.protocols()),
            _ if known => protocols.object(protocol, body, cx),
            _ => Answer::Nothing,
        };
        self.answer(protocol, answer, pci, cx);
    }

    /// The answer to an object that was to be answered later. Without such an object (software gave up) nothing happens.
    pub fn finish(&mut self, answer: Answer, pci: &mut Pci, cx: &mut Ctx<'_>) {
        if let Some(protocol) = self.state.later.take() {
            self.answer(protocol, answer, pci, cx);
        }
    }

    fn answer(&mut self, (vendor, kind): Protocol, answer: Answer, pci: &mut Pci, cx: &mut Ctx<'_>) {
        self.state.status &= !BUSY;
        match answer {
            Answer::Object(body) if body.len() <= MAX_WORDS - 2 => {
                let header = [
                    u32::from(vendor) | u32::from(kind) << 16,
                    (body.len() as u32 + 2) & LENGTH,
                ];
                self.state.outgoing = header.into_iter().chain(body).collect();
                self.state.taken = 0;
                self.state.status |= READY;
                self.interrupt(pci, cx);
            }
            Answer::Nothing => {}
            Answer::Later => {
                self.state.later = Some((vendor, kind));
                self.state.status |= BUSY;
            }
            Answer::Object(_) | Answer::Error => self.fail(pci, cx),
        }
    }

    fn fail(&mut self, pci: &mut Pci, cx: &mut Ctx<'_>) {
        self.state.status |= ERROR;
        self.interrupt(pci, cx);
    }

    fn interrupt(&mut self, pci: &mut Pci, cx: &mut Ctx<'_>) {
        if let (Some(vector), true) = (self.vector, self.state.interrupt_enable) {
            self.state.status |= INTERRUPT;
            pci.notify(vector, cx);
        }
    }

    /// Back to the state of creation: a reset of the function.
    pub fn reset(&mut self) {
        self.state = MailboxState::default();
    }

    /// The state.
    pub fn save(&self) -> MailboxState {
        self.state.clone()
    }

    /// Takes a state back.
    ///
    /// # Errors
    /// When no mailbox can be in it; nothing has changed then.
    pub fn load(&mut self, state: MailboxState) -> Result<(), LoadError> {
        let s = &state;
        let ready = s.status & READY != 0;
        let sound = s.incoming.len() <= MAX_WORDS
            && s.outgoing.len() <= MAX_WORDS
            && s.status & !(BUSY | INTERRUPT | ERROR | READY) == 0
            && ready == (s.taken < s.outgoing.len())
            && (s.status & BUSY != 0) == s.later.is_some();
        if !sound {
            return Err(LoadError::Impossible("a data object mailbox"));
        }
        self.state = state;
        Ok(())
    }
}

/// Discovery: what stands at an index, and the next index, 0 at the end.
fn discover(body: &[u32], protocols: &[Protocol]) -> Answer {
    let [first, ..] = body else { return Answer::Nothing };
    let index = usize::from(*first as u8);
    let all = std::iter::once(&DISCOVERY).chain(protocols);
    let (vendor, kind) = all.clone().nth(index).copied().unwrap_or((0xffff, 0xff));
    let next = if index < protocols.len() { index as u32 + 1 } else { 0 };
    Answer::Object(vec![u32::from(vendor) | u32::from(kind) << 16 | next << 24])
}
