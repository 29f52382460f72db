//! Seconds since 1970 as a date, UTC. A library for this one line would be larger than the program's tables of boards.

/// `YYYY-MM-DD HH:MM:SS`.
pub(crate) fn text(seconds: u64) -> String {
    let (y, m, d) = civil(seconds / 86_400);
    let s = seconds % 86_400;
    format!("{y:04}-{m:02}-{d:02} {:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// `YYYYMMDDhhmmss`.
pub(crate) fn digits(seconds: u64) -> String {
    text(seconds).chars().filter(char::is_ascii_digit).collect()
}

/// Year, month and day of a day since 1970, by counting in eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days.min(1 << 40) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, of_month)
}

/// Now.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_164_800, "2024-02-29 00:00:00"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (1_795_392_000, "2026-11-23 00:00:00"),
        ] {
            assert_eq!(super::text(seconds), date);
        }
        assert_eq!(super::digits(0), "19700101000000");
        let _ = super::text(u64::MAX);
    }
}
