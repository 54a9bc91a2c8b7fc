//! The target `sip` under libFuzzer; see `fuzz/src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| handset_fuzz::sip(bytes));
