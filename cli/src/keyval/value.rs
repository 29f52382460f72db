//! Readers for the kinds of value that QEMU's options take: switches, numbers, sizes, ids.
//!
//! Each gives `None` for a text that is not of its kind; the caller knows the key and makes the error, with the
//! `EXPECT_…` text of this module for "it takes …". Rules as in QEMU 10's `util/cutils.c` and `qapi` bool parser.

/// For the error of [`parse_bool`].
pub const EXPECT_BOOL: &str = "on or off (also yes or no, true or false)";
/// For the error of [`parse_u64`].
pub const EXPECT_NUMBER: &str = "a number: decimal, 0x... hexadecimal, or 0... octal";
/// For the error of [`parse_i64`].
pub const EXPECT_SIGNED: &str = "a number, which may be negative: decimal, 0x... hexadecimal, or 0... octal";
/// For the error of [`parse_size`].
pub const EXPECT_SIZE: &str = "a size below 2^64 bytes: a number with B, K, M, G, T, P or E, such as 64K or 1.5M";
/// For the error of [`is_id`].
pub const EXPECT_ID: &str = "a name: a letter, then letters, digits, '-', '.' or '_'";

/// `on`, `yes`, `true`, `y` and their opposites.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    }
}

/// Decimal, `0x` hexadecimal or leading-zero octal.
pub fn parse_u64(text: &str) -> Option<u64> {
    let (digits, radix) = radix_of(text);
    // from_str_radix would take a sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// The same with an optional minus sign.
pub fn parse_i64(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(magnitude) => 0i64.checked_sub_unsigned(parse_u64(magnitude)?),
        None => parse_u64(text)?.try_into().ok(),
    }
}

fn radix_of(text: &str) -> (&str, u32) {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return (hex, 16);
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => (octal, 8),
        _ => (text, 10),
    }
}

/// What a size without suffix counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, as nearly everywhere.
    Byte,
    /// MiB, as for `-m`.
    Mebibyte,
}

/// A size in bytes: `4096`, `0x1000`, `64k`, `1.5G`, `.5M`. Suffixes are powers of 1024 in either case.
///
/// A fraction needs a suffix larger than B and is rounded to the nearest byte, half upward. Hexadecimal takes neither
/// suffix nor fraction, and a leading zero does not mean octal.
pub fn parse_size(text: &str, unit: Unit) -> Option<u64> {
    let default = match unit {
        Unit::Byte => 0,
        Unit::Mebibyte => 20,
    };
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let plain = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let value = plain.then(|| u64::from_str_radix(hex, 16).ok()).flatten()?;
        return value.checked_mul(1 << default);
    }
    let (number, shift) = match text
        .char_indices()
        .next_back()
        .and_then(|(at, c)| Some((at, suffix_shift(c)?)))
    {
        Some((at, shift)) => (&text[..at], shift),
        None => (text, default),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let bytes = u128::from(whole)
        .checked_shl(shift)?
        .checked_add(fraction_bytes(fraction, shift)?)?;
    bytes.try_into().ok()
}

/// 0.`digits` of a unit of 2^`shift` bytes, rounded.
fn fraction_bytes(digits: &str, shift: u32) -> Option<u128> {
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    if shift == 0 {
        return None;
    }
    // 19 decimal digits are finer than a byte of an exabyte; more change nothing.
    let digits = &digits[..digits.len().min(19)];
    let scale = 10u128.pow(digits.len() as u32);
    let numerator: u128 = digits.parse().ok()?;
    Some(((numerator << shift) + scale / 2) / scale)
}

fn suffix_shift(c: char) -> Option<u32> {
    let order = "BKMGTPE".find(c.to_ascii_uppercase())?;
    Some(order as u32 * 10)
}

/// Whether a text can be the id of something.
pub fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}
