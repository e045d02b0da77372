//! Fuzzes URIs.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::panic_quietly(), |data: &[u8]| fuzz::uri(data));
