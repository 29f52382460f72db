//! Terms of the ACPI Machine Language (ACPI 6.5, chapter 20): each function gives the bytes of one.

use super::bytes::{guid, wide_text};

/// The bytes of a term.
pub(crate) type Aml = Vec<u8>;

const NAME: u8 = 0x08;
const BYTE: u8 = 0x0a;
const WORD: u8 = 0x0b;
const DWORD: u8 = 0x0c;
const STRING: u8 = 0x0d;
const QWORD: u8 = 0x0e;
const SCOPE: u8 = 0x10;
const BUFFER: u8 = 0x11;
const PACKAGE: u8 = 0x12;
const VAR_PACKAGE: u8 = 0x13;
const METHOD: u8 = 0x14;
const EXTENDED: u8 = 0x5b;
const DEVICE: u8 = 0x82;
const ARG0: u8 = 0x68;
const STORE: u8 = 0x70;
const AND: u8 = 0x7b;
const OR: u8 = 0x7d;
const CREATE_DWORD_FIELD: u8 = 0x8a;
const NOT: u8 = 0x92;
const EQUAL: u8 = 0x93;
const IF: u8 = 0xa0;
const ELSE: u8 = 0xa1;
const RETURN: u8 = 0xa4;

/// A name of up to four characters, perhaps with a root before it.
pub(crate) fn path(name: &str) -> Aml {
    let (root, segment) = name.strip_prefix('\\').map_or((false, name), |rest| (true, rest));
    let mut bytes = if root { vec![b'\\'] } else { Vec::new() };
    bytes.extend(segment.bytes().chain(std::iter::repeat(b'_')).take(4));
    bytes
}

pub(crate) fn int(value: u64) -> Aml {
    let (code, size) = match value {
        0 | 1 => return vec![value as u8],
        2..=0xff => (BYTE, 1),
        0x100..=0xffff => (WORD, 2),
        0x1_0000..=0xffff_ffff => (DWORD, 4),
        _ => (QWORD, 8),
    };
    let mut bytes = vec![code];
    bytes.extend_from_slice(&value.to_le_bytes()[..size]);
    bytes
}

pub(crate) fn text(text: &str) -> Aml {
    [&[STRING], text.as_bytes(), &[0]].concat()
}

/// A length that counts itself (20.2.4), and what it is the length of.
fn counted(contents: &[u8]) -> Vec<u8> {
    let n = contents.len();
    let size = match n {
        0..=0x3e => 1,
        0x3f..=0xffd => 2,
        0xffe..=0xf_fffc => 3,
        _ => 4,
    };
    let n = n + size;
    let mut bytes = match size {
        1 => vec![n as u8],
        _ => vec![((size - 1) << 6) as u8 | (n & 0xf) as u8],
    };
    bytes.extend((0..size - 1).map(|i| (n >> (4 + 8 * i)) as u8));
    bytes.extend_from_slice(contents);
    bytes
}

fn with(code: &[u8], contents: &[u8]) -> Aml {
    [code, &counted(contents)].concat()
}

pub(crate) fn buffer(bytes: &[u8]) -> Aml {
    with(&[BUFFER], &[&int(bytes.len() as u64), bytes].concat())
}

/// A text as a buffer of 16-bit characters.
pub(crate) fn unicode(text: &str) -> Aml {
    buffer(&wide_text(text))
}

/// A UUID as a buffer.
pub(crate) fn uuid(a: u32, b: u16, c: u16, rest: [u8; 8]) -> Aml {
    buffer(&guid(a, b, c, rest))
}

pub(crate) fn package(elements: &[Aml]) -> Aml {
    with(&[PACKAGE], &[&[elements.len() as u8], &*elements.concat()].concat())
}

/// A package that may have more elements than 255.
pub(crate) fn long_package(elements: &[Aml]) -> Aml {
    let count = int(elements.len() as u64);
    with(&[VAR_PACKAGE], &[count, elements.concat()].concat())
}

pub(crate) fn scope(name: &str, terms: &[Aml]) -> Aml {
    with(&[SCOPE], &[path(name), terms.concat()].concat())
}

pub(crate) fn device(name: &str, terms: &[Aml]) -> Aml {
    with(&[EXTENDED, DEVICE], &[path(name), terms.concat()].concat())
}

pub(crate) fn name(name: &str, value: &[u8]) -> Aml {
    [&[NAME], &*path(name), value].concat()
}

/// A method that does not exclude other calls of itself.
pub(crate) fn method(name: &str, args: u8, terms: &[Aml]) -> Aml {
    with(&[METHOD], &[path(name), vec![args], terms.concat()].concat())
}

pub(crate) fn arg(n: u8) -> Aml {
    vec![ARG0 + n]
}

pub(crate) fn returns(value: &[u8]) -> Aml {
    [&[RETURN], value].concat()
}

pub(crate) fn when(condition: &[u8], terms: &[Aml]) -> Aml {
    with(&[IF], &[condition, &terms.concat()].concat())
}

pub(crate) fn otherwise(terms: &[Aml]) -> Aml {
    with(&[ELSE], &terms.concat())
}

pub(crate) fn equal(a: &[u8], b: &[u8]) -> Aml {
    [&[EQUAL], a, b].concat()
}

pub(crate) fn not(a: &[u8]) -> Aml {
    [&[NOT], a].concat()
}

pub(crate) fn store(value: &[u8], to: &[u8]) -> Aml {
    [&[STORE], value, to].concat()
}

/// `target &= value`.
pub(crate) fn and_into(target: &[u8], value: &[u8]) -> Aml {
    [&[AND], target, value, target].concat()
}

/// `target |= value`.
pub(crate) fn or_into(target: &[u8], value: &[u8]) -> Aml {
    [&[OR], target, value, target].concat()
}

/// Gives a name to four bytes of a buffer.
pub(crate) fn dword_field(of: &[u8], offset: u64, name: &str) -> Aml {
    [&[CREATE_DWORD_FIELD], of, &int(offset), &path(name)].concat()
}
