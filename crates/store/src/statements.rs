//! The list of modules with statements, for the test that prepares every one on both engines.

/// The statements of each module. Add yours.
#[cfg_attr(not(test), expect(dead_code, reason = "read by the test"))]
pub(crate) const ALL: &[(&str, &[(&str, &str)])] = &[
    ("account_data", crate::account_data::STATEMENTS),
    ("accounts", crate::accounts::STATEMENTS),
    ("aliases", crate::aliases::STATEMENTS),
    ("auth_chains", crate::auth_chains::STATEMENTS),
    ("auth_chains::agreed", crate::auth_chains::agreed::STATEMENTS),
    ("auth_chains::check", crate::auth_chains::check::STATEMENTS),
    ("auth_chains::plan", crate::auth_chains::plan::STATEMENTS),
    ("auth_chains::reach", crate::auth_chains::reach::STATEMENTS),
    ("check", crate::check::STATEMENTS),
    ("copy", crate::copy::STATEMENTS),
    ("cursors", crate::cursors::STATEMENTS),
    ("devices", crate::devices::STATEMENTS),
    ("events", crate::events::STATEMENTS),
    ("filters", crate::filters::STATEMENTS),
    ("generation", crate::generation::STATEMENTS),
    ("log", crate::log::STATEMENTS),
    ("memberships", crate::memberships::STATEMENTS),
    ("missing_events", crate::missing_events::STATEMENTS),
    ("profiles", crate::profiles::STATEMENTS),
    ("receipts", crate::receipts::STATEMENTS),
    ("registration_tokens", crate::registration_tokens::STATEMENTS),
    ("remote_keys", crate::remote_keys::STATEMENTS),
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
    ("state_resets", crate::state_resets::STATEMENTS),
    ("store", crate::store::STATEMENTS),
    ("timeline", crate::timeline::STATEMENTS),
    ("transactions", crate::transactions::STATEMENTS),
    ("transactions::forget", crate::transactions::forget::STATEMENTS),
    ("user_directory", crate::user_directory::STATEMENTS),
    ("users_no", crate::users_no::STATEMENTS),
];

#[cfg(test)]
mod tests;
