use super::image::{Header, ImageError, unpack, unpack_within};
use proptest::prelude::*;
use std::io::Write;

/// An image that consists of a header and some text.
pub(crate) fn image() -> Vec<u8> {
    let mut image = vec![0; 64];
    image[8..16].copy_from_slice(&0x20_0000u64.to_le_bytes());
    image[16..24].copy_from_slice(&0x12_3456u64.to_le_bytes());
    image[48..56].copy_from_slice(b"RISCV\0\0\0");
    image[56..60].copy_from_slice(b"RSC\x05");
    image.extend(b"the kernel ".repeat(1000));
    image
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zboot(payload: &[u8], method: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 128];
    file[..2].copy_from_slice(b"MZ");
    file[4..8].copy_from_slice(b"zimg");
    file[8..12].copy_from_slice(&128u32.to_le_bytes());
    file[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file[24..24 + method.len()].copy_from_slice(method);
    file.extend(payload);
    file
}

#[test]
fn every_packing_gives_the_same_kernel() {
    let zstd = ruzstd::encoding::compress_to_vec(&image()[..], ruzstd::encoding::CompressionLevel::Fastest);
    let packed = [
        image(),
        gzip(&image()),
        zboot(&gzip(&image()), b"gzip"),
        zboot(&[zstd, image().len().to_le_bytes().to_vec()].concat(), b"zstd"),
    ];
    for file in packed {
        let kernel = unpack(&file).unwrap();
        assert_eq!(kernel.contents, image());
        let expected = Header {
            text_offset: 0x20_0000,
            image_size: 0x12_3456,
        };
        assert_eq!(kernel.header, Some(expected));
    }
}

#[test]
fn what_cannot_be_unpacked_is_told() {
    assert_eq!(unpack(b"\x7fELF").unwrap().header, None);
    let lz4 = zboot(b"xx", b"lz4");
    assert_eq!(unpack(&lz4), Err(ImageError::Compression("lz4".into())));
    assert_eq!(unpack(&zboot(&gzip(b"no kernel"), b"gzip")), Err(ImageError::Foreign));
    let half = &gzip(&image())[..40];
    assert!(matches!(unpack(half), Err(ImageError::Damaged(_))));
    assert!(matches!(
        unpack(&zboot(&gzip(&image()), b"gzip")[..140]),
        Err(ImageError::Damaged(_))
    ));
    assert_eq!(unpack_within(&gzip(&[0; 1001]), 1000), Err(ImageError::Large));
    assert_eq!(unpack_within(&gzip(&[0; 1000]), 1000).unwrap().contents, [0; 1000]);
}

proptest! {
    #[test]
    fn no_bytes_upset_the_unpacker(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..3) {
        let file = match kind {
            0 => [&[0x1f, 0x8b, 8][..], &bytes].concat(),
            1 => zboot(&bytes, b"zstd"),
            _ => zboot(&bytes, b"gzip"),
        };
        let _ = unpack(&file);
    }
}
