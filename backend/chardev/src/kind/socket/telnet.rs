//! The telnet side of a socket: commands out of the input, bytes of 255 doubled in the output. Pure.
//!
//! Options are announced and never negotiated further: the peer is told to send single characters without echo, eight bits wide.
//! Source: RFC 854 (commands), RFC 856 (binary), RFC 857 (echo), RFC 858 (go-ahead), RFC 1576 (TN3270).

const IAC: u8 = 255;
const SB: u8 = 250;
const SE: u8 = 240;
const WILL: u8 = 251;
const DONT: u8 = 254;
const DO: u8 = 253;
const BRK: u8 = 243;
const EOR: u8 = 239;

const OPT_BINARY: u8 = 0;
const OPT_ECHO: u8 = 1;
const OPT_SUPPRESS_GO_AHEAD: u8 = 3;
const OPT_TERMINAL_TYPE: u8 = 24;
const OPT_END_OF_RECORD: u8 = 25;

/// What a server says first to a telnet client.
pub(crate) const GREETING: &[u8] = &[
    IAC,
    WILL,
    OPT_ECHO,
    IAC,
    WILL,
    OPT_SUPPRESS_GO_AHEAD,
    IAC,
    WILL,
    OPT_BINARY,
    IAC,
    DO,
    OPT_BINARY,
];
/// The same to a TN3270 client; asks for its terminal type.
pub(crate) const GREETING_3270: &[u8] = &[
    IAC,
    DO,
    OPT_END_OF_RECORD,
    IAC,
    WILL,
    OPT_END_OF_RECORD,
    IAC,
    DO,
    OPT_BINARY,
    IAC,
    WILL,
    OPT_BINARY,
    IAC,
    DO,
    OPT_TERMINAL_TYPE,
    IAC,
    SB,
    OPT_TERMINAL_TYPE,
    1,
    IAC,
    SE,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Command,
    Option,
    Sub,
    SubCommand,
}

/// The reader of one connection.
#[derive(Debug)]
pub(crate) struct Telnet {
    state: State,
    /// TN3270 guests read record ends and subnegotiations themselves.
    tn3270: bool,
}

/// What was in the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Data(Vec<u8>),
    Break,
}

impl Telnet {
    pub(crate) fn new(tn3270: bool) -> Self {
        Self {
            state: State::Data,
            tn3270,
        }
    }

    pub(crate) fn greeting(&self) -> &'static [u8] {
        if self.tn3270 { GREETING_3270 } else { GREETING }
    }

    /// Never gives more bytes than it got.
    pub(crate) fn read(&mut self, input: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        let mut data = Vec::with_capacity(input.len());
        for &b in input {
            self.state = match (self.state, b) {
                (State::Data, IAC) => State::Command,
                (State::Data, _) => {
                    data.push(b);
                    State::Data
                }
                (State::Command, IAC) => {
                    data.push(IAC);
                    State::Data
                }
                (State::Command, BRK) => {
                    if !data.is_empty() {
                        items.push(Item::Data(std::mem::take(&mut data)));
                    }
                    items.push(Item::Break);
                    State::Data
                }
                (State::Command, SB | SE | EOR) if self.tn3270 => {
                    data.extend([IAC, b]);
                    State::Data
                }
                (State::Command, SB) => State::Sub,
                (State::Command, WILL..=DONT) => State::Option,
                (State::Command | State::Option, _) => State::Data,
                (State::Sub, IAC) => State::SubCommand,
                (State::SubCommand, SE) => State::Data,
                (State::Sub | State::SubCommand, _) => State::Sub,
            };
        }
        if !data.is_empty() {
            items.push(Item::Data(data));
        }
        items
    }

    /// A byte of 255 is sent twice, except by TN3270 guests, which do that themselves.
    pub(crate) fn write(&self, data: &[u8], out: &mut Vec<u8>) {
        for &b in data {
            out.push(b);
            if b == IAC && !self.tn3270 {
                out.push(IAC);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_leave_the_data_alone() {
        let mut t = Telnet::new(false);
        let input = [b'a', IAC, 251, 1, b'b', IAC, IAC, IAC, SB, 24, 0, b'x', IAC, SE, b'c'];
        assert_eq!(t.read(&input), [Item::Data(vec![b'a', b'b', 255, b'c'])]);
    }

    #[test]
    fn a_command_may_be_cut_anywhere() {
        let input = [
            b'a', IAC, 251, 1, b'b', IAC, IAC, IAC, SB, 24, IAC, SE, b'c', IAC, BRK, b'd',
        ];
        for cut in 0..input.len() {
            let mut t = Telnet::new(false);
            let mut data = Vec::new();
            let mut breaks = 0;
            for part in [&input[..cut], &input[cut..]] {
                for item in t.read(part) {
                    match item {
                        Item::Data(d) => data.extend(d),
                        Item::Break => breaks += 1,
                    }
                }
            }
            assert_eq!(
                (data.as_slice(), breaks),
                (&[b'a', b'b', 255, b'c', b'd'][..], 1),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_break_stands_where_it_was_sent() {
        let mut t = Telnet::new(false);
        assert_eq!(
            t.read(&[b'x', IAC, BRK, b'y']),
            [Item::Data(vec![b'x']), Item::Break, Item::Data(vec![b'y'])]
        );
    }
}
