//! The list of modules with statements, for the test that prepares every one on both engines.

/// The statements of each module. Add yours.
#[cfg_attr(not(test), expect(dead_code, reason = "read by the test"))]
pub(crate) const ALL: &[(&str, &[(&str, &str)])] = &[
    ("account_data", crate::account_data::STATEMENTS),
    ("accounts", crate::accounts::STATEMENTS),
    ("devices", crate::devices::STATEMENTS),
    ("filters", crate::filters::STATEMENTS),
    ("log", crate::log::STATEMENTS),
    ("profiles", crate::profiles::STATEMENTS),
    ("receipts", crate::receipts::STATEMENTS),
    ("registration_tokens", crate::registration_tokens::STATEMENTS),
    ("sessions", crate::sessions::STATEMENTS),
    ("sqlite", crate::sqlite::STATEMENTS),
    ("store", crate::store::STATEMENTS),
    ("users_no", crate::users_no::STATEMENTS),
];

#[cfg(test)]
mod tests;
