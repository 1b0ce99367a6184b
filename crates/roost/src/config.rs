//! The configuration: TOML, with every key also from the environment as `ROOST_SECTION__KEY`.
//!
//! Each section is declared once, in a file of its own; from that come the defaults, the reader, the environment's names
//! and the commented example.

mod appservices;
mod cache;
mod database;
mod directory;
mod email;
mod example;
mod federation;
mod http;
mod identity;
mod listen;
mod log;
mod nearest;
mod outbound;
mod passwords;
mod presence;
mod rate_limits;
mod registration;
mod retention;
mod schema;
mod sessions;
mod support;
mod top;

use std::path::{Path, PathBuf};

pub use roost_http::Serves;
use ruma::{OwnedServerName, ServerName};
use toml::{Table, Value};

pub use self::{
    appservices::AppServices,
    cache::Cache,
    database::{Database, Durability},
    directory::Directory,
    email::Email,
    example::example,
    federation::Federation,
    http::Http,
    identity::Identity,
    listen::{Families, Listen},
    log::{Format, Log},
    outbound::Outbound,
    passwords::Passwords,
    presence::Presence,
    rate_limits::RateLimits,
    registration::{Mode, Registration},
    retention::{Days, Retention},
    schema::{Key, Problems, RateSetting, Setting},
    sessions::Sessions,
    support::Support,
    top::Top,
};

/// Environment variables that begin with `ROOST_` and are no keys: the tests' own, the configuration file's path, and
/// what a container orchestrator sets for a service that happens to be called "roost".
const FOREIGN: [&str; 5] = ["ROOST_TEST_", "ROOST_BENCH_", "ROOST_CONFIG", "ROOST_SERVICE_", "ROOST_PORT"];

macro_rules! sections {
    ($($field:ident: $Section:ident,)*) => {
        /// A whole configuration.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            /// The keys above all sections.
            pub top: Top,
            /// `[[listen]]`
            pub listen: Vec<Listen>,
            $(#[doc = concat!("`[", stringify!($field), "]`")] pub $field: $Section,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { top: Top::default(), listen: vec![Listen::alone()], $($field: $Section::default(),)* }
            }
        }

        impl Config {
            /// Every key but those of `[[listen]]`.
            #[must_use]
            pub fn keys() -> Vec<Key> {
                [Top::keys(), $($Section::keys(),)*].concat()
            }

            /// The sections and what they are about, without `[[listen]]`.
            fn sections() -> Vec<(&'static str, &'static [&'static str])> {
                vec![$(($Section::NAME, $Section::DOC),)*]
            }

            fn take(mut table: Table, problems: &mut Problems) -> Self {
                let mut config = Self::default();
                if let Some(listen) = table.remove(Listen::NAME) {
                    config.listen = take_listen(listen, problems);
                }
                $(match table.remove($Section::NAME) {
                    None => {}
                    Some(Value::Table(mut section)) => {
                        config.$field = $Section::take(&mut section, problems);
                        unknown($Section::NAME, &section, problems);
                    }
                    Some(_) => problems.push($Section::NAME, concat!("wants a section, [", stringify!($field), "]")),
                })*
                config.top = Top::take(&mut table, problems);
                unknown("", &table, problems);
                config
            }
        }
    };
}

sections! {
    database: Database,
    registration: Registration,
    federation: Federation,
    outbound: Outbound,
    rate_limits: RateLimits,
    appservices: AppServices,
    directory: Directory,
    email: Email,
    presence: Presence,
    identity: Identity,
    http: Http,
    passwords: Passwords,
    cache: Cache,
    sessions: Sessions,
    retention: Retention,
    support: Support,
    log: Log,
}

/// A configuration that was read, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The keys that are set but govern nothing yet, each with what it waits for.
    pub later: Vec<(String, &'static str)>,
}

impl Config {
    /// Reads a configuration file (none: only defaults) and the environment over it.
    ///
    /// # Errors
    /// All problems at once, one a line, each naming its key.
    pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, Problems> {
        let mut problems = Problems::default();
        let text = match file.map(std::fs::read_to_string).transpose() {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => {
                problems.push(file.unwrap_or(Path::new("")).display(), error);
                return Err(problems);
            }
        };
        Self::read(&text, environment)
    }

    /// Reads a configuration from its text, and the environment over it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, Problems> {
        let mut problems = Problems::default();
        let mut table: Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                problems.0.push(format!("not TOML: {error}"));
                return Err(problems);
            }
        };
        overlay(&mut table, environment, &mut problems);
        let mut later: Vec<(String, &'static str)> = Self::keys()
            .into_iter()
            .filter_map(|key| key.later.filter(|_| is_set(&table, &key)).map(|later| (key.path(), later)))
            .collect();
        let config = Self::take(table, &mut problems);
        if config.serving(Serves::Identity).next().is_some() {
            later.push(("listen.serves: \"identity\"".to_owned(), "the identity server"));
        }
        config.check(&mut problems);
        if problems.0.is_empty() { Ok(Loaded { config, later }) } else { Err(problems) }
    }

    /// What no single key can see.
    fn check(&self, problems: &mut Problems) {
        if let Err(error) = ServerName::parse(&self.top.server_name) {
            problems.push("server_name", format!("{:?} is not a server name: {error}", self.top.server_name));
        }
        let version: u32 = self.top.default_room_version.parse().unwrap_or(0);
        if !(1..=12).contains(&version) || self.top.default_room_version.starts_with(['0', '+']) {
            problems.push("default_room_version", "wants a room version from \"1\" to \"12\"");
        }
        if let Some(url) = &self.top.public_base_url
            && !url.starts_with("https://")
            && !url.starts_with("http://")
        {
            problems.push("public_base_url", "wants a URL that begins with https:// (or http://)");
        }
        let url = &self.database.url;
        if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            problems.push("database.url", "wants sqlite:FILE or postgres://user@host/database");
        }
        if self.listen.is_empty() {
            problems.push("listen", "wants at least one address");
        }
        for listen in &self.listen {
            if listen.address.parse::<std::net::SocketAddr>().is_err()
                && listen
                    .address
                    .rsplit_once(':')
                    .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
            {
                problems.push("listen.address", format!("{:?} is not ADDRESS:PORT", listen.address));
            }
            if listen.tls_certificate.is_some() != listen.tls_private_key.is_some() {
                problems.push("listen.tls_certificate", "goes together with tls_private_key");
            }
        }
        if ::http::HeaderName::try_from(&self.http.client_address_header).is_err()
            && !self.http.client_address_header.is_empty()
        {
            problems.push("http.client_address_header", "is not the name of a header");
        }
        if self.http.max_head_kib == 0 || self.http.max_head_kib > 128 {
            problems.push("http.max_head_kib", "wants a number from 1 to 128");
        }
        for (key, number) in [
            ("cache.events_mib", self.cache.events_mib),
            ("cache.sessions", self.cache.sessions),
            ("database.readers", self.database.readers),
            ("http.max_body_kib", self.http.max_body_kib),
            ("http.body_timeout", self.http.body_timeout),
            ("http.head_timeout", self.http.head_timeout),
            ("http.max_connections", self.http.max_connections),
            ("passwords.iterations", self.passwords.iterations),
            ("sessions.access_token_lifetime", self.sessions.access_token_lifetime),
        ] {
            if number == 0 {
                problems.push(key, "wants a number above 0");
            }
        }
        if self.passwords.memory_kib < 8 {
            problems.push("passwords.memory_kib", "wants a number from 8 on");
        }
        if let Err(error) = crate::telemetry::filter(&self.log.level) {
            problems.push("log.level", error);
        }
    }

    /// The server name, checked when the configuration was read.
    pub fn server_name(&self) -> Result<OwnedServerName, Problems> {
        ServerName::parse(&self.top.server_name).map_err(|error| Problems(vec![format!("server_name: {error}")]))
    }

    /// The folder that holds everything.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(&self.top.data_dir)
    }

    /// The addresses that serve a family.
    pub fn serving(&self, family: Serves) -> impl Iterator<Item = &Listen> {
        self.listen.iter().filter(move |listen| listen.serves.0.contains(&family))
    }
}

fn take_listen(value: Value, problems: &mut Problems) -> Vec<Listen> {
    let Value::Array(entries) = value else {
        problems.push(Listen::NAME, "wants [[listen]] entries");
        return Vec::new();
    };
    let mut all = Vec::new();
    for entry in entries {
        let Value::Table(mut entry) = entry else {
            problems.push(Listen::NAME, "wants [[listen]] entries");
            continue;
        };
        all.push(Listen::take(&mut entry, problems));
        unknown(Listen::NAME, &entry, problems);
    }
    all
}

/// Complains about what is left of a table once all known keys are taken out.
fn unknown(section: &str, left: &Table, problems: &mut Problems) {
    let known: Vec<String> = Config::keys()
        .iter()
        .chain(&Listen::keys())
        .map(Key::path)
        .chain(Config::sections().iter().map(|(name, _)| (*name).to_owned()))
        .chain([Listen::NAME.to_owned()])
        .collect();
    for name in left.keys() {
        let path = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        let problem = match nearest::nearest(&path, &known) {
            Some(near) => format!("unknown key; did you mean {near}?"),
            None => "unknown key".to_owned(),
        };
        problems.push(path, problem);
    }
}

fn is_set(table: &Table, key: &Key) -> bool {
    if key.section.is_empty() {
        return table.contains_key(key.name);
    }
    table.get(key.section).and_then(Value::as_table).is_some_and(|section| section.contains_key(key.name))
}

/// Lays the environment's keys over a table.
fn overlay(table: &mut Table, environment: impl Iterator<Item = (String, String)>, problems: &mut Problems) {
    let keys = Config::keys();
    let variable = |key: &Key| format!("ROOST_{}", key.path().replace('.', "__").to_uppercase());
    let listen = format!("ROOST_{}", Listen::NAME.to_uppercase());
    for (name, value) in environment {
        if !name.starts_with("ROOST_") || FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
            continue;
        }
        if name == listen {
            match parse(&value) {
                Ok(value) => drop(table.insert(Listen::NAME.to_owned(), value)),
                Err(problem) => problems.push(&name, problem),
            }
            continue;
        }
        let Some(key) = keys.iter().find(|key| variable(key) == name) else {
            let known: Vec<String> = keys.iter().map(variable).chain([listen.clone()]).collect();
            let problem = match nearest::nearest(&name, &known) {
                Some(near) => format!("unknown key; did you mean {near}?"),
                None => "unknown key".to_owned(),
            };
            problems.push(&name, problem);
            continue;
        };
        let value = if key.text { Ok(Value::String(value)) } else { parse(&value) };
        match value {
            Err(problem) => problems.push(&name, problem),
            Ok(value) if key.section.is_empty() => drop(table.insert(key.name.to_owned(), value)),
            Ok(value) => {
                let section = table.entry(key.section).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(section) = section {
                    section.insert(key.name.to_owned(), value);
                }
            }
        }
    }
}

/// A value from the environment, in JSON's or TOML's notation.
fn parse(text: &str) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return Ok(value);
    }
    let parsed: Result<Table, _> = format!("value = {text}").parse();
    parsed
        .ok()
        .and_then(|mut table| table.remove("value"))
        .ok_or_else(|| "wants a value in JSON's or TOML's notation".to_owned())
}

#[cfg(test)]
mod tests;
