//! See `tests/it/holds_rules.rs`.
#![no_main]

#[path = "../../tests/it/dag.rs"]
#[expect(dead_code, reason = "made for the tests")]
mod dag;
#[path = "../../tests/it/holds_rules.rs"]
#[expect(dead_code, reason = "each target uses its own function")]
mod holds_rules;
#[path = "../../tests/it/state_res/memory.rs"]
mod memory;
mod state_res {
    pub(crate) use super::memory;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holds_rules::auth(bytes));
