//! Kernels as distributions ship them: the RISC-V `Image`, also compressed with gzip, also as an EFI application that unpacks itself.
//!
//! Formats: Linux, `Documentation/arch/riscv/boot-image-header.rst`; for compressed EFI images `drivers/firmware/efi/libstub/zboot-header.S`.

use std::io::Read;
use thiserror::Error;

/// Most that is unpacked, in bytes: no kernel is larger, and a hostile file must not eat the host.
pub const MAX_UNPACKED: u64 = 1 << 29;

/// Why a file is no kernel image, although it looks like one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The compressed data are damaged.
    #[error("the compressed kernel is damaged: {0}")]
    Damaged(String),
    /// It would be larger than any kernel.
    #[error("the compressed kernel unpacks to more than {MAX_UNPACKED} bytes")]
    Large,
    /// Compressed with something else.
    #[error("the EFI image is compressed with '{0}'; gzip and zstd are understood")]
    Compression(String),
    /// For another processor.
    #[error("the EFI image has no RISC-V kernel inside")]
    Foreign,
}

/// A kernel in the form in which it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// What goes into memory; perhaps an ELF file.
    pub contents: Vec<u8>,
    /// What its header says, if it is an `Image`.
    pub header: Option<Header>,
}

/// What the header of an `Image` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Where it wants to be, counted from the start of memory, in bytes.
    pub text_offset: u64,
    /// Bytes that it needs there, zeroed data included; 0 if it does not say.
    pub image_size: u64,
}

const GZIP: &[u8] = &[0x1f, 0x8b, 8];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Unpacks a kernel, if it is packed.
///
/// # Errors
/// When it is packed and cannot be unpacked.
pub fn unpack(file: &[u8]) -> Result<Kernel, ImageError> {
    unpack_within(file, MAX_UNPACKED)
}

pub(super) fn unpack_within(file: &[u8], limit: u64) -> Result<Kernel, ImageError> {
    let zboot = file.starts_with(b"MZ") && file.get(4..8) == Some(b"zimg");
    let contents = if zboot {
        let inner = unpack_zboot(file, limit)?;
        if header(&inner).is_none() {
            return Err(ImageError::Foreign);
        }
        inner
    } else if file.starts_with(GZIP) {
        gunzip(file, limit)?
    } else {
        file.to_vec()
    };
    Ok(Kernel {
        header: header(&contents),
        contents,
    })
}

fn unpack_zboot(file: &[u8], limit: u64) -> Result<Vec<u8>, ImageError> {
    let damaged = || ImageError::Damaged("it is truncated".into());
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize);
    let (start, len) = word(8).zip(word(12)).ok_or_else(damaged)?;
    let payload = start
        .checked_add(len)
        .and_then(|end| file.get(start..end))
        .ok_or_else(damaged)?;
    let name = file.get(24..56).ok_or_else(damaged)?;
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    match name {
        b"gzip" => gunzip(payload, limit),
        b"zstd" | b"zstd22" => unzstd(payload, limit),
        // The name of the method once stood elsewhere; the data say for themselves what they are.
        _ if payload.starts_with(GZIP) => gunzip(payload, limit),
        _ if payload.starts_with(ZSTD) => unzstd(payload, limit),
        other => Err(ImageError::Compression(String::from_utf8_lossy(other).into_owned())),
    }
}

fn gunzip(packed: &[u8], limit: u64) -> Result<Vec<u8>, ImageError> {
    read_bounded(flate2::read::GzDecoder::new(packed), limit)
}

fn unzstd(packed: &[u8], limit: u64) -> Result<Vec<u8>, ImageError> {
    let decoder = ruzstd::decoding::StreamingDecoder::new(packed);
    read_bounded(decoder.map_err(|e| ImageError::Damaged(e.to_string()))?, limit)
}

fn read_bounded(from: impl Read, limit: u64) -> Result<Vec<u8>, ImageError> {
    let mut out = Vec::new();
    from.take(limit.saturating_add(1))
        .read_to_end(&mut out)
        .map_err(|e| ImageError::Damaged(e.to_string()))?;
    if out.len() as u64 > limit {
        return Err(ImageError::Large);
    }
    Ok(out)
}

fn header(image: &[u8]) -> Option<Header> {
    let long = |at: usize| Some(u64::from_le_bytes(image.get(at..at + 8)?.try_into().ok()?));
    if image.get(56..60)? != b"RSC\x05" {
        return None;
    }
    Some(Header {
        text_offset: long(8)?,
        image_size: long(16)?,
    })
}
