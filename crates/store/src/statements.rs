//! The list of modules with statements, for the test that prepares every one on both engines.

/// The statements of each module. Add yours.
#[cfg_attr(not(test), expect(dead_code, reason = "read by the test"))]
pub(crate) const ALL: &[(&str, &[(&str, &str)])] = &[
    ("log", crate::log::STATEMENTS),
    ("sqlite", crate::sqlite::STATEMENTS),
    ("store", crate::store::STATEMENTS),
    ("users_no", crate::users_no::STATEMENTS),
];

#[cfg(test)]
mod tests;
