//! How much guests of a folder may read and write in a second (`throttling.*`): leaky buckets, as QEMU has them.
//!
//! A limit is a bucket. What is asked for fills it, and it runs out at the limit's rate; a request waits until what was asked for before it
//! has run out as far as the bucket is large. That is a tenth of a second's worth, or the whole of a burst. Each bucket has a time of its
//! own, which is when the last request could begin: so a request is put on its place in time at once, and nobody has to ask again.
//! What it is not: a clock. Times are seconds since whenever.

use southbridge_core::Properties;

use crate::error::FsError;

/// The largest rate; QEMU's number.
const MOST: u64 = 1_000_000_000_000_000;

/// Which way data go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Read,
    Write,
}

#[derive(Debug, Clone, PartialEq)]
struct Bucket {
    /// Units a second.
    average: f64,
    /// Units a second in a burst; 0 for none.
    burst: f64,
    /// Seconds of a burst.
    seconds: f64,
    level: f64,
    burst_level: f64,
    /// When the last request could begin.
    last: f64,
}

impl Bucket {
    /// When something of so many units may begin.
    fn reserve(&mut self, now: f64, units: f64) -> f64 {
        let at = now.max(self.last);
        self.leak(at - self.last);
        let start = at + self.wait();
        self.leak(start - at);
        self.last = start;
        self.level += units;
        self.burst_level += units;
        start
    }

    fn leak(&mut self, seconds: f64) {
        self.level = (self.level - self.average * seconds).max(0.0);
        self.burst_level = (self.burst_level - self.burst * seconds).max(0.0);
    }

    fn wait(&self) -> f64 {
        if self.burst == 0.0 {
            return (self.level - self.average / 10.0).max(0.0) / self.average;
        }
        let over = self.level - self.burst * self.seconds;
        match self.burst_level - self.burst / 10.0 {
            _ if over > 0.0 => over / self.average,
            over if self.seconds > 1.0 && over > 0.0 => over / self.burst,
            _ => 0.0,
        }
    }
}

/// All limits of a folder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Throttle {
    /// Bytes: of all, read, written.
    bytes: [Option<Bucket>; 3],
    /// Requests, likewise.
    requests: [Option<Bucket>; 3],
    /// A request of more bytes counts as several; 0 for never.
    request_size: u64,
}

/// For bytes and requests, of all, read and written: the rate, that of a burst, and a burst's seconds.
const ITS: [[[&str; 3]; 3]; 2] = [
    [
        [
            "throttling.bps-total",
            "throttling.bps-total-max",
            "throttling.bps-total-max-length",
        ],
        [
            "throttling.bps-read",
            "throttling.bps-read-max",
            "throttling.bps-read-max-length",
        ],
        [
            "throttling.bps-write",
            "throttling.bps-write-max",
            "throttling.bps-write-max-length",
        ],
    ],
    [
        [
            "throttling.iops-total",
            "throttling.iops-total-max",
            "throttling.iops-total-max-length",
        ],
        [
            "throttling.iops-read",
            "throttling.iops-read-max",
            "throttling.iops-read-max-length",
        ],
        [
            "throttling.iops-write",
            "throttling.iops-write-max",
            "throttling.iops-write-max-length",
        ],
    ],
];
const REQUEST_SIZE: &str = "throttling.iops-size";

fn conflict<T>(option: &'static str, why: impl Into<String>) -> Result<T, FsError> {
    let why = why.into();
    Err(FsError::Conflict { option, why })
}

fn bucket([average, burst, seconds]: [&'static str; 3], options: &Properties) -> Result<Option<Bucket>, FsError> {
    let value = |option: &'static str, least: u64, default: u64| match options.opt_uint(option) {
        None => Ok(default),
        Some(n) if (least..=MOST).contains(&n) => Ok(n),
        Some(n) => Err(FsError::BadValue {
            option: option.into(),
            value: n.to_string(),
            expected: format!("a number from {least} to {MOST}"),
        }),
    };
    let (rate, most, long) = (value(average, 0, 0)?, value(burst, 0, 0)?, value(seconds, 1, 1)?);
    if long > 1 && most == 0 {
        return conflict(seconds, format!("is nothing without '{burst}'"));
    }
    if most > 0 && rate == 0 {
        return conflict(burst, format!("is nothing without '{average}'"));
    }
    if most > 0 && most < rate {
        return conflict(burst, format!("cannot be lower than '{average}'"));
    }
    if most.checked_mul(long).is_none_or(|n| n > MOST) {
        return conflict(seconds, format!("is too long for '{burst}'"));
    }
    Ok((rate > 0).then_some(Bucket {
        average: rate as f64,
        burst: most as f64,
        seconds: long as f64,
        level: 0.0,
        burst_level: 0.0,
        last: 0.0,
    }))
}

impl Throttle {
    /// The limits that options say; `None` if there is none.
    ///
    /// # Errors
    /// Names the option that is wrong, or does not go with another one.
    pub(crate) fn of(options: &Properties) -> Result<Option<Self>, FsError> {
        let mut limits = [const { [const { None }; 3] }; 2];
        for (row, names) in limits.iter_mut().zip(ITS) {
            for (place, its) in row.iter_mut().zip(names) {
                *place = bucket(its, options)?;
            }
            let own = row[1..].iter().position(Option::is_some);
            if let Some(own) = own.filter(|_| row[0].is_some()) {
                return conflict(names[1 + own][0], format!("does not go with '{}'", names[0][0]));
            }
        }
        let [bytes, requests] = limits;
        let request_size = options.opt_uint(REQUEST_SIZE).unwrap_or(0);
        if request_size > 0 && requests.iter().all(Option::is_none) {
            return conflict(REQUEST_SIZE, "is nothing without a limit of requests");
        }
        let any = bytes.iter().chain(&requests).any(Option::is_some);
        Ok(any.then_some(Self {
            bytes,
            requests,
            request_size,
        }))
    }

    /// When a request may begin that comes `now`; in seconds. It counts from then on.
    pub(crate) fn reserve(&mut self, way: Way, bytes: u64, now: f64) -> f64 {
        let own = if way == Way::Read { 1 } else { 2 };
        let requests = match self.request_size {
            0 => 1.0,
            size => (bytes as f64 / size as f64).max(1.0),
        };
        let mut start = now;
        for (row, units) in [(&mut self.bytes, bytes as f64), (&mut self.requests, requests)] {
            for place in [0, own] {
                if let Some(bucket) = &mut row[place] {
                    start = bucket.reserve(now, units).max(start);
                }
            }
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{find, parse};

    fn of(text: &str) -> Result<Option<Throttle>, FsError> {
        let pairs = text.split(',').filter_map(|p| p.split_once('='));
        let names: Vec<(String, &str)> = pairs.map(|(n, v)| (format!("throttling.{n}"), v)).collect();
        let pairs = names.iter().map(|(n, v)| (n.as_str(), *v));
        Throttle::of(&parse(find("local")?, pairs)?)
    }

    /// When requests may begin that all come at the same time.
    fn starts(text: &str, way: Way, bytes: u64, count: usize) -> Vec<f64> {
        let mut t = of(text).unwrap().unwrap();
        (0..count).map(|_| t.reserve(way, bytes, 100.0) - 100.0).collect()
    }

    fn is_near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn without_limits_there_is_nothing() {
        assert_eq!(of("").unwrap(), None);
        assert_eq!(of("bps-total=0,iops-read=0").unwrap(), None);
    }

    #[test]
    fn a_rate_is_kept_over_time() {
        let s = starts("bps-total=1000", Way::Read, 500, 21);
        // The first finds an empty bucket; each after it waits for the one before to run out to a tenth of a second's worth.
        let expected = |n: usize| if n == 0 { 0.0 } else { 0.5 * n as f64 - 0.1 };
        assert!(s.iter().enumerate().all(|(n, at)| is_near(*at, expected(n))), "{s:?}");
    }

    #[test]
    fn ways_have_limits_of_their_own() {
        let mut t = of("bps-read=1000,iops-write=10").unwrap().unwrap();
        for n in 0..4 {
            assert_eq!(t.reserve(Way::Read, 100, 0.0), t.bytes[1].as_ref().unwrap().last, "{n}");
        }
        assert!(t.reserve(Way::Read, 1, 0.0) > 0.2);
        assert!(is_near(t.reserve(Way::Write, 1 << 30, 0.0), 0.0), "no limit of bytes");
        assert!(is_near(t.reserve(Way::Write, 0, 0.0), 0.0));
        assert!(is_near(t.reserve(Way::Write, 0, 0.0), 0.1));
    }

    #[test]
    fn a_burst_comes_first() {
        let s = starts("iops-total=10,iops-total-max=100", Way::Write, 0, 111);
        assert!(s[..=100].iter().all(|at| is_near(*at, 0.0)), "a hundred at once");
        assert!(is_near(s[110], 1.0), "then ten a second: {}", s[110]);
        let s = starts(
            "iops-total=10,iops-total-max=100,iops-total-max-length=2",
            Way::Write,
            0,
            100,
        );
        assert!(
            is_near(s[10], 0.0) && is_near(s[99], 0.89),
            "a hundred a second: {} {}",
            s[10],
            s[99]
        );
    }

    #[test]
    fn a_large_request_can_count_as_several() {
        let s = starts("iops-total=10,iops-size=4096", Way::Read, 40960, 3);
        assert!(is_near(s[1], 0.9) && is_near(s[2], 1.9), "{s:?}");
    }

    #[test]
    fn a_pause_is_not_saved_up() {
        let mut t = of("bps-total=1000").unwrap().unwrap();
        t.reserve(Way::Read, 500, 0.0);
        assert!(is_near(t.reserve(Way::Read, 500, 1000.0), 1000.0));
        assert!(is_near(t.reserve(Way::Read, 500, 1000.0), 1000.4));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, why) in [
            (
                "bps-total=1,bps-write=1",
                "'throttling.bps-write' does not go with 'throttling.bps-total'",
            ),
            (
                "iops-total=1,iops-read=1",
                "'throttling.iops-read' does not go with 'throttling.iops-total'",
            ),
            (
                "bps-read-max=5",
                "'throttling.bps-read-max' is nothing without 'throttling.bps-read'",
            ),
            (
                "bps-read=5,bps-read-max=4",
                "'throttling.bps-read-max' cannot be lower than 'throttling.bps-read'",
            ),
            (
                "bps-read=5,bps-read-max-length=4",
                "'throttling.bps-read-max-length' is nothing without 'throttling.bps-read-max'",
            ),
            (
                "bps-read=5,bps-read-max-length=0",
                "throttling.bps-read-max-length=0: expected a number from 1 to 1000000000000000",
            ),
            (
                "bps-read=5,bps-read-max=1000000000000000,bps-read-max-length=2",
                "'throttling.bps-read-max-length' is too long for 'throttling.bps-read-max'",
            ),
            (
                "iops-size=1",
                "'throttling.iops-size' is nothing without a limit of requests",
            ),
            (
                "bps-total=1000000000000001",
                "throttling.bps-total=1000000000000001: expected a number from 0 to 1000000000000000",
            ),
            ("bps-total=many", "throttling.bps-total=many: expected a number"),
            ("bps=1", "'local' has no option 'throttling.bps'"),
        ] {
            let e = of(text).unwrap_err().to_string();
            assert!(e.starts_with(why), "{text}: {e}");
        }
    }
}
