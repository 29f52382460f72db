//! See `southbridge_fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| southbridge_fuzz::virtio_rings(data));
