// Rust out of the schema.

use std::fmt::Write;

use super::text::{Entity, Kind, Member, Schema, Type};

/// `query-status` as a function.
fn snake(name: &str) -> String {
    let name = name.replace('-', "_").to_lowercase();
    match name.as_str() {
        "type" | "abstract" | "static" | "in" | "enum" | "struct" => format!("r#{name}"),
        _ => name,
    }
}

/// `host-qmp-quit` as a type or variant.
fn camel(name: &str) -> String {
    let parts = name.split(['-', '_']).filter(|p| !p.is_empty());
    let shouting = !name.chars().any(|c| c.is_ascii_lowercase());
    // No name of Rust begins with a digit.
    let digit = name.starts_with(|c: char| c.is_ascii_digit()).then(|| "N".to_owned());
    let camel = parts.map(|p| {
        let p = if shouting { p.to_lowercase() } else { p.to_owned() };
        let mut c = p.chars();
        c.next().map_or(String::new(), |first| {
            first.to_uppercase().collect::<String>() + c.as_str()
        })
    });
    digit.into_iter().chain(camel).collect()
}

fn rust_type(of: &Type) -> String {
    let name = match of.name.as_str() {
        "str" => "String".to_owned(),
        "bool" => "bool".to_owned(),
        "int" => "i64".to_owned(),
        "uint8" => "u8".to_owned(),
        "uint16" => "u16".to_owned(),
        "uint32" => "u32".to_owned(),
        "uint64" | "size" => "u64".to_owned(),
        "number" => "f64".to_owned(),
        "any" => "serde_json::Value".to_owned(),
        "null" => "()".to_owned(),
        name => camel(name),
    };
    if of.list { format!("Vec<{name}>") } else { name }
}

fn doc(out: &mut String, indent: &str, text: &str, name: &str) {
    let text = if text.is_empty() {
        format!("`{name}`")
    } else {
        format!("{text}.")
    };
    let _ = writeln!(
        out,
        "{indent}#[doc = {:?}]",
        text.replace('[', "\\[").replace('<', "\\<")
    );
}

const DERIVE: &str = "#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]";

fn fields(out: &mut String, members: &[&Member]) {
    for m in members {
        doc(out, "    ", &m.text, &m.name);
        let of = rust_type(&m.of);
        if m.optional {
            let _ = writeln!(
                out,
                "    #[serde(rename = {:?}, default, skip_serializing_if = \"Option::is_none\")]",
                m.name
            );
            let _ = writeln!(out, "    pub {}: Option<{of}>,", snake(&m.name));
        } else {
            let _ = writeln!(out, "    #[serde(rename = {:?})]", m.name);
            let _ = writeln!(out, "    pub {}: {of},", snake(&m.name));
        }
    }
}

fn structure(out: &mut String, name: &str, text: &str, members: &[Member]) {
    doc(out, "", text, name);
    let _ = writeln!(out, "{DERIVE}\npub struct {name} {{");
    fields(out, &members.iter().collect::<Vec<_>>());
    out.push_str("}\n\n");
}

fn enumeration(out: &mut String, e: &Entity, words: &[Member]) {
    doc(out, "", &e.text, &e.name);
    let derive = DERIVE.replace("Clone", "Clone, Copy, Eq, PartialOrd, Ord");
    let _ = writeln!(out, "{derive}\npub enum {} {{", camel(&e.name));
    for w in words {
        doc(out, "    ", &w.text, &w.name);
        let _ = writeln!(out, "    #[serde(rename = {:?})]\n    {},", w.name, camel(&w.name));
    }
    let _ = writeln!(out, "}}\n\nimpl {} {{", camel(&e.name));
    let _ = writeln!(
        out,
        "    /// All, in the order of the schema.\n    pub const ALL: &[Self] = &["
    );
    for w in words {
        let _ = writeln!(out, "        Self::{},", camel(&w.name));
    }
    let _ = writeln!(
        out,
        "    ];\n\n    /// The word of the protocol.\n    pub const fn name(self) -> &'static str {{\n        match self {{"
    );
    for w in words {
        let _ = writeln!(out, "            Self::{} => {:?},", camel(&w.name), w.name);
    }
    out.push_str("        }\n    }\n}\n\n");
}

/// A union is an enum over its tag; with further common members it is a struct around that.
fn union(out: &mut String, schema: &Schema, e: &Entity, base: &[Member], tag: &str, cases: &[(String, String)]) {
    let common: Vec<&Member> = base.iter().filter(|m| m.name != tag).collect();
    let name = camel(&e.name);
    let variants = if common.is_empty() {
        name.clone()
    } else {
        format!("{name}By")
    };
    if !common.is_empty() {
        doc(out, "", &e.text, &e.name);
        let _ = writeln!(out, "{DERIVE}\npub struct {name} {{");
        fields(out, &common);
        let _ = writeln!(
            out,
            "    /// By `{tag}`.\n    #[serde(flatten)]\n    pub by: {variants},\n}}\n"
        );
    }
    let words = base
        .iter()
        .find(|m| m.name == tag)
        .and_then(|m| match &schema.find(&m.of.name)?.kind {
            Kind::Enum(words) => Some(words.as_slice()),
            _ => None,
        });
    doc(out, "", &e.text, &e.name);
    let _ = writeln!(out, "{DERIVE}\n#[serde(tag = {tag:?})]\npub enum {variants} {{");
    for w in words.unwrap_or_default() {
        doc(out, "    ", &w.text, &w.name);
        let _ = writeln!(out, "    #[serde(rename = {:?})]", w.name);
        match cases.iter().find(|c| c.0 == w.name) {
            Some((_, of)) => {
                let _ = writeln!(out, "    {}({}),", camel(&w.name), camel(of));
            }
            None => {
                let _ = writeln!(out, "    {},", camel(&w.name));
            }
        }
    }
    out.push_str("}\n\n");
}

fn event(out: &mut String, e: &Entity, members: &[Member]) {
    let name = format!("{}Event", camel(&e.name));
    structure(out, &name, &e.text, members);
    let _ = writeln!(
        out,
        "impl Event for {name} {{\n    const NAME: &'static str = {:?};\n}}\n",
        e.name
    );
}

/// The types.
pub(super) fn types(schema: &Schema) -> String {
    let mut out = String::new();
    for e in &schema.entities {
        match &e.kind {
            Kind::Enum(words) => enumeration(&mut out, e, words),
            Kind::Struct(members) => structure(&mut out, &camel(&e.name), &e.text, members),
            Kind::Union { base, tag, cases } => union(&mut out, schema, e, base, tag, cases),
            Kind::Event(members) => event(&mut out, e, members),
            Kind::Command(c) if !c.arguments.is_empty() => {
                let text = format!("Arguments of `{}`", e.name);
                structure(&mut out, &format!("{}Args", camel(&e.name)), &text, &c.arguments);
            }
            Kind::Command(_) => {}
        }
    }
    out
}

/// The dispatcher. A command is a function of its group's module.
pub(super) fn dispatch(schema: &Schema) -> String {
    let mut out = String::from(
        "/// Runs a command whose arguments have been checked.\n\
         pub(crate) fn dispatch(cx: &mut Cx<'_>, name: &str, arguments: Value) -> Result<Value> {\n    match name {\n",
    );
    for e in &schema.entities {
        let Kind::Command(c) = &e.kind else { continue };
        if e.name == "qmp_capabilities" {
            continue;
        }
        let group = &schema.groups[e.group].0;
        let call = match (c.open, &c.takes, c.arguments.is_empty()) {
            (true, _, _) => "(cx, whole(arguments)?)",
            (_, None, true) => "(cx)",
            _ => "(cx, read(arguments)?)",
        };
        let _ = writeln!(
            out,
            "        {:?} => answer(crate::commands::{group}::{}{call}?),",
            e.name,
            snake(&e.name)
        );
    }
    out.push_str("        _ => Err(unknown(name)),\n    }\n}\n");
    out
}
