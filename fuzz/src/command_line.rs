//! What a user writes: command lines, option lists, files.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use southbridge_cli::keyval::{Grammar, Props, is_json, split_words, value};
use southbridge_cli::up::{Plan, schema, shell};
use southbridge_cli::{Command, OptError, Source, Style, ini};

/// Shows an error in every style; marks must fall on characters.
fn show(error: &OptError) {
    for (multiline, color) in [(false, false), (true, false), (true, true)] {
        let style = Style {
            program: "southbridge".to_owned(),
            multiline,
            color,
        };
        let text = error.render(&style);
        assert!(text.starts_with("southbridge: ") && text.len() > "southbridge: ".len());
        assert!(
            multiline || !text.trim_end().contains('\n'),
            "one line has no line end: {text:?}"
        );
    }
}

/// A word a line; what follows a NUL is the contents of every file that `-readconfig` asks for.
pub fn command_line(data: &[u8]) {
    let (words, file) = match data.iter().position(|b| *b == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let file = String::from_utf8_lossy(file).into_owned();
    let args: Vec<OsString> = words
        .split(|b| *b == b'\n')
        .map(|w| OsString::from_vec(w.to_vec()))
        .collect();
    match Command::parse(&args, |_| Ok(file.clone())) {
        Ok((_, Command::Emulate(config) | Command::Help(_, config))) => {
            if let Err(error) = config.to_ini() {
                show(&error);
            }
        }
        Ok(_) => {}
        Err((_, error)) => show(&error),
    }
}

/// The first byte picks a dialect; the rest is the list, and an option file, and single values.
pub fn option_lists(data: &[u8]) {
    let Some((dialect, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let grammar = match dialect % 4 {
        0 => Grammar::list("driver").or_json(),
        1 => Grammar::plain(),
        2 => Grammar::strict("type").or_json(),
        _ => Grammar::plain().or_json(),
    };
    match Props::parse(&Source::implied("-device", text), grammar) {
        Ok(props) => check_list(&props, text, grammar),
        Err(error) => show(&error),
    }
    match ini::read("file", text) {
        Ok(options) => {
            if let Err(error) = ini::write(&options) {
                show(&error);
            }
        }
        Err(error) => show(&error),
    }
    let _ = (
        value::parse_bool(text),
        value::parse_u64(text),
        value::parse_i64(text),
        value::is_id(text),
    );
    let _ = value::parse_size(text, value::Unit::Byte);
    let _ = southbridge_core::property::parse_size(text);
    assert!(split_words(text).iter().all(|r| text.get(r.clone()).is_some()));
    if let Err(error) = shell::split(text) {
        assert!(text.is_char_boundary(error.at));
    }
    let _ = shell::expand(text, &[("dir", "/d"), ("tmp", "/t")]);
}

/// A list that parsed can be used, and is no larger than its text.
fn check_list(props: &Props, text: &str, grammar: Grammar) {
    assert!(props.entries().len() <= text.len());
    for entry in props.entries() {
        for error in [
            entry.bad_value("something else"),
            entry.unknown_key("'x'", ["id", "chardev"]),
        ] {
            show(&error);
        }
    }
    if let Err(error) = props.tree() {
        show(&error);
    }
    let _ = props.clone().dashed().merged(props.without(&["id"]));
    // What JSON says cannot always be said as a list (keys with '=').
    if !(grammar.json && is_json(text)) {
        let again = props.to_list();
        let parsed = Props::parse(&Source::implied("-device", &again), grammar);
        assert!(
            parsed.is_ok() || props.is_empty() || props.help_at().is_some(),
            "{text:?} became {again:?}"
        );
    }
}

/// A file of `southbridge up`.
pub fn demo_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let plan = schema::parse("demo.toml", text)
        .and_then(|demo| Plan::new("demo.toml", text, &demo, Path::new("/d"), Path::new("/t")));
    if let Err(error) = plan {
        show(&error);
    }
}
