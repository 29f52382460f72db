//! A console: a channel with a line editor, where a person or a script types commands.
//!
//! Output waits for the channel; while some waits, no further line is carried out and nothing more is read, so that a client which
//! never reads costs one command's output and holds nobody up.

use southbridge_backend_chardev::{CharEvent, CharHandle, Chardev};
use southbridge_cli::personality::{QEMU_VERSION, VERSION};
use southbridge_core::Machine;
use std::collections::VecDeque;

use super::line::{Editor, Key};
use super::{complete, execute_with};
use crate::{Cx, World};

pub(super) const PROMPT: &str = "(qemu) ";

/// The first line. Scripts look for its first and last words.
fn banner() -> String {
    format!("QEMU {QEMU_VERSION} monitor - type 'help' for more information (Southbridge {VERSION})\r\n")
}

/// All consoles of a machine.
#[derive(Default)]
pub(crate) struct Consoles(Vec<Console>);

struct Console {
    channel: CharHandle,
    editor: Editor,
    input: VecDeque<u8>,
    out: Vec<u8>,
    /// Nobody types lines: programs do not want echo.
    plain: bool,
    open: bool,
    /// The keyboard was here at the last look.
    focused: bool,
    /// It has not greeted who is there now: in the background it keeps quiet, for what it says would stand in the guest's output.
    quiet: bool,
}

impl Consoles {
    /// Puts a console on a character back end. On one that is shared the keyboard stays with whom it is: the console is a key away.
    pub(crate) fn listen(&mut self, machine: &mut Machine, world: &World, id: &str, plain: bool) -> Result<(), String> {
        let backend = world
            .chardevs
            .get(id)
            .ok_or_else(|| format!("there is no chardev '{id}'"))?;
        let caller = machine.caller();
        let notify = Box::new(move || caller.call());
        let host = &mut machine.sys.host;
        let channel = CharHandle::attach(host, backend, Some(notify)).map_err(|e| format!("chardev '{id}' {e}"))?;
        if let Some((chardev, mut cx)) = host.get::<Chardev>(backend) {
            chardev.focus_first(&mut cx);
        }
        self.0.push(Console {
            channel,
            editor: Editor::default(),
            input: VecDeque::new(),
            out: Vec::new(),
            plain,
            open: false,
            focused: false,
            quiet: true,
        });
        // A client that stands there already has said so.
        machine.caller().call();
        Ok(())
    }

    /// Does what was typed.
    pub(crate) fn attend(&mut self, machine: &mut Machine, world: &mut World) {
        for console in &mut self.0 {
            console.attend(machine, world);
        }
    }
}

impl Console {
    fn attend(&mut self, machine: &mut Machine, world: &mut World) {
        loop {
            self.look_at_focus();
            self.flush();
            if !self.out.is_empty() {
                return;
            }
            if let Some(byte) = self.input.pop_front() {
                self.key(byte, machine, world);
                continue;
            }
            match self.channel.next() {
                None => return,
                Some(event) => self.on_event(event),
            }
        }
    }

    /// Greets when the keyboard comes for the first time, and shows its prompt when it comes again.
    fn look_at_focus(&mut self) {
        if !self.open || self.focused == self.channel.is_focused() {
            return;
        }
        self.focused = !self.focused;
        if !self.focused {
            return;
        }
        if std::mem::take(&mut self.quiet) {
            self.send(&banner());
        }
        self.send(PROMPT);
        self.editor.redraw();
        let line = self.editor.take_echo();
        self.send(&line);
    }

    fn on_event(&mut self, event: CharEvent) {
        match event {
            CharEvent::Opened => {
                (self.open, self.editor) = (true, Editor::default());
                self.input.clear();
                (self.quiet, self.focused) = (true, false);
            }
            CharEvent::Closed => {
                self.open = false;
                self.input.clear();
                self.out.clear();
            }
            CharEvent::Data { bytes, .. } => self.input.extend(bytes),
            CharEvent::Writable | CharEvent::Break => {}
        }
    }

    fn key(&mut self, byte: u8, machine: &mut Machine, world: &mut World) {
        let key = self.editor.key(byte);
        let echo = self.editor.take_echo();
        if !self.plain {
            self.send(&echo);
        }
        let mut sent = VecDeque::new();
        let mut cx = Cx {
            machine,
            world,
            sent: &mut sent,
        };
        match key {
            Key::Nothing => {}
            Key::Line(line) => {
                let output = execute_with(&mut cx, &line, self.editor.history());
                self.say(&output);
                self.send(PROMPT);
            }
            Key::Complete(before) => self.complete(&cx, &before),
        }
    }

    /// Completes the word before the cursor as far as all candidates agree, or lists them.
    fn complete(&mut self, cx: &Cx<'_>, before: &str) {
        let found = complete::candidates(cx, before);
        match found.addition() {
            Some(text) => {
                self.editor.type_text(&text);
                let echo = self.editor.take_echo();
                self.send(&echo);
            }
            None if found.words.is_empty() => {}
            None => {
                self.say(&format!("\n{}", found.columns()));
                self.send(PROMPT);
                self.editor.redraw();
                let line = self.editor.take_echo();
                self.send(&line);
            }
        }
    }

    /// A command's output, in lines of the terminal.
    fn say(&mut self, text: &str) {
        self.send(&text.replace('\n', "\r\n"));
    }

    fn send(&mut self, text: &str) {
        if self.open {
            self.out.extend_from_slice(text.as_bytes());
        }
    }

    fn flush(&mut self) {
        while !self.out.is_empty() {
            match self.channel.write(&self.out) {
                0 => return,
                n => drop(self.out.drain(..n)),
            }
        }
    }
}
