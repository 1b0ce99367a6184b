//! Everything Roost keeps: the only crate that speaks SQL.
//!
//! A [`Store`] runs on SQLite or PostgreSQL. Work is given to it as closures: [`Store::write`] for a job that becomes
//! part of a group that is committed together, [`Store::read`] for one that sees a single snapshot. The functions that
//! such closures call live in one module per table family.
//!
//! # Rules for a write closure
//!
//! * It may run more than once: it is `Fn`, and touches nothing outside the database.
//! * It refuses (returns an error) before it has changed a row. A refusal then costs nobody else anything. An error after
//!   a first change rolls the whole group back, and its jobs run again one by one: right, but slow.
//! * It is short: signing, hashing, JSON and the network belong outside.
//!
//! # The SQL that both engines understand
//!
//! * Parameters are `$1`, `$2`, … and may be used in any order, more than once.
//! * Columns are `BIGINT`, `TEXT`, `BOOLEAN` or, in migrations, `{bytes}`; `{clustered}` after a table's closing
//!   parenthesis stores it by its primary key on SQLite, and a primary key of type `{number}` is SQLite's own row number,
//!   for tables with long rows. No foreign keys.
//! * `room_no IN ints($1)` and `name NOT IN texts($1)` test against a set; `FROM ints($1)` is the set as a table with one
//!   column, `value`.
//! * `position($n)` in a statement for [`Tx::at_position`] stands for the position of the change.
//! * `sum` and friends need a `CAST(… AS BIGINT)`: PostgreSQL answers `NUMERIC`.
//! * Text compares by bytes on both engines, and may hold any Unicode scalar value, NUL included.

pub mod account_data;
pub mod accounts;
pub mod aliases;
pub mod auth_chains;
mod copy;
pub mod cursors;
pub mod deletion;
pub mod devices;
pub mod erasure;
pub mod error;
pub mod events;
pub mod filters;
pub mod log;
pub mod memberships;
pub mod missing_events;
pub mod numbers;
pub mod options;
mod postgres;
pub mod profiles;
pub mod purge;
pub mod receipts;
pub mod registration_tokens;
pub mod rooms;
mod row;
pub mod server_keys;
pub mod sessions;
mod sql;
mod sqlite;
pub mod state;
pub mod state_map;
pub mod state_resets;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timeline;
pub mod token;
mod transaction;
pub mod transactions;
pub mod usage;
pub mod user_directory;
pub mod users_no;
mod value;
mod writer;

mod frontier;
mod generation;
mod migrations;
mod statements;
mod store;

pub use copy::copy;
pub use error::Error;
pub use frontier::{Entry, Follower, Step};
pub use log::{Change, Membership};
pub use numbers::{EventNo, Generation, Position, RoomNo, Sequence, SnapshotNo, StateKeyNo, UserNo};
pub use options::{Database, Durability, Options};
pub use row::{Cell, FromCell, Row};
pub use store::Store;
pub use transaction::{Read, Slot, Tx};
pub use value::Value;
