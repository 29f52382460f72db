//! The answer of `query-qmp-schema`: the schema for programs, with numbers for the names of types.

use serde_json::{Value, json};

use super::text::{BUILTIN, Kind, Member, Schema, Type};

/// Every command and event, and the types that they lead to.
pub(crate) fn introspect(schema: &Schema) -> Vec<Value> {
    let mut this = Introspection {
        schema,
        out: Vec::new(),
        todo: Vec::new(),
    };
    for e in &schema.entities {
        let mut entry = match &e.kind {
            Kind::Command(c) => {
                let arguments = match &c.takes {
                    Some(of) => this.of(&plain(of)),
                    None if c.arguments.is_empty() => this.add(Job::Members(&[])),
                    None => this.add(Job::Members(&c.arguments)),
                };
                let returns = match &c.returns {
                    Some(of) => this.of(of),
                    None => this.add(Job::Members(&[])),
                };
                let mut entry =
                    json!({"name": e.name, "meta-type": "command", "arg-type": arguments, "ret-type": returns});
                if c.out_of_band {
                    entry["allow-oob"] = true.into();
                }
                entry
            }
            Kind::Event(members) => {
                let data = this.add(Job::Members(members));
                json!({"name": e.name, "meta-type": "event", "arg-type": data})
            }
            _ => continue,
        };
        features(&mut entry, &e.features);
        this.out.push(entry);
    }
    this.types();
    this.out
}

/// Something that needs an entry of its own.
#[derive(Clone, PartialEq)]
enum Job<'s> {
    Members(&'s [Member]),
    Named(String),
    List(String, String),
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

struct Introspection<'s> {
    schema: &'s Schema,
    out: Vec<Value>,
    /// What needs an entry; its place is its name.
    todo: Vec<Job<'s>>,
}

fn plain(name: &str) -> Type {
    Type {
        name: name.to_owned(),
        list: false,
    }
}

fn features(entry: &mut Value, features: &[String]) {
    if !features.is_empty() {
        entry["features"] = features.into();
    }
}

impl<'s> Introspection<'s> {
    fn add(&mut self, job: Job<'s>) -> String {
        let i = self.todo.iter().position(|j| *j == job).unwrap_or_else(|| {
            self.todo.push(job);
            self.todo.len() - 1
        });
        i.to_string()
    }

    /// The name by which a type is referred to.
    fn of(&mut self, of: &Type) -> String {
        let name = match BUILTIN.iter().find(|b| b.0 == of.name) {
            Some((_, "int")) => "int".to_owned(),
            Some((name, _)) => (*name).to_owned(),
            None => {
                let name = self.add(Job::Named(of.name.clone()));
                return self.list(of.list, name);
            }
        };
        self.add(Job::Named(name.clone()));
        self.list(of.list, name)
    }

    fn list(&mut self, list: bool, element: String) -> String {
        if !list {
            return element;
        }
        let name = format!("[{element}]");
        self.add(Job::List(name.clone(), element));
        name
    }

    fn types(&mut self) {
        let mut i = 0;
        while let Some(job) = self.todo.get(i).cloned() {
            let name = i.to_string();
            let entry = match job {
                Job::Members(members) => self.object(&name, members),
                Job::List(name, element) => json!({"name": name, "meta-type": "array", "element-type": element}),
                Job::Named(of) => self.named(&name, &of),
            };
            self.out.push(entry);
            i += 1;
        }
    }

    fn object(&mut self, name: &str, members: &[Member]) -> Value {
        let members: Vec<_> = members.iter().map(|m| self.member(m)).collect();
        json!({"name": name, "meta-type": "object", "members": members})
    }

    fn member(&mut self, m: &Member) -> Value {
        let mut entry = json!({"name": m.name, "type": self.of(&m.of)});
        if m.optional {
            entry["default"] = Value::Null;
        }
        features(&mut entry, &m.features);
        entry
    }

    fn named(&mut self, name: &str, of: &str) -> Value {
        if let Some((builtin, json)) = BUILTIN.iter().find(|b| b.0 == of) {
            return json!({"name": builtin, "meta-type": "builtin", "json-type": json});
        }
        let schema = self.schema;
        match schema.find(of).map(|e| &e.kind) {
            Some(Kind::Enum(words)) => {
                let members: Vec<_> = words
                    .iter()
                    .map(|w| {
                        let mut m = json!({"name": w.name});
                        features(&mut m, &w.features);
                        m
                    })
                    .collect();
                let values: Vec<_> = words.iter().map(|w| w.name.as_str()).collect();
                json!({"name": name, "meta-type": "enum", "members": members, "values": values})
            }
            Some(Kind::Union { base, tag, cases }) => {
                let mut entry = self.object(name, base);
                let variants: Vec<_> = self
                    .words(base, tag)
                    .iter()
                    .map(|word| {
                        let of = match cases.iter().find(|c| c.0 == *word) {
                            Some((_, of)) => self.of(&plain(of)),
                            None => self.add(Job::Members(&[])),
                        };
                        json!({"case": word, "type": of})
                    })
                    .collect();
                entry["tag"] = tag.as_str().into();
                entry["variants"] = variants.into();
                entry
            }
            Some(Kind::Struct(members)) => self.object(name, members),
            _ => self.object(name, &[]),
        }
    }

    fn words(&self, base: &[Member], tag: &str) -> Vec<String> {
        let tag = base.iter().find(|m| m.name == tag);
        match tag.and_then(|m| self.schema.find(&m.of.name)).map(|e| &e.kind) {
            Some(Kind::Enum(words)) => words.iter().map(|w| w.name.clone()).collect(),
            _ => Vec::new(),
        }
    }
}
