//! `roost room`: a look into a room, its deletion, a purge of its history.

use clap::Subcommand;
use roost_matrix::ids::{EventId, OwnedRoomId, RoomAliasId, RoomId};
use roost_rooms::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{cli::Failure, commands, config::Config, house::House, socket};

mod text;

/// What is done with a room.
#[derive(Subcommand)]
pub(crate) enum RoomCommand {
    /// Shows what is known of a room: the ends of its graph, what is missing of it, what was not accepted and why, lost state,
    /// and what it takes on the disk.
    Inspect {
        /// The room's id, or a local alias.
        room: String,
        /// An event, to see its neighbours in the graph and the state before it, too.
        #[arg(long)]
        event: Option<String>,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Deletes a room with all that belongs to it. Local members leave it first, so that their clients hear of it.
    Delete {
        /// The room's id, or a local alias.
        room: String,
        /// Does it at once, whoever is in the room.
        #[arg(long)]
        force: bool,
    },
    /// Deletes the history of a room before an event or a day. Its state stays, and its last event.
    Purge {
        /// The room's id, or a local alias.
        room: String,
        /// The first event that stays, or a day such as 2026-01-31 (in UTC) from which on events stay.
        #[arg(long, value_name = "EVENT|DATE")]
        before: String,
    },
}

/// The same, as it is told to a running server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "room_command", rename_all = "snake_case")]
pub enum Request {
    /// A look.
    Inspect {
        /// Id or alias.
        room: String,
        /// One of its events.
        event: Option<String>,
    },
    /// Deletion.
    Delete {
        /// Id or alias.
        room: String,
        /// Whether nobody has to leave first.
        force: bool,
    },
    /// A purge of the history.
    Purge {
        /// Id or alias.
        room: String,
        /// An event id, or a date.
        before: String,
    },
}

/// Runs a command to its end.
pub(crate) async fn run(config: &Config, runtime: &Handle, command: RoomCommand) -> Result<(), Failure> {
    let ask = async |request| {
        commands::ask(config, commands::the_world(config, runtime), socket::Request::Room(request)).await
    };
    match command {
        RoomCommand::Inspect { room, event, json } => {
            let told = ask(Request::Inspect { room, event }).await?;
            if json {
                println!("{}", serde_json::to_string_pretty(&told).map_err(Failure::failed)?);
            } else {
                print!("{}", text::of(&told));
            }
        }
        RoomCommand::Delete { room, force } => {
            let done = ask(Request::Delete { room, force }).await?;
            println!("Deleted; {} members left first, {} rows are gone", done["left"], done["rows"]);
        }
        RoomCommand::Purge { room, before } => {
            let done = ask(Request::Purge { room, before }).await?;
            println!("Purged {} events; {} old ones are kept for the state", done["events"], done["kept"]);
        }
    }
    Ok(())
}

impl House {
    pub(crate) async fn answer_about_room(&self, request: Request) -> Result<Value, String> {
        let told = match request {
            Request::Inspect { room, event } => {
                let event = event.map(|event| EventId::parse(&event)).transpose().map_err(|_| "that is no event id")?;
                self.rooms.inspect(&self.room_named(&room).await?, event.as_deref()).await
            }
            Request::Delete { room, force } => {
                let deleted = self.rooms.delete(&self.room_named(&room).await?, force).await;
                deleted.map(|done| json!({ "left": done.left, "rows": done.rows }))
            }
            Request::Purge { room, before } => {
                let purged = self.purge(&self.room_named(&room).await?, &before).await?;
                Ok(purged)
            }
        };
        told.map_err(|error| error.to_string())
    }

    async fn room_named(&self, name: &str) -> Result<OwnedRoomId, String> {
        if let Ok(alias) = RoomAliasId::parse(name) {
            let found = self.rooms.resolve(&alias).await.map_err(|error| error.to_string())?;
            return found.ok_or_else(|| format!("there is no alias {name} here"));
        }
        RoomId::parse(name).map_err(|_| format!("{name} is neither a room id nor an alias"))
    }

    async fn purge(&self, room: &RoomId, before: &str) -> Result<Value, String> {
        let told = |error: Error| error.to_string();
        let room = self.rooms.room(room).await.map_err(told)?;
        let place = if before.starts_with('$') {
            let event = EventId::parse(before).map_err(|_| "that is no event id")?;
            let place = self.rooms.place_of(&room, &event).await.map_err(told)?;
            place.ok_or("that event is not in the history of this room")?
        } else {
            let moment = midnight(before).ok_or("--before wants an event id or a day such as 2026-01-31")?;
            self.rooms.place_at(&room, moment).await.map_err(told)?
        };
        let done = self.rooms.purge_history(&room, place).await.map_err(told)?;
        Ok(json!({ "events": done.events, "kept": done.kept }))
    }
}

/// The beginning of a day in UTC, such as `2026-01-31`, in milliseconds since the epoch.
fn midnight(date: &str) -> Option<u64> {
    let mut parts = date
        .splitn(3, '-')
        .map(|part| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in = |month: i64| match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=days_in(month)).contains(&day) {
        return None;
    }
    let before = year - 1;
    // Days from the year 1 on, less those before 1970.
    let years = before * 365 + before / 4 - before / 100 + before / 400 - 719_162;
    let months: i64 = (1..month).map(days_in).sum();
    u64::try_from((years + months + day - 1) * 86_400_000).ok()
}

#[cfg(test)]
mod tests {
    use super::midnight;

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(midnight("1970-01-01"), Some(0));
        assert_eq!(midnight("2000-02-29"), Some(951_782_400_000));
        assert_eq!(midnight("2026-01-31"), Some(1_769_817_600_000));
        for wrong in ["", "2026", "2026-13-01", "2025-02-29", "2026-01-32", "2026-1-+1", "yesterday", "1969-12-31"] {
            assert_eq!(midnight(wrong), None, "{wrong}");
        }
    }
}
