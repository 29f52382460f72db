//! `-trace`: which trace events, and where to.

use crate::command::HelpTopic;
use crate::error::OptError;
use crate::keyval::Props;
use crate::location::Located;

use super::{Config, Info};

/// The form of a trace file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TraceFormat {
    /// One line for each event.
    #[default]
    Text,
    /// For the Perfetto viewer.
    Perfetto,
}

/// One `-trace`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceOpt {
    /// A pattern; `-` before it turns events off.
    pub enable: Option<Located<String>>,
    /// A file of patterns, one a line.
    pub events: Option<Located<String>>,
    /// Where to; the log without it.
    pub file: Option<Located<String>>,
    /// The form of that file.
    pub format: TraceFormat,
}

/// Adds one.
pub(super) fn parse(props: &Props, config: &mut Config) -> Result<(), OptError> {
    if props.help_at().is_some() {
        config.show(Info::Help(HelpTopic::TraceEvents));
        return Ok(());
    }
    props.only("-trace", &["enable", "events", "file", "format"])?;
    let format = match props.one_of("format", &["text", "perfetto"])? {
        Some(found) if found.value == 1 => {
            if props.get("file").is_none() {
                return Err(OptError::missing("-trace format=perfetto", "'file'", found.at).with_help("add file=FILE"));
            }
            TraceFormat::Perfetto
        }
        _ => TraceFormat::Text,
    };
    config.traces.push(TraceOpt {
        enable: props.text("enable"),
        events: props.text("events"),
        file: props.text("file"),
        format,
    });
    Ok(())
}
