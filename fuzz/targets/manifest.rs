//! Fuzzes manifests of bundles.

#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::panic_quietly(), |data: &[u8]| fuzz::manifest(data));
