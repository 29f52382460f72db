//! Numbers as QEMU's tools take them: `4194304`, `0x400000`, `4096K`, `4M`, `0.5G`.

/// Bytes. Suffixes `B K M G T P E` in either case are powers of 1024; fractions need one above `B`.
///
/// # Errors
/// One line that quotes the text and says what would be right.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    parse(text).ok_or_else(|| {
        format!("'{text}' is no size: a number of bytes, or with a suffix K, M, G, T, P or E, such as 4M, is needed")
    })
}

/// A whole number, decimal or `0x` hexadecimal.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => all(hex, |c| c.is_ascii_hexdigit()).and_then(|hex| u64::from_str_radix(hex, 16).ok()),
        None => all(text, |c| c.is_ascii_digit()).and_then(|text| text.parse().ok()),
    }
}

fn all(text: &str, fits: impl Fn(&char) -> bool) -> Option<&str> {
    (!text.is_empty() && text.chars().all(|c| fits(&c))).then_some(text)
}

fn parse(text: &str) -> Option<u64> {
    if let Some(plain) = number(text) {
        return Some(plain);
    }
    let suffix = text.chars().next_back()?;
    let shift = 10 * "BKMGTPE".find(suffix.to_ascii_uppercase())? as u32;
    let value = text.strip_suffix(suffix)?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let whole = number(all(whole, char::is_ascii_digit)?)?.checked_mul(1 << shift)?;
    if fraction.is_empty() {
        return (!value.contains('.')).then_some(whole);
    }
    let digits = all(fraction, char::is_ascii_digit).filter(|digits| digits.len() <= 9 && shift > 0)?;
    let scaled = u128::from(number(digits)?) << shift;
    let part = scaled / 10u128.pow(u32::try_from(digits.len()).ok()?);
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("1", 1),
            ("0x1000", 4096),
            ("1B", 1),
            ("4K", 4096),
            ("4k", 4096),
            ("4M", 4 << 20),
            ("1.5G", 3 << 29),
            ("15E", 15 << 60),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in [
            "", "M", "4X", "-1", "+1", "1.M", ".5M", "1.5", "1.5B", "16E", "0x", "4 M", "4MM", "1é",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
