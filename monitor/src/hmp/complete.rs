//! Completion: what could stand where the cursor is, from the table of commands and from what there is.

use southbridge_backend_chardev::KINDS;
use southbridge_cli::config::log::LOG_WORDS;
use southbridge_machine::objects;

use super::table::{self, COMMANDS, Command, INFOS, Kind, Source};
use crate::{Cx, tree};

/// What could complete a word.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates {
    /// How much of the word is there already, in characters.
    typed: usize,
    /// Whole words.
    pub(super) words: Vec<String>,
}

/// Columns of a terminal.
const WIDTH: usize = 80;

impl Candidates {
    fn of(prefix: &str, words: impl IntoIterator<Item = String>) -> Self {
        let mut words: Vec<_> = words.into_iter().filter(|w| w.starts_with(prefix)).collect();
        words.sort_unstable();
        words.dedup();
        Self {
            typed: prefix.chars().count(),
            words,
        }
    }

    /// What to type for the user: the part that all words have in common, and a space where there is but one.
    pub(super) fn addition(&self) -> Option<String> {
        let (first, rest) = self.words.split_first()?;
        let same = |i: usize, c: char| rest.iter().all(|w| w.chars().nth(i) == Some(c));
        let common = first
            .chars()
            .enumerate()
            .take_while(|(i, c)| same(*i, *c))
            .map(|(_, c)| c);
        let mut more: String = common.skip(self.typed).collect();
        if rest.is_empty() && !first.ends_with(['=', '/']) {
            more.push(' ');
        }
        (!more.is_empty()).then_some(more)
    }

    /// All words in columns.
    pub(super) fn columns(&self) -> String {
        let widest = self.words.iter().map(|w| w.chars().count()).max().unwrap_or(0).max(8) + 2;
        let each = (WIDTH / widest).max(1);
        let mut out = String::new();
        for line in self.words.chunks(each) {
            let line: String = line.iter().map(|w| format!("{w:<widest$}")).collect();
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

/// What could stand at the end of `before`.
pub(super) fn candidates(cx: &Cx<'_>, before: &str) -> Candidates {
    let mut words: Vec<&str> = before.split_whitespace().collect();
    let prefix = if before.ends_with(char::is_whitespace) {
        ""
    } else {
        words.pop().unwrap_or("")
    };
    let Some((name, given)) = words.split_first() else {
        return Candidates::of(prefix, names(COMMANDS));
    };
    let Some(command) = table::find(COMMANDS, name) else {
        return Candidates::default();
    };
    match given.split_first() {
        Some((sub, given)) if command.names[0] == "info" => match table::find(INFOS, sub) {
            Some(info) => argument(cx, info, given, prefix),
            None => Candidates::default(),
        },
        Some((sub, _)) if command.names[0] == "help" && *sub == "info" => Candidates::of(prefix, names(INFOS)),
        _ => argument(cx, command, given, prefix),
    }
}

fn names(table: &[Command]) -> Vec<String> {
    table.iter().flat_map(|c| c.names).map(|n| (*n).to_owned()).collect()
}

fn argument(cx: &Cx<'_>, command: &Command, given: &[&str], prefix: &str) -> Candidates {
    let plain = |w: &&&str| {
        !w.starts_with(['-', '/']) || w.starts_with("/") && command.args.iter().all(|a| a.kind != Kind::Format)
    };
    let n = given.iter().filter(plain).count();
    let mut places = command
        .args
        .iter()
        .filter(|a| !matches!(a.kind, Kind::Flag(_) | Kind::Format));
    let switches = Source::Words(&["on", "off"]);
    match places.nth(n).map(|a| a.kind) {
        Some(Kind::Word(source)) => source.words(cx, prefix),
        Some(Kind::Rest(source)) => source.list(cx, prefix),
        Some(Kind::Switch) => switches.words(cx, prefix),
        _ => Candidates::default(),
    }
}

impl Source {
    fn words(self, cx: &Cx<'_>, prefix: &str) -> Candidates {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let words = match self {
            Self::Nothing => Vec::new(),
            Self::Commands => names(COMMANDS),
            Self::Infos => names(INFOS),
            Self::DeviceTypes => {
                let creatable = cx.world.registry.iter().filter(|t| t.user_creatable);
                creatable.map(|t| t.name.to_owned()).collect()
            }
            Self::Devices => cx.machine.sys.devices().filter_map(|(_, s)| s.id.clone()).collect(),
            Self::ObjectTypes => objects::TYPES.iter().map(|t| t.name.to_owned()).collect(),
            Self::Objects => cx.world.objects.iter().map(|(id, _)| id.to_owned()).collect(),
            Self::ChardevKinds => {
                let here = KINDS.iter().filter(|k| k.missing().is_none());
                here.map(|k| k.name.to_owned()).collect()
            }
            Self::Chardevs => cx.world.chardevs.iter().map(|(id, _)| id.to_owned()).collect(),
            Self::Paths => paths(cx, prefix),
            Self::Snapshots => {
                let all = cx.world.snapshots.list().unwrap_or_default();
                all.into_iter().map(|s| s.name).collect()
            }
            Self::LogItems => {
                let here = LOG_WORDS.iter().filter(|w| w.item.is_some()).map(|w| w.name);
                here.chain(["none", "all"]).map(str::to_owned).collect()
            }
            Self::Events => cx.machine.sys.trace.events().map(|(e, _)| e.name.to_owned()).collect(),
            Self::Keys => {
                let before = prefix.rfind('-').map_or("", |i| &prefix[..=i]);
                let keys = southbridge_backend_input::KEYS.iter();
                keys.map(|k| format!("{before}{}", k.name)).collect()
            }
            Self::Words(words) => owned(words),
        };
        Candidates::of(prefix, words)
    }

    /// The first word of a list, or a property of its type.
    fn list(self, cx: &Cx<'_>, prefix: &str) -> Candidates {
        let Some((type_name, _)) = prefix.split_once(',') else {
            return self.words(cx, prefix);
        };
        let properties: Vec<&str> = match self {
            Self::DeviceTypes => {
                let own = cx.world.registry.get(type_name).into_iter().flat_map(|t| t.properties);
                own.map(|p| p.name).chain(["bus"]).collect()
            }
            Self::ObjectTypes => {
                let own = objects::find(type_name).into_iter().flat_map(|t| t.properties);
                own.map(|p| p.name).collect()
            }
            Self::ChardevKinds => match southbridge_backend_chardev::find(type_name) {
                Ok(kind) => kind.all_options().map(|p| p.name).collect(),
                Err(_) => Vec::new(),
            },
            _ => return Candidates::default(),
        };
        let (before, last) = prefix.rsplit_once(',').unwrap_or(("", prefix));
        if last.contains('=') {
            return Candidates::default();
        }
        let whole = properties.into_iter().chain(["id"]).map(|p| format!("{before},{p}="));
        Candidates::of(prefix, whole)
    }
}

/// The objects below the one that the last `/` of a path ends.
fn paths(cx: &Cx<'_>, prefix: &str) -> Vec<String> {
    let Some((parent, _)) = prefix.rsplit_once('/') else {
        return vec!["/".into()];
    };
    let above = if parent.is_empty() { "/" } else { parent };
    let Ok(node) = tree::resolve(cx, above) else {
        return Vec::new();
    };
    let below = tree::children(cx.machine, cx.world, &node);
    below.into_iter().map(|(name, _)| format!("{parent}/{name}")).collect()
}
