//! The target `well_formed` under libFuzzer; see `fuzz/src/lib.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| handset_fuzz::well_formed(bytes));
