//! See `tests/it/holds.rs`.
#![no_main]

#[path = "../../tests/it/holds.rs"]
#[expect(dead_code, reason = "each target uses its own function")]
mod holds;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holds::pdu(bytes));
