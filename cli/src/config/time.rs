//! `-icount`, `-pace`, `-rtc`: how the guest's time runs.

use crate::argv::RawOption;
use crate::error::{OptError, alternatives};
use crate::keyval::Props;
use crate::keyval::value::parse_u64;
use crate::location::Located;

/// Virtual time per instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// 2^N ns, N from 0 to 10.
    Fixed(u8),
    /// So that virtual time keeps up with the wall.
    Auto,
}

/// `-icount`, with the meaning that QEMU gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcountOpt {
    /// Time per instruction.
    pub shift: Located<Shift>,
    /// Slow down to the wall clock where virtual time runs ahead.
    pub align: bool,
    /// Whether waiting in the guest takes as long on the wall; off skips it.
    pub sleep: bool,
    /// `rr` and `rrfile`.
    pub rr: Option<RecordReplay>,
}

/// What comes from outside goes to a file, or comes from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordReplay {
    /// From it.
    pub replay: bool,
    /// The file.
    pub file: Located<String>,
}

impl RecordReplay {
    fn parse(props: &Props) -> Result<Option<Self>, OptError> {
        if let Some(entry) = props.get("rrsnapshot") {
            return Err(OptError::not_yet("-icount rrsnapshot=", entry.key_at.clone()));
        }
        match (props.one_of("rr", &["record", "replay"])?, props.text("rrfile")) {
            (None, None) => Ok(None),
            (Some(mode), Some(file)) => Ok(Some(Self {
                replay: mode.value == 1,
                file,
            })),
            (Some(mode), None) => Err(OptError::missing("-icount rr=", "'rrfile'", mode.at)),
            (None, Some(file)) => Err(OptError::missing("-icount rrfile=", "'rr'", file.at)),
        }
    }
}

/// What can only be seen when all options are known.
pub(super) fn check(config: &super::Config) -> Result<(), OptError> {
    let rr = config.icount.as_ref().and_then(|i| i.rr.as_ref());
    match (&config.incoming, &config.loadvm, rr) {
        (Some(incoming), Some(_), _) => Err(OptError::conflict("-incoming", "-loadvm", incoming.at.clone())),
        (Some(incoming), _, Some(_)) => Err(OptError::conflict("-incoming", "-icount rr=", incoming.at.clone())),
        (_, Some(loadvm), Some(_)) => Err(OptError::conflict("-loadvm", "-icount rr=", loadvm.at.clone())),
        _ => Ok(()),
    }
}

/// QEMU's largest shift.
const MAX_SHIFT: u64 = 10;

impl IcountOpt {
    pub(super) fn parse(props: &Props) -> Result<Self, OptError> {
        props.only("-icount", &["shift", "align", "sleep", "rr", "rrfile", "rrsnapshot"])?;
        let rr = RecordReplay::parse(props)?;
        let expected = "a number from 0 to 10, or auto";
        let shift = props.read("shift", expected, |text| match text {
            "auto" => Some(Shift::Auto),
            number => parse_u64(number)
                .filter(|n| *n <= MAX_SHIFT)
                .map(|n| Shift::Fixed(n as u8)),
        })?;
        let shift = shift.ok_or_else(|| OptError::missing("-icount", "'shift'", props.at()))?;
        let align = props.switch("align")?;
        let sleep = props.switch("sleep")?;
        let aligned = align.as_ref().is_some_and(|a| a.value);
        let sleeps = sleep.as_ref().is_none_or(|s| s.value);
        let excluded = match (aligned, sleeps, shift.value) {
            (true, false, _) => Some(("'align=on'", "'sleep=off'", &align)),
            (true, _, Shift::Auto) => Some(("'align=on'", "'shift=auto'", &align)),
            (_, false, Shift::Auto) => Some(("'sleep=off'", "'shift=auto'", &sleep)),
            _ => None,
        };
        match excluded {
            Some((this, other, at)) => {
                let at = at.as_ref().map_or_else(|| props.at(), |a| a.at.clone());
                Err(OptError::conflict(this, other, at))
            }
            None => Ok(Self {
                shift,
                align: aligned,
                sleep: sleeps,
                rr,
            }),
        }
    }
}

/// `-pace`: how virtual time relates to the wall clock. Not in QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Busy guests run freely; waiting lasts as long as it says in the guest.
    Idle,
    /// Waiting is skipped.
    Skip,
    /// Virtual time follows the wall clock.
    Wall,
}

pub(super) fn pace(option: &RawOption) -> Result<Located<Pace>, OptError> {
    const WORDS: [(&str, Pace); 3] = [("idle", Pace::Idle), ("skip", Pace::Skip), ("wall", Pace::Wall)];
    let text = &option.source.text;
    match WORDS.iter().find(|(word, _)| word == text) {
        Some((_, pace)) => Ok(Located::new(*pace, option.at_argument())),
        None => {
            let words = WORDS.map(|(w, _)| w);
            Err(OptError::bad_value(
                None,
                text,
                alternatives(&words),
                option.at_argument(),
            ))
        }
    }
}

/// Where the guest's date begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RtcBase {
    /// The host's date, UTC.
    #[default]
    Utc,
    /// The host's date, local time.
    LocalTime,
    /// This many seconds after 1970-01-01 00:00:00, by the guest's own reckoning.
    At(i64),
}

/// What moves the guest's date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RtcClock {
    /// The host's clock, with its corrections.
    #[default]
    Host,
    /// The host's monotonic clock.
    Realtime,
    /// Virtual time.
    Virtual,
}

/// `-rtc`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RtcOpt {
    /// Where the date begins.
    pub base: RtcBase,
    /// What moves it; `None` where the user did not say, so that a deterministic machine may choose virtual time.
    pub clock: Option<RtcClock>,
    /// `driftfix=slew`: make up for lost ticks (PC only).
    pub slew: bool,
}

impl RtcOpt {
    pub(super) fn parse(props: &Props) -> Result<Self, OptError> {
        props.only("-rtc", &["base", "clock", "driftfix"])?;
        let expected = "utc, localtime, or a date like 2006-06-17T16:01:21 or 2006-06-17";
        let base = props.read("base", expected, |text| match text {
            "utc" => Some(RtcBase::Utc),
            "localtime" => Some(RtcBase::LocalTime),
            date => parse_date(date).map(RtcBase::At),
        })?;
        let clocks = [RtcClock::Host, RtcClock::Realtime, RtcClock::Virtual];
        let clock = props
            .one_of("clock", &["host", "rt", "vm"])?
            .and_then(|i| clocks.get(i.value).copied());
        let slew = props
            .one_of("driftfix", &["none", "slew"])?
            .is_some_and(|i| i.value == 1);
        Ok(Self {
            base: base.map_or(RtcBase::Utc, |b| b.value),
            clock,
            slew,
        })
    }
}

/// `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SS` as seconds since 1970.
fn parse_date(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "0:0:0"));
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(time, ':')?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let in_range = (1..=9999).contains(&year) && (1..=days_in).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970-01-01 with the year counted from March, so that the leap day comes last.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let shifted_month = (month + 9) % 12;
    let days = 365 * shifted_year + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = days + (153 * shifted_month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn three(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let digits = !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<i64>().ok()).flatten()
    });
    let all = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(all)
}
