//! The list of modules with statements, for the test that prepares every one on both engines.

/// The statements of each module. Add yours.
#[cfg_attr(not(test), expect(dead_code, reason = "read by the test"))]
pub(crate) const ALL: &[(&str, &[(&str, &str)])] = &[
    ("aliases", crate::aliases::STATEMENTS),
    ("events", crate::events::STATEMENTS),
    ("log", crate::log::STATEMENTS),
    ("memberships", crate::memberships::STATEMENTS),
    ("rooms", crate::rooms::STATEMENTS),
    ("sqlite", crate::sqlite::STATEMENTS),
    ("state", crate::state::STATEMENTS),
    ("store", crate::store::STATEMENTS),
    ("timeline", crate::timeline::STATEMENTS),
    ("transactions", crate::transactions::STATEMENTS),
    ("users_no", crate::users_no::STATEMENTS),
];

#[cfg(test)]
mod tests;
