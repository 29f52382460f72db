//! Bytes as text: hexadecimal, and base64 (RFC 4648, section 4).

/// Two digits a byte.
pub fn hex(data: &[u8]) -> String {
    let digit = |n: u8| char::from(b"0123456789abcdef"[usize::from(n)]);
    data.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// A last odd digit is not used, as in QEMU. `None` for anything but digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |c: &u8| char::from(*c).to_digit(16).map(|d| d as u8);
    text.as_bytes()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[a, b]| Some(nibble(a)? << 4 | nibble(b)?))
        .collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding.
pub fn base64(data: &[u8]) -> String {
    let mut out = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (n >> (18 - 6 * i) & 63) as usize;
            out.push(if i <= chunk.len() {
                char::from(ALPHABET[sextet])
            } else {
                '='
            });
        }
    }
    out
}

/// Padding is optional. `None` for other characters.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.chunks(4) {
        let mut n = 0u32;
        for c in chunk {
            n = n << 6 | ALPHABET.iter().position(|a| a == c)? as u32;
        }
        n <<= 6 * (4 - chunk.len());
        out.extend_from_slice(&n.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}
