//! The intermediate representation: what a region of guest code does, in terms that no guest architecture owns.
//!
//! A region is a set of basic blocks that one page of guest code holds. Values live inside their block; what goes from one block to
//! another goes through guest registers, which the code generator keeps in host registers across the whole region. All values have the
//! guest's word width (32 or 64 bits); truth is 0 or 1.

use crate::layout::Window;
use std::fmt;

/// A value: the number of the operation that made it, in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub(crate) u32);

/// A guest register: its place in [`crate::Layout::registers`].
pub type Register = u8;

/// Operations on two values. Shift amounts count modulo the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// The upper half of the unsigned product.
    MulHighUnsigned,
    /// The upper half of the signed product.
    MulHighSigned,
    /// The divisor is never 0: whoever lifts sees to that.
    DivUnsigned,
    RemUnsigned,
    /// Neither is the divisor 0, nor does the quotient overflow.
    DivSigned,
    RemSigned,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
    ShiftRightSigned,
    RotateLeft,
    RotateRight,
    Equal,
    NotEqual,
    LessUnsigned,
    LessSigned,
    /// Either of two unsigned sums carried, and the like: the carry out of `a + b`.
    CarryOfAdd,
}

/// Operations on one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unary {
    Not,
    LeadingZeros,
    TrailingZeros,
    Ones,
    SwapBytes,
    ReverseBits,
    /// Sign extension of the low 8, 16, 32 bits.
    Signed8,
    Signed16,
    Signed32,
}

/// How much an access moves, and how a load fills the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// 1, 2, 4 or 8.
    pub bytes: u8,
    /// Loads extend the sign.
    pub signed: bool,
}

/// One guest instruction that the engine itself executes, through the function given to [`crate::Jit::new`]. It sees all guest
/// registers in their home; what it returns other than 0 leaves the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What the engine is told: the number under which it finds the instruction.
    pub what: u32,
    /// Registers that it may change, one bit each.
    pub writes: u64,
    /// The instruction's number in its block.
    pub index: u8,
    /// Its distance from the region's start.
    pub at: i64,
}

/// One step. Those that make a value are numbered by their place.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Op {
    Constant(u64),
    /// The guest address at which the region began to run this time, plus a distance.
    Address(i64),
    Get(Register),
    Set(Register, Value),
    Unary(Unary, Value),
    Binary(Binary, Value, Value),
    /// The first if the condition is not 0, else the second.
    Select(Value, Value, Value),
    /// Reads memory where that is plain RAM; otherwise `slow` does the whole instruction. One load per instruction, and its only
    /// effect is `Set(register, value)`.
    Load {
        address: Value,
        width: Width,
        register: Register,
        slow: Call,
    },
    /// Writes memory where that is plain RAM without decoded code; otherwise `slow` does the whole instruction.
    Store {
        address: Value,
        width: Width,
        value: Value,
        slow: Call,
    },
    /// Reads consecutive words of 32 bits into the registers of the mask, the lowest first (or, `downwards`, the highest), where all
    /// of it is plain RAM; otherwise `slow` does the whole instruction, and its only effects are on those registers.
    LoadMany {
        address: Value,
        registers: u64,
        downwards: bool,
        slow: Call,
    },
    /// Writes the registers of the mask to consecutive words of 32 bits, the lowest first (or, `downwards`, the highest), where all
    /// of it is plain RAM without decoded code; otherwise `slow` does the whole instruction.
    StoreMany {
        address: Value,
        registers: u64,
        downwards: bool,
        slow: Call,
    },
    /// That many next operations are done only if the value is not 0. Values that they make are for themselves alone.
    If(Value, u32),
    /// The engine does it.
    Call(Call),
    /// Instructions of this block that the engine does find the PC at this distance from the region's start; without it, where the block
    /// begins.
    CallsAt(i64),
    /// The guest address at which the region always begins, for guests whose code is known by its address. Only in the first block.
    Origin(u64),
    /// This block may be entered from outside, too. Only first in a block, of a region with an [`Op::Origin`].
    Entry,
    /// The next access mostly goes to this window, which stays as it is for as long as the code may be run.
    Hint {
        window: Window,
        /// It has no decoded code, and whoever decodes some drops this code.
        plain: bool,
    },
    /// Keeps loads and stores before it from those behind it.
    Fence,
}

impl Op {
    /// Whether others can use what it makes.
    fn makes_value(&self) -> bool {
        use Op::*;
        matches!(
            self,
            Constant(_) | Address(_) | Get(_) | Unary(..) | Binary(..) | Select(..)
        )
    }
}

/// Where control goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A block of the region, by its place.
    Block(u32),
    /// The guest address at this distance from the region's start.
    Outside(i64),
}

/// How a block ends.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Goes there.
    Jump(Target),
    /// To the first if the value is not 0, else to the second.
    Branch(Value, Target, Target),
    /// To the guest address that is the value, which may be the start of one of these blocks.
    Indirect(Value, Vec<u32>),
}

/// A basic block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// What the engine calls it: handed back when an instruction of it ends the run.
    pub id: u32,
    /// Distance of its first instruction from the region's start, in bytes.
    pub at: i64,
    /// Guest instructions.
    pub count: u32,
    /// What it does.
    pub ops: Vec<Op>,
    /// And then.
    pub end: End,
}

/// Guest code to be compiled together. Block 0 is where it is entered.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// For people: shown by `perf`.
    pub name: String,
    /// What the engine knows it by.
    pub key: u64,
    /// At least one.
    pub blocks: Vec<Block>,
}

impl Region {
    /// Guest instructions in it.
    pub fn instructions(&self) -> u32 {
        self.blocks.iter().map(|b| b.count).sum()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Block(n) => write!(f, "block {n}"),
            Target::Outside(at) => write!(f, "outside {at:+}"),
        }
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            if self.signed { 'i' } else { 'u' },
            u32::from(self.bytes) * 8
        )
    }
}

/// Registers of a mask, in order or in reverse.
pub(crate) fn registers(mask: u64, downwards: bool) -> Vec<Register> {
    let mut all: Vec<Register> = (0..64).filter(|r| mask >> r & 1 != 0).collect();
    if downwards {
        all.reverse();
    }
    all
}

struct Set(u64, bool);

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = registers(self.0, self.1).iter().map(|r| format!("r{r}")).collect();
        f.write_str(&all.join(", "))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Constant(v) => write!(f, "{v:#x}"),
            Op::Address(at) => write!(f, "pc {at:+}"),
            Op::Get(r) => write!(f, "r{r}"),
            Op::Set(r, v) => write!(f, "r{r} = {v}"),
            Op::Unary(op, a) => write!(f, "{op:?} {a}"),
            Op::Binary(op, a, b) => write!(f, "{op:?} {a}, {b}"),
            Op::Select(c, a, b) => write!(f, "if {c} {a} else {b}"),
            Op::Load {
                address,
                width,
                register,
                slow,
            } => {
                write!(f, "r{register} = load {width} [{address}] or call {}", slow.what)
            }
            Op::Store {
                address,
                width,
                value,
                slow,
            } => {
                write!(f, "store {width} [{address}] = {value} or call {}", slow.what)
            }
            Op::LoadMany {
                address,
                registers,
                downwards,
                slow,
            } => {
                let all = Set(*registers, *downwards);
                write!(f, "{all} = load from [{address}] or call {}", slow.what)
            }
            Op::StoreMany {
                address,
                registers,
                downwards,
                slow,
            } => {
                let all = Set(*registers, *downwards);
                write!(f, "store to [{address}] = {all} or call {}", slow.what)
            }
            Op::If(v, n) => write!(f, "the next {n} if {v}"),
            Op::Call(call) => write!(f, "call {} writes {:#x}", call.what, call.writes),
            Op::CallsAt(at) => write!(f, "calls at {at:+}"),
            Op::Origin(at) => write!(f, "origin {at:#x}"),
            Op::Entry => write!(f, "entry"),
            Op::Hint { window, plain } => write!(f, "mostly {window}{}", if *plain { " without code" } else { "" }),
            Op::Fence => write!(f, "fence"),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.blocks.iter().enumerate() {
            writeln!(f, "block {i} at {:+}, {} instructions", b.at, b.count)?;
            for (n, op) in b.ops.iter().enumerate() {
                match op {
                    _ if op.makes_value() => writeln!(f, "    v{n} = {op}")?,
                    _ => writeln!(f, "    {op}")?,
                }
            }
            match &b.end {
                End::Jump(t) => writeln!(f, "    to {t}")?,
                End::Branch(c, t, e) => writeln!(f, "    if {c} to {t} else to {e}")?,
                End::Indirect(v, guesses) => writeln!(f, "    to {v}, likely one of {guesses:?}")?,
            }
        }
        Ok(())
    }
}
