//! See `tests/it/holds_rules.rs`.
#![no_main]

#[path = "../../tests/it/dag.rs"]
#[expect(dead_code, reason = "made for the tests")]
mod dag;
#[path = "../../tests/it/holds_rules.rs"]
#[expect(dead_code, reason = "each target uses its own function")]
mod holds_rules;
mod state_res {
    #[path = "../../../tests/it/state_res/memory.rs"]
    #[expect(dead_code, reason = "made for the tests")]
    pub(crate) mod memory;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| holds_rules::resolution(bytes));
