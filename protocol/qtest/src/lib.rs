//! The qtest protocol of QEMU 10 (its documentation, "QTest Device Emulation Testing Framework"): one request a line, one answer a
//! line, interrupt events in between. Where QEMU ends the process because a request makes no sense, the answer here is a `FAIL` line.

mod encoding;

pub use encoding::{base64, hex};
use encoding::{unbase64, unhex};

/// Longest line that is taken, in bytes: a write of many megabytes in hexadecimal.
pub const MAX_LINE: usize = 64 << 20;
/// Most bytes that one request may read or write.
pub const MAX_DATA: u64 = 16 << 20;

/// Width of an access in bytes.
pub type Width = u8;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `irq_intercept_in PATH` and `irq_intercept_out PATH [NAME]`.
    Intercept {
        /// Object path.
        path: String,
        /// Outputs rather than inputs.
        outputs: bool,
        /// Group of lines.
        name: Option<String>,
    },
    /// `set_irq_in PATH NAME NUM LEVEL`.
    SetIrqIn {
        /// Object path.
        path: String,
        /// Group of lines; `unnamed-gpio-in` for the one without a name.
        name: String,
        /// Which of the group.
        number: u32,
        /// Level; not 0 is high.
        level: i32,
    },
    /// `inb/inw/inl ADDR`.
    PortRead {
        /// Port.
        port: u16,
        /// 1, 2 or 4.
        width: Width,
    },
    /// `outb/outw/outl ADDR VALUE`.
    PortWrite {
        /// Port.
        port: u16,
        /// 1, 2 or 4.
        width: Width,
        /// Value.
        value: u32,
    },
    /// `readb/readw/readl/readq ADDR`: one access of that width.
    Read {
        /// Address.
        address: u64,
        /// 1, 2, 4 or 8.
        width: Width,
    },
    /// `writeb/writew/writel/writeq ADDR VALUE`: one access of that width.
    Write {
        /// Address.
        address: u64,
        /// 1, 2, 4 or 8.
        width: Width,
        /// Value.
        value: u64,
    },
    /// `read ADDR SIZE`, and `b64read`.
    ReadBytes {
        /// Address.
        address: u64,
        /// Bytes.
        len: u64,
        /// The answer is base64.
        base64: bool,
    },
    /// `write ADDR SIZE DATA`, and `b64write`.
    WriteBytes {
        /// Address.
        address: u64,
        /// Contents, already cut or zero-filled to the size.
        data: Vec<u8>,
    },
    /// `memset ADDR SIZE VALUE`.
    Fill {
        /// Address.
        address: u64,
        /// Bytes.
        len: u64,
        /// Each of them.
        value: u8,
    },
    /// `endianness`.
    Endianness,
    /// `clock_step [NS]`.
    ClockStep(Option<i64>),
    /// `clock_set NS`.
    ClockSet(i64),
    /// `module_load PREFIX NAME`: everything is in the one binary.
    ModuleLoad,
}

/// A line that is no request; the text is the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

fn refuse<T>(text: impl std::fmt::Display) -> Result<T, Refusal> {
    Err(Refusal(format!("FAIL {text}")))
}

/// Collects bytes to lines.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    too_long: bool,
}

impl Lines {
    /// Takes bytes in; gives the lines that they complete, without their ends. A line beyond [`MAX_LINE`] is dropped and shows as an
    /// empty command, which is refused like any other.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            if self.buffer.len() + piece.len() > MAX_LINE {
                self.buffer.clear();
                self.too_long = true;
            }
            if !self.too_long {
                self.buffer.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.too_long = false;
                let mut line = std::mem::take(&mut self.buffer);
                line.pop();
                out.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        out
    }
}

/// Reads one line.
///
/// # Errors
/// The answer to give instead, when it is no request.
pub fn parse(line: &str) -> Result<Request, Refusal> {
    let words: Vec<&str> = line.split(' ').collect();
    let word = words.first().copied().unwrap_or_default();
    let args = Args { words: &words };
    match word {
        "irq_intercept_in" | "irq_intercept_out" => {
            let outputs = word.ends_with("out");
            let name = words.get(2).map(|n| (*n).to_owned());
            if name.is_some() && !outputs {
                return refuse("Interception of named in-GPIOs not yet supported");
            }
            Ok(Request::Intercept {
                path: args.text(1)?,
                outputs,
                name,
            })
        }
        "set_irq_in" => Ok(Request::SetIrqIn {
            path: args.text(1)?,
            name: args.text(2)?,
            number: args.at_most(3, u32::MAX.into())? as u32,
            level: args.signed(4)? as i32,
        }),
        "inb" | "inw" | "inl" => Ok(Request::PortRead {
            port: args.at_most(1, 0xffff)? as u16,
            width: width(word),
        }),
        "outb" | "outw" | "outl" => {
            let (port, value) = (args.at_most(1, 0xffff)? as u16, args.unsigned(2)? as u32);
            Ok(Request::PortWrite {
                port,
                width: width(word),
                value,
            })
        }
        "readb" | "readw" | "readl" | "readq" => Ok(Request::Read {
            address: args.unsigned(1)?,
            width: width(word),
        }),
        "writeb" | "writew" | "writel" | "writeq" => Ok(Request::Write {
            address: args.unsigned(1)?,
            width: width(word),
            value: args.unsigned(2)?,
        }),
        "read" | "b64read" => {
            let len = args.at_most(2, MAX_DATA)?;
            if len == 0 && word == "read" {
                return refuse("read of no bytes");
            }
            Ok(Request::ReadBytes {
                address: args.unsigned(1)?,
                len,
                base64: word == "b64read",
            })
        }
        "write" | "b64write" => write_bytes(&args, word == "b64write"),
        "memset" => Ok(Request::Fill {
            address: args.unsigned(1)?,
            len: args.at_most(2, MAX_DATA)?,
            value: args.unsigned(3)? as u8,
        }),
        "endianness" => Ok(Request::Endianness),
        "clock_step" if words.len() > 1 => Ok(Request::ClockStep(Some(args.signed(1)?))),
        "clock_step" => Ok(Request::ClockStep(None)),
        "clock_set" => Ok(Request::ClockSet(args.signed(1)?)),
        "module_load" => Ok(Request::ModuleLoad),
        _ => refuse(format_args!("Unknown command '{word}'")),
    }
}

fn write_bytes(args: &Args<'_, '_>, base64: bool) -> Result<Request, Refusal> {
    let (address, len) = (args.unsigned(1)?, args.at_most(2, MAX_DATA)?);
    let text = args.words.get(3).copied().unwrap_or_default();
    if text.len() < 3 {
        return Err(Refusal("ERR invalid argument size".into()));
    }
    let data = if base64 {
        unbase64(text)
    } else {
        unhex(text.get(2..).unwrap_or_default())
    };
    let Some(mut data) = data else {
        return refuse("the data is not what it should be encoded in");
    };
    data.resize(len as usize, 0);
    Ok(Request::WriteBytes { address, data })
}

fn width(word: &str) -> Width {
    match word.as_bytes().last() {
        Some(b'b') => 1,
        Some(b'w') => 2,
        Some(b'q') => 8,
        _ => 4,
    }
}

struct Args<'w, 't> {
    words: &'w [&'t str],
}

impl Args<'_, '_> {
    fn word(&self, i: usize) -> Result<&str, Refusal> {
        match self.words.get(i) {
            Some(w) if !w.is_empty() => Ok(w),
            _ => refuse(format_args!(
                "'{}' needs {i} arguments or more",
                self.words.first().unwrap_or(&"")
            )),
        }
    }

    fn text(&self, i: usize) -> Result<String, Refusal> {
        self.word(i).map(str::to_owned)
    }

    /// As `strtoull` with base 0: decimal, `0x`, leading-zero octal; a minus wraps.
    fn unsigned(&self, i: usize) -> Result<u64, Refusal> {
        let word = self.word(i)?;
        match strtou64(word) {
            Some(n) => Ok(n),
            None => refuse(format_args!("'{word}' is not a number")),
        }
    }

    fn signed(&self, i: usize) -> Result<i64, Refusal> {
        self.unsigned(i).map(|n| n as i64)
    }

    fn at_most(&self, i: usize, most: u64) -> Result<u64, Refusal> {
        match self.unsigned(i)? {
            n if n <= most => Ok(n),
            n => refuse(format_args!("{n} is more than {most}")),
        }
    }
}

fn strtou64(word: &str) -> Option<u64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let n = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { n.wrapping_neg() } else { n })
}

/// Answers, without the end of the line.
pub mod answer {
    /// Done.
    pub const OK: &str = "OK";

    /// A value read from memory.
    pub fn memory(value: u64) -> String {
        format!("OK {value:#018x}")
    }

    /// A value read from a port.
    pub fn port(value: u32) -> String {
        format!("OK {value:#06x}")
    }

    /// Bytes in hexadecimal.
    pub fn bytes(data: &[u8]) -> String {
        format!("OK 0x{}", super::hex(data))
    }

    /// Bytes in base64.
    pub fn base64(data: &[u8]) -> String {
        format!("OK {}", super::base64(data))
    }

    /// The clock, in nanoseconds.
    pub fn clock(ns: u64) -> String {
        format!("OK {ns}")
    }

    /// An event: a line changed.
    pub fn irq(number: u32, level: bool) -> String {
        format!("IRQ {} {number}", if level { "raise" } else { "lower" })
    }
}

#[cfg(test)]
mod tests;
