//! Hexadecimal digits, two a byte.

/// Bytes as digits.
pub fn to_hex(data: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(2 * data.len());
    for byte in data {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// Digits as bytes; `None` if there is an odd number of them or something else among them.
pub fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks(2).map(|d| Some(digit(d[0])? << 4 | digit(d[1])?)).collect()
}

/// The value of one digit.
pub(crate) fn digit(c: u8) -> Option<u8> {
    char::from(c).to_digit(16).map(|d| d as u8)
}

/// A number of at most 64 bits, most significant digit first.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter()
        .try_fold(0, |n: u64, c| Some(n << 4 | u64::from(digit(*c)?)))
}
