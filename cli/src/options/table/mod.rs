//! The rows of the table, by heading. See [`super::OptionDef`] for the columns.

mod here;
mod later;

use super::{Category, Complete, Handler, OptionDef, Repeat, Status};
use crate::keyval::Grammar;

/// All options, those that work first.
pub fn all() -> impl Iterator<Item = &'static OptionDef> {
    here::TABLE.iter().chain(later::TABLE)
}

/// An option that works. The builder methods below fill in what differs from the usual.
const fn opt(name: &'static str, category: Category, handler: Handler, summary: &'static str) -> OptionDef {
    OptionDef {
        name,
        aliases: &[],
        argument: None,
        grammar: None,
        group: None,
        category,
        summary,
        detail: "",
        status: Status::Works,
        repeat: Repeat::LastWins,
        handler,
        complete: Complete::Nothing,
        in_qemu: true,
    }
}

/// An option of QEMU that is not here; `waits` says for what it waits, to be read after "it comes with".
const fn later(name: &'static str, category: Category, summary: &'static str, waits: &'static str) -> OptionDef {
    let mut def = opt(name, category, Handler::Absent, summary);
    def.status = Status::NotYet(waits);
    def
}

impl OptionDef {
    const fn arg(mut self, shape: &'static str) -> Self {
        self.argument = Some(shape);
        self
    }
    const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
    const fn list(mut self, grammar: Grammar, group: &'static str) -> Self {
        self.grammar = Some(grammar);
        self.group = Some(group);
        self
    }
    const fn detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }
    const fn adds(mut self) -> Self {
        self.repeat = Repeat::Adds;
        self
    }
    const fn merges(mut self) -> Self {
        self.repeat = Repeat::Merges;
        self
    }
    const fn complete(mut self, complete: Complete) -> Self {
        self.complete = complete;
        self
    }
    const fn none_only(mut self) -> Self {
        if let Status::NotYet(waits) = self.status {
            self.status = Status::NoneOnly(waits);
            self.handler = Handler::NoneOnly;
            self.complete = Complete::Words(&["none"]);
        }
        self
    }
    const fn own(mut self) -> Self {
        self.in_qemu = false;
        self
    }
}
