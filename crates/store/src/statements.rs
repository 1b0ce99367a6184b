//! The list of modules with statements, for the test that prepares every one on both engines.

/// The statements of each module. Add yours.
#[cfg_attr(not(test), expect(dead_code, reason = "read by the test"))]
pub(crate) const ALL: &[(&str, &[(&str, &str)])] = &[
    ("account_data", crate::account_data::STATEMENTS),
    ("accounts", crate::accounts::STATEMENTS),
    ("aliases", crate::aliases::STATEMENTS),
    ("copy", crate::copy::STATEMENTS),
    ("cursors", crate::cursors::STATEMENTS),
    ("devices", crate::devices::STATEMENTS),
    ("events", crate::events::STATEMENTS),
    ("filters", crate::filters::STATEMENTS),
    ("generation", crate::generation::STATEMENTS),
    ("identity_accounts", crate::identity_accounts::STATEMENTS),
    ("identity_associations", crate::identity_associations::STATEMENTS),
    ("identity_invites", crate::identity_invites::STATEMENTS),
    ("identity_keys", crate::identity_keys::STATEMENTS),
    ("identity_peppers", crate::identity_peppers::STATEMENTS),
    ("identity_sessions", crate::identity_sessions::STATEMENTS),
    ("log", crate::log::STATEMENTS),
    ("memberships", crate::memberships::STATEMENTS),
    ("openid_tokens", crate::openid_tokens::STATEMENTS),
    ("profiles", crate::profiles::STATEMENTS),
    ("receipts", crate::receipts::STATEMENTS),
    ("registration_tokens", crate::registration_tokens::STATEMENTS),
    ("rooms", crate::rooms::STATEMENTS),
    ("sessions", crate::sessions::STATEMENTS),
    ("server_keys", crate::server_keys::STATEMENTS),
    ("sqlite", crate::sqlite::STATEMENTS),
    ("state", crate::state::STATEMENTS),
    ("state_map", crate::state_map::STATEMENTS),
    ("state_map::cache", crate::state_map::cache::STATEMENTS),
    ("state_map::keys", crate::state_map::keys::STATEMENTS),
    ("state_map::plan", crate::state_map::plan::STATEMENTS),
    ("state_map::reclaim", crate::state_map::reclaim::STATEMENTS),
    ("state_map::set_hash", crate::state_map::set_hash::STATEMENTS),
    ("store", crate::store::STATEMENTS),
    ("timeline", crate::timeline::STATEMENTS),
    ("transactions", crate::transactions::STATEMENTS),
    ("user_directory", crate::user_directory::STATEMENTS),
    ("users_no", crate::users_no::STATEMENTS),
];

#[cfg(test)]
mod tests;
