//! `[passwords]`

use super::schema::section;

section! {
    /// How much work a password hash (argon2id) is. Changes apply to passwords set from then on.
    Passwords in "passwords" {
        /// Memory for one hash, in KiB.
        memory_kib: u32 = 19_456;
        /// Passes over the memory.
        iterations: u32 = 2;
        /// How many passwords are hashed at once; 0: one for each core.
        threads: u32 = 0;
    }
}
