// The schema's text, read. Compiled twice: into the build script, which makes Rust out of it, and into the crate, which checks
// messages against it. The form is described in `schema/README.md`.

/// All of the schema.
#[derive(Debug, Default)]
pub struct Schema {
    /// Headings: name and text.
    pub groups: Vec<(String, String)>,
    /// Everything with a name, in the order of the text.
    pub entities: Vec<Entity>,
}

/// Something with a name.
#[derive(Debug)]
pub struct Entity {
    /// The name.
    pub name: String,
    /// For people.
    pub text: String,
    /// Index into [`Schema::groups`].
    pub group: usize,
    /// For programs.
    pub features: Vec<String>,
    /// What it is.
    pub kind: Kind,
}

/// What an entity is.
#[derive(Debug)]
pub enum Kind {
    /// One of these words.
    Enum(Vec<Member>),
    /// Members by name.
    Struct(Vec<Member>),
    /// Common members, and further ones by the value of one of them.
    Union {
        /// The common ones.
        base: Vec<Member>,
        /// The one that decides.
        tag: String,
        /// Its values with the struct of the further members.
        cases: Vec<(String, String)>,
    },
    /// A command.
    Command(Command),
    /// An event with its data.
    Event(Vec<Member>),
}

/// A command.
#[derive(Debug)]
pub struct Command {
    /// Its arguments, unless `takes` names them.
    pub arguments: Vec<Member>,
    /// The type that holds its arguments.
    pub takes: Option<String>,
    /// Type of its answer.
    pub returns: Option<Type>,
    /// May overtake others.
    pub out_of_band: bool,
    /// Takes arguments beyond those declared.
    pub open: bool,
}

/// A member, or a word of an enum (whose type means nothing).
#[derive(Debug, Clone)]
pub struct Member {
    /// The name.
    pub name: String,
    /// May be missing.
    pub optional: bool,
    /// Its type.
    pub of: Type,
    /// For programs.
    pub features: Vec<String>,
    /// For people.
    pub text: String,
}

/// A type as members name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Builtin, or an entity.
    pub name: String,
    /// A list of it.
    pub list: bool,
}

impl Type {
    fn read(word: &str) -> Self {
        match word.strip_prefix('[').and_then(|w| w.strip_suffix(']')) {
            Some(inner) => Self {
                name: inner.to_owned(),
                list: true,
            },
            None => Self {
                name: word.to_owned(),
                list: false,
            },
        }
    }
}

/// Types that need no entity, with the word that `query-qmp-schema` has for their values.
pub const BUILTIN: &[(&str, &str)] = &[
    ("str", "string"),
    ("bool", "boolean"),
    ("int", "int"),
    ("uint8", "int"),
    ("uint16", "int"),
    ("uint32", "int"),
    ("uint64", "int"),
    ("size", "int"),
    ("number", "number"),
    ("any", "value"),
    ("null", "null"),
];

/// A line in words, with its text for people.
struct Line<'t> {
    words: Vec<&'t str>,
    text: &'t str,
    inner: bool,
}

impl<'t> Line<'t> {
    fn read(raw: &'t str) -> Self {
        let (head, text) = raw.split_once('"').unwrap_or((raw, ""));
        Self {
            words: head.split_whitespace().collect(),
            text: text.trim_end().trim_end_matches('"'),
            inner: raw.starts_with(' '),
        }
    }

    fn features(&self) -> Vec<String> {
        self.words
            .iter()
            .filter_map(|w| w.strip_prefix('+'))
            .map(str::to_owned)
            .collect()
    }

    /// The word after `key`.
    fn after(&self, key: &str) -> Option<&'t str> {
        let at = self.words.iter().position(|w| *w == key)?;
        self.words.get(at + 1).copied()
    }

    fn member(&self, typed: bool) -> Option<Member> {
        let name = *self.words.first()?;
        let of = if typed { self.words.get(1).copied()? } else { "str" };
        Some(Member {
            name: name.trim_end_matches('?').to_owned(),
            optional: name.ends_with('?'),
            of: Type::read(of),
            features: self.features(),
            text: self.text.to_owned(),
        })
    }
}

impl Schema {
    /// Reads one file of the schema behind those read before.
    ///
    /// # Errors
    /// The line that has no meaning.
    pub fn read(&mut self, text: &str) -> Result<(), String> {
        for raw in text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
            let line = Line::read(raw);
            let read = if line.inner {
                self.inner(&line)
            } else {
                self.outer(&line)
            };
            read.ok_or_else(|| raw.to_owned())?;
        }
        Ok(())
    }

    fn outer(&mut self, line: &Line<'_>) -> Option<()> {
        let (word, name) = (*line.words.first()?, (*line.words.get(1)?).to_owned());
        let kind = match word {
            "group" => {
                self.groups.push((name, line.text.to_owned()));
                return Some(());
            }
            "enum" => Kind::Enum(Vec::new()),
            "struct" => Kind::Struct(match line.after(":") {
                Some(base) => self.members(base)?.to_vec(),
                None => Vec::new(),
            }),
            "union" => Kind::Union {
                base: Vec::new(),
                tag: line.after("by")?.to_owned(),
                cases: Vec::new(),
            },
            "command" => Kind::Command(Command {
                arguments: Vec::new(),
                takes: line.after("takes").map(str::to_owned),
                returns: line.after("->").map(Type::read),
                out_of_band: line.words.contains(&"oob"),
                open: line.words.contains(&"open"),
            }),
            "event" => Kind::Event(Vec::new()),
            _ => return None,
        };
        self.entities.push(Entity {
            name,
            text: line.text.to_owned(),
            group: self.groups.len().checked_sub(1)?,
            features: line.features(),
            kind,
        });
        Some(())
    }

    fn inner(&mut self, line: &Line<'_>) -> Option<()> {
        match &mut self.entities.last_mut()?.kind {
            Kind::Enum(words) => words.push(line.member(false)?),
            Kind::Union { cases, .. } if line.words.first() == Some(&"case") => {
                cases.push(((*line.words.get(1)?).to_owned(), (*line.words.get(2)?).to_owned()));
            }
            Kind::Struct(members) | Kind::Event(members) | Kind::Union { base: members, .. } => {
                members.push(line.member(true)?);
            }
            Kind::Command(c) => c.arguments.push(line.member(true)?),
        }
        Some(())
    }

    /// What has that name.
    pub fn find(&self, name: &str) -> Option<&Entity> {
        self.entities.iter().find(|e| e.name == name)
    }

    /// The members of a struct.
    pub fn members(&self, name: &str) -> Option<&[Member]> {
        match &self.find(name)?.kind {
            Kind::Struct(members) => Some(members),
            _ => None,
        }
    }

    /// The command of that name.
    pub fn command(&self, name: &str) -> Option<&Command> {
        self.entities.iter().find_map(|e| match &e.kind {
            Kind::Command(c) if e.name == name => Some(c),
            _ => None,
        })
    }

    /// Names that mean nothing, or twice something.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (i, e) in self.entities.iter().enumerate() {
            if self.entities[..i].iter().any(|o| o.name == e.name) {
                faults.push(format!("{} stands there twice", e.name));
            }
            let (members, named): (&[Member], Vec<&str>) = match &e.kind {
                Kind::Enum(_) => (&[], Vec::new()),
                Kind::Struct(m) | Kind::Event(m) => (m, Vec::new()),
                Kind::Union { base, cases, .. } => (base, cases.iter().map(|c| c.1.as_str()).collect()),
                Kind::Command(c) => {
                    let returns = c.returns.iter().map(|t| t.name.as_str());
                    (&c.arguments, returns.chain(c.takes.as_deref()).collect())
                }
            };
            for name in members.iter().map(|m| m.of.name.as_str()).chain(named) {
                if !BUILTIN.iter().any(|b| b.0 == name) && self.find(name).is_none() {
                    faults.push(format!("{}: no type {name}", e.name));
                }
            }
        }
        faults
    }
}
