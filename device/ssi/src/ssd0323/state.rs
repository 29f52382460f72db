//! The display controller: display memory, its address counter, and what the panel shows of it.

use serde::{Deserialize, Serialize};
use southbridge_core::LoadError;

use super::regs::{self, COLUMNS, HEIGHT, ROWS, WIDTH};

/// How pixels become light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Mode {
    Normal,
    AllOn,
    AllOff,
    Inverse,
}

/// A first and a last address, and the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    start: u8,
    end: u8,
    now: u8,
}

impl Counter {
    const fn over(len: usize) -> Self {
        Self {
            start: 0,
            end: len as u8 - 1,
            now: 0,
        }
    }

    fn set(&mut self, start: u8, end: u8, len: usize) {
        let wrap = |v: u8| (usize::from(v) % len) as u8;
        *self = Self {
            start: wrap(start),
            end: wrap(end),
            now: wrap(start),
        };
    }

    /// To the next address; whether it began again at the start.
    fn step(&mut self) -> bool {
        let again = self.now >= self.end;
        self.now = if again { self.start } else { self.now + 1 };
        again
    }

    fn fits(&self, len: usize) -> bool {
        [self.start, self.end, self.now].iter().all(|v| usize::from(*v) < len)
    }
}

/// All that the guest can see or influence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    memory: Vec<u8>,
    column: Counter,
    row: Counter,
    /// A command whose arguments are not complete, and those that came.
    command: Option<u8>,
    arguments: Vec<u8>,
    remap: u8,
    start_line: u8,
    mode: Mode,
    on: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            memory: vec![0; COLUMNS * ROWS],
            column: Counter::over(COLUMNS),
            row: Counter::over(ROWS),
            command: None,
            arguments: Vec::with_capacity(regs::MOST_ARGUMENTS),
            remap: 0,
            start_line: 0,
            mode: Mode::Normal,
            on: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let wanted = self.command.map(regs::arguments);
        let arguments_fit = match wanted {
            None => self.arguments.is_empty(),
            Some(wanted) => wanted.is_some_and(|n| self.arguments.len() < n),
        };
        match () {
            () if self.memory.len() != COLUMNS * ROWS => Err(LoadError::Impossible("size of display memory")),
            () if !self.column.fits(COLUMNS) || !self.row.fits(ROWS) => Err(LoadError::Impossible("display address")),
            () if usize::from(self.start_line) >= ROWS => Err(LoadError::Impossible("display start line")),
            () if !arguments_fit => Err(LoadError::Impossible("display command")),
            () => Ok(()),
        }
    }

    /// A byte of pixels, the left one in the upper half.
    pub(crate) fn data(&mut self, byte: u8) {
        let at = usize::from(self.row.now) * COLUMNS + usize::from(self.column.now);
        if let Some(pixels) = self.memory.get_mut(at) {
            *pixels = byte;
        }
        let (inner, outer) = match self.remap & regs::REMAP_VERTICAL {
            0 => (&mut self.column, &mut self.row),
            _ => (&mut self.row, &mut self.column),
        };
        if inner.step() {
            outer.step();
        }
    }

    /// A byte of a command. False if there is no such command.
    pub(crate) fn command(&mut self, byte: u8) -> bool {
        let command = match self.command {
            None => byte,
            Some(command) => {
                self.arguments.push(byte);
                command
            }
        };
        let Some(wanted) = regs::arguments(command) else {
            return false;
        };
        if self.arguments.len() < wanted {
            self.command = Some(command);
            return true;
        }
        self.execute(command);
        self.command = None;
        self.arguments.clear();
        true
    }

    /// Timing, current and voltages have no effect on what is modelled. So has the display offset, which with the multiplex ratio only
    /// centres a picture on the wires of the panel.
    fn execute(&mut self, command: u8) {
        let argument = |i: usize| self.arguments.get(i).copied().unwrap_or(0);
        let (a, b) = (argument(0), argument(1));
        match command {
            regs::COLUMN => self.column.set(a, b, COLUMNS),
            regs::ROW => self.row.set(a, b, ROWS),
            regs::REMAP => self.remap = a,
            regs::START_LINE => self.start_line = (usize::from(a) % ROWS) as u8,
            0xa4 => self.mode = Mode::Normal,
            0xa5 => self.mode = Mode::AllOn,
            0xa6 => self.mode = Mode::AllOff,
            0xa7 => self.mode = Mode::Inverse,
            regs::OFF => self.on = false,
            regs::ON => self.on = true,
            _ => {}
        }
    }

    /// What the panel shows: [`WIDTH`] x [`HEIGHT`] pixels, row by row from the top, 0 (black) to 255.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut image = Vec::with_capacity(WIDTH * HEIGHT);
        for y in 0..HEIGHT {
            let row = (y + usize::from(self.start_line)) % ROWS;
            let bytes = self.memory.iter().skip(row * COLUMNS).take(COLUMNS);
            image.extend(bytes.flat_map(|b| [b >> 4, b & 15]).map(|level| self.light(level) * 17));
        }
        image
    }

    fn light(&self, level: u8) -> u8 {
        match (self.on, self.mode) {
            (false, _) | (_, Mode::AllOff) => 0,
            (_, Mode::AllOn) => 15,
            (_, Mode::Normal) => level,
            (_, Mode::Inverse) => 15 - level,
        }
    }
}
