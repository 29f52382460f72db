//! The log and trace events.

use southbridge_cli::config::log::{LOG_WORDS, LogItem};
use southbridge_core::LogItems;
use southbridge_core::trace::Glob;
use std::fs::File;

use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

fn item(item: LogItem) -> LogItems {
    match item {
        LogItem::Unimp => LogItems::UNIMP,
        LogItem::GuestErrors => LogItems::GUEST_ERRORS,
        LogItem::Int => LogItems::INT,
        LogItem::CpuReset => LogItems::CPU_RESET,
        LogItem::InAsm => LogItems::IN_ASM,
        LogItem::Exec => LogItems::EXEC,
        LogItem::Mmu => LogItems::MMU,
    }
}

pub(super) fn log(call: &mut Call<'_, '_>) -> Done {
    let text = call.args.word(0);
    let mut items = LogItems::empty();
    let mut patterns = Vec::new();
    for word in text.split(',').filter(|w| !w.is_empty()) {
        if let Some(pattern) = word.strip_prefix("trace:") {
            patterns.push(pattern);
            continue;
        }
        match (word, LOG_WORDS.iter().find(|w| w.name == word)) {
            ("none", _) => items = LogItems::empty(),
            ("all", _) => items = LogItems::all(),
            ("help", _) => {
                call.out += &southbridge_cli::config::log::help_text();
                return Ok(());
            }
            (_, Some(w)) => match w.item {
                Some(i) => items |= item(i),
                None => return failed(format!("'{word}' cannot be logged yet")),
            },
            (_, None) => return failed(format!("there is no log item '{word}'; 'log help' lists them")),
        }
    }
    call.cx.machine.sys.log.set_items(items);
    for pattern in patterns {
        let sys = &mut call.cx.machine.sys;
        sys.trace.to_log = true;
        if sys.trace_enable(pattern, true) == 0 {
            call.say(format_args!("no trace event matches '{pattern}' yet"));
        }
    }
    Ok(())
}

pub(super) fn logfile(call: &mut Call<'_, '_>) -> Done {
    let name = call.args.word(0).replace("%d", &std::process::id().to_string());
    match File::create(&name) {
        Ok(file) => {
            // Unbuffered: who asks for a file while the machine runs reads it while it runs.
            call.cx.machine.sys.log.set_sink(Box::new(file));
            Ok(())
        }
        Err(e) => failed(format!("cannot write '{name}': {e}")),
    }
}

pub(super) fn trace_event(call: &mut Call<'_, '_>) -> Done {
    let pattern = call.args.word(0);
    if call.cx.machine.sys.trace_enable(&pattern, call.args.switch(1)) == 0 {
        call.say(format_args!("unknown event \"{pattern}\""));
    }
    Ok(())
}

pub(super) fn trace_events(call: &mut Call<'_, '_>) -> Done {
    let glob = Glob::new(call.args.text(0).unwrap_or("*"));
    let events = call.cx.machine.sys.trace.events();
    let text: String = events
        .filter(|(e, _)| glob.matches(e.name))
        .map(|(e, on)| format!("{} : state {}\n", e.name, u8::from(on)))
        .collect();
    call.out += &text;
    Ok(())
}
