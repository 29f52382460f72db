//! Splits a command line into words as a shell does, and puts variables in.

/// What is wrong with a text, and where (byte offset).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellError {
    /// The reason.
    pub why: String,
    /// Where it begins.
    pub at: usize,
}

/// The words of a command line. Quotes and backslash work as in a POSIX shell; nothing is expanded, and a line end is a
/// blank. `#` is an ordinary character.
///
/// # Errors
/// When a quote is not closed or the text ends in a backslash.
pub fn split(text: &str) -> Result<Vec<String>, ShellError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.char_indices();
    let error = |why: &str, at| ShellError {
        why: why.to_owned(),
        at,
    };
    while let Some((at, c)) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => loop {
                let (_, c) = chars.next().ok_or_else(|| error("a single quote is not closed", at))?;
                let word = word.get_or_insert_default();
                if c == '\'' {
                    break;
                }
                word.push(c);
            },
            '"' => loop {
                let (_, c) = chars.next().ok_or_else(|| error("a double quote is not closed", at))?;
                let word = word.get_or_insert_default();
                match c {
                    '"' => break,
                    '\\' => match chars.next() {
                        Some((_, c @ ('"' | '\\' | '$' | '`'))) => word.push(c),
                        Some((_, '\n')) => {}
                        Some((_, c)) => word.extend(['\\', c]),
                        None => return Err(error("a double quote is not closed", at)),
                    },
                    c => word.push(c),
                }
            },
            '\\' => match chars.next() {
                Some((_, '\n')) => {}
                Some((_, c)) => word.get_or_insert_default().push(c),
                None => return Err(error("a backslash stands at the end", at)),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Puts `${name}` in; `$$` is a dollar sign.
///
/// # Errors
/// At a name that is not in `variables`, or a `$` that begins neither form.
pub fn expand(text: &str, variables: &[(&str, &str)]) -> Result<String, ShellError> {
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        let dollar = at + found;
        out.push_str(&text[at..dollar]);
        let rest = &text[dollar + 1..];
        if rest.starts_with('$') {
            out.push('$');
            at = dollar + 2;
            continue;
        }
        let error = |why| ShellError { why, at: dollar };
        let known = variables
            .iter()
            .map(|(n, _)| format!("${{{n}}}"))
            .collect::<Vec<_>>()
            .join(" or ");
        let name = rest
            .strip_prefix('{')
            .and_then(|r| r.split_once('}'))
            .map(|(name, _)| name);
        let name = name.ok_or_else(|| error(format!("'$' must begin {known}, or be written twice")))?;
        let value = variables.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        out.push_str(value.ok_or_else(|| error(format!("no variable '${{{name}}}'; there is {known}")))?);
        at = dollar + name.len() + 3;
    }
    out.push_str(&text[at..]);
    Ok(out)
}
