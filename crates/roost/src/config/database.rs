//! `[database]`

use super::schema::{choice, section};

choice! {
    /// When a change counts as kept.
    Durability {
        /// It is on the disk.
        Full = "full",
        /// It survives a killed process, but maybe not a power cut.
        Process = "process",
    }
}

section! {
    /// Where accounts, rooms and events are kept.
    Database in "database" {
        /// `sqlite:FILE`, where FILE is relative to `data_dir`, or `postgres://user:password@host/database`.
        url: String = "sqlite:roost.db".to_owned();
        /// "full": on the disk before the answer; "process": survives a killed process, but maybe not a power cut.
        durability: Durability = Durability::Full;
        /// How many snapshots can be read at once.
        readers: u32 = 4;
    }
}
