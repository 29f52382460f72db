//! Completion scripts for shells, from the option table.
//!
//! What only the machine layer knows (machines, devices) the scripts ask the program itself, through `-OPTION help`.

use crate::command::{Shell, TOOLS};
use crate::options::{self, Complete, OptionDef};

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// Turns the output of `-OPTION help` into names: lines `name "x", ...`, or the first word of each line that is not a
/// heading.
const NAMES: &str = r#"sed -n -e '/:$/d' -e 's/^name "\([^"]*\)".*/\1/p;t' -e 's/^ *\([A-Za-z0-9][^ ,]*\).*/\1/p'"#;

/// Programs for which the scripts are: this one, and the link by which people call it.
const PROGRAMS: &str = "southbridge qemu-system-arm";

fn here() -> impl Iterator<Item = &'static OptionDef> {
    options::all().filter(|d| d.is_here())
}

fn patterns(def: &OptionDef) -> String {
    def.names().map(|n| format!("-{n}|--{n}")).collect::<Vec<_>>().join("|")
}

fn bash() -> String {
    let mut out = format!(
        "# Completion of southbridge for bash. Source this file, or put it where bash-completion looks.\n\
         _southbridge_names() {{\n    \"$1\" \"-$2\" help 2>/dev/null | {NAMES}\n    echo help\n}}\n\n\
         _southbridge() {{\n    local program=${{COMP_WORDS[0]}} cur=${{COMP_WORDS[COMP_CWORD]}} \
         prev=${{COMP_WORDS[COMP_CWORD-1]}}\n    COMPREPLY=()\n    case $prev in\n"
    );
    for def in here().filter(|d| d.argument.is_some()) {
        let reply = match def.complete {
            Complete::Nothing => "return".to_owned(),
            Complete::File => "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")".to_owned(),
            Complete::Words(words) => reply(&format!("-W '{}'", words.join(" "))),
            Complete::HelpOf(option) => reply(&format!("-W \"$(_southbridge_names \"$program\" {option})\"")),
        };
        out.push_str(&format!("        {}) {reply}; return ;;\n", patterns(def)));
    }
    out.push_str(&format!(
        "        completion) {}; return ;;\n",
        reply("-W 'bash zsh fish'")
    ));
    out.push_str(
        "        up) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n    esac\n",
    );
    let names: Vec<String> = here().flat_map(OptionDef::names).map(|n| format!("-{n}")).collect();
    out.push_str(&format!("    local words='{}'\n", names.join(" ")));
    out.push_str(&format!(
        "    [[ $COMP_CWORD -eq 1 ]] && words=\"$words {}\"\n",
        TOOLS.join(" ")
    ));
    out.push_str(&format!(
        "    {}\n}}\n\ncomplete -F _southbridge {PROGRAMS}\n",
        reply("-W \"$words\"")
    ));
    out
}

fn reply(words: &str) -> String {
    format!("mapfile -t COMPREPLY < <(compgen {words} -- \"$cur\")")
}

fn zsh() -> String {
    let mut out = format!(
        "#compdef {PROGRAMS}\n# Completion of southbridge for zsh. Put this file as _southbridge into a folder of $fpath.\n\
         _southbridge_names() {{\n    local -a names\n    names=(${{(f)\"$(${{words[1]}} -$1 help 2>/dev/null | {NAMES})\"}} \
         help)\n    compadd -a names\n}}\n\n_southbridge() {{\n"
    );
    out.push_str(&format!(
        "    if (( CURRENT == 2 )); then\n        compadd {}\n    fi\n",
        TOOLS.join(" ")
    ));
    out.push_str(
        "    case ${words[2]} in\n        up) _files; return ;;\n        completion) compadd bash zsh fish; return ;;\n    esac\n",
    );
    out.push_str("    _arguments \\\n");
    for def in here() {
        let action = def.argument.map(|_| match def.complete {
            Complete::Nothing => ":value: ".to_owned(),
            Complete::File => ":file:_files".to_owned(),
            Complete::Words(words) => {
                format!(
                    ":value:({})",
                    words
                        .iter()
                        .map(|w| w.replace(':', "\\:"))
                        .collect::<Vec<_>>()
                        .join(" ")
                )
            }
            Complete::HelpOf(option) => format!(":name:{{_southbridge_names {option}}}"),
        });
        let action = action.unwrap_or_default();
        for name in def.names() {
            let summary = def
                .summary
                .replace('[', "\\[")
                .replace(']', "\\]")
                .replace('\'', "'\\''")
                .replace(':', "\\:");
            out.push_str(&format!("        '*-{name}[{summary}]{action}' \\\n"));
        }
    }
    out.push_str("        && return 0\n}\n\n_southbridge \"$@\"\n");
    out
}

fn fish() -> String {
    let mut out = format!(
        "# Completion of southbridge for fish. Put this file into ~/.config/fish/completions/.\n\
         function __southbridge_names\n    set -l words (commandline -opc)\n    $words[1] -$argv[1] help 2>/dev/null | {NAMES}\n    \
         echo help\nend\n\nfor program in {PROGRAMS}\n    complete -c $program -f\n"
    );
    out.push_str(&format!(
        "    complete -c $program -n 'test (count (commandline -opc)) -eq 1' -a '{}'\n",
        TOOLS.join(" ")
    ));
    out.push_str("    complete -c $program -n 'contains -- up (commandline -opc)' -F\n");
    out.push_str("    complete -c $program -n 'contains -- completion (commandline -opc)' -a 'bash zsh fish'\n");
    for def in here() {
        let action = def.argument.map(|_| match def.complete {
            Complete::Nothing => " -x".to_owned(),
            Complete::File => " -r -F".to_owned(),
            Complete::Words(words) => format!(" -x -a '{}'", words.join(" ")),
            Complete::HelpOf(option) => format!(" -x -a '(__southbridge_names {option})'"),
        });
        let action = action.unwrap_or_default();
        for name in def.names() {
            let flag = if name.len() == 1 { "-s" } else { "-o" };
            let summary = def.summary.replace('\\', "\\\\").replace('\'', "\\'");
            out.push_str(&format!(
                "    complete -c $program {flag} {name} -d '{summary}'{action}\n"
            ));
        }
    }
    out.push_str("end\n");
    out
}
