//! Single-letter options as `getopt` takes them: `-S path`, `-Spath`, `-vF`. Help comes from the same table.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One option.
pub(super) struct Flag {
    pub(super) letter: u8,
    /// Placeholder of its value, if it takes one.
    pub(super) value: Option<&'static str>,
    pub(super) help: &'static str,
}

/// An option as given.
pub(super) type Given = (u8, OsString);

/// Reads `args` (without the program's name). `--help` counts as `-h`, and `--x` as `-x`.
///
/// # Errors
/// One line that names the option and what would be right.
pub(super) fn parse(flags: &[Flag], args: &[OsString]) -> Result<Vec<Given>, String> {
    let mut given = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut letters = match arg.as_bytes() {
            b"--help" => b"h",
            [b'-', b'-', letters @ ..] | [b'-', letters @ ..] if !letters.is_empty() => letters,
            _ => {
                return Err(format!(
                    "unexpected argument '{}': only options are taken",
                    arg.display()
                ));
            }
        };
        while let Some((letter, rest)) = letters.split_first() {
            let flag = flags
                .iter()
                .find(|flag| flag.letter == *letter)
                .ok_or_else(|| unknown(flags, arg, *letter))?;
            letters = match flag.value {
                None => {
                    given.push((*letter, OsString::new()));
                    rest
                }
                Some(_) if !rest.is_empty() => {
                    given.push((*letter, OsString::from_vec(rest.to_vec())));
                    b""
                }
                Some(what) => {
                    let missing = || format!("option '-{}' needs a value: {what}", char::from(*letter));
                    given.push((*letter, args.next().ok_or_else(missing)?.clone()));
                    b""
                }
            };
        }
    }
    Ok(given)
}

fn unknown(flags: &[Flag], arg: &OsStr, letter: u8) -> String {
    let known: Vec<String> = flags
        .iter()
        .map(|flag| format!("-{}", char::from(flag.letter)))
        .collect();
    let letter = OsStr::from_bytes(std::slice::from_ref(&letter)).display();
    format!(
        "unknown option '-{letter}' in '{}': there are {}",
        arg.display(),
        known.join(" ")
    )
}

/// The text of `-h`.
pub(super) fn help(program: &str, summary: &str, flags: &[Flag]) -> String {
    let mut text = format!("usage: {program} [options]\n{summary}\n\n");
    for flag in flags {
        let left = format!("-{} {}", char::from(flag.letter), flag.value.unwrap_or(""));
        let _ = writeln!(text, "  {left:<14} {}", flag.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: [Flag; 3] = [
        Flag {
            letter: b'v',
            value: None,
            help: "talk",
        },
        Flag {
            letter: b'F',
            value: None,
            help: "stay",
        },
        Flag {
            letter: b'S',
            value: Some("PATH"),
            help: "where",
        },
    ];

    fn read(args: &[&str]) -> Result<Vec<(char, String)>, String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let plain = |(letter, value): Given| (char::from(letter), value.into_string().unwrap());
        parse(&FLAGS, &args).map(|given| given.into_iter().map(plain).collect())
    }

    #[test]
    fn every_spelling() {
        let s = |value: &str| ('S', value.to_owned());
        let plain = |letter| (letter, String::new());
        assert_eq!(read(&["-v", "-S", "a"]), Ok(vec![plain('v'), s("a")]));
        assert_eq!(read(&["-vFSa"]), Ok(vec![plain('v'), plain('F'), s("a")]));
        assert_eq!(read(&["--S", "-F"]), Ok(vec![s("-F")]));
    }

    #[test]
    fn errors_name_the_word() {
        assert_eq!(read(&["-S"]).unwrap_err(), "option '-S' needs a value: PATH");
        assert_eq!(
            read(&["-vx"]).unwrap_err(),
            "unknown option '-x' in '-vx': there are -v -F -S"
        );
        assert_eq!(
            read(&["word"]).unwrap_err(),
            "unexpected argument 'word': only options are taken"
        );
        assert!(read(&["-"]).is_err() && read(&["--"]).is_err());
    }
}
