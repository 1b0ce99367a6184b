//! `[identity]`

use std::collections::BTreeMap;

use roost_identity::{GatewayOptions, Policy, PolicyText};
use toml::{Table, Value};

use super::schema::{Setting, section};

section! {
    /// The identity server: `roost identity` runs it alone, on the listeners that serve "identity" or else on
    /// 127.0.0.1:8090.
    Identity in "identity" {
        /// Whether it runs inside `roost serve`, on the listeners that serve "identity".
        enabled: bool = false;
        /// The name under which it signs; empty: that of the homeserver.
        server_name: String = String::new();
        /// Where clients and the readers of its mails reach it; when it is left out, the homeserver's `public_base_url` or else
        /// the listener's own address.
        public_base_url: Option<String> = None, example "https://identity.example.org";
        /// Its database when it runs alone, as in `database.url`. Inside `roost serve` it uses the homeserver's.
        database_url: String = "sqlite:identity.db".to_owned();
        /// What users have to accept first, such as `[{ id = "privacy_policy", version = "1.2", languages = { en =
        /// { name = "Privacy Policy", url = "https://example.org/privacy-1.2-en.html" } } }]`.
        terms: Terms = Terms(Vec::new());
        /// Whether addresses can also be looked up by themselves (the algorithm `none`), and not only by their hashes.
        plain_lookups: bool = false;
        /// How many addresses one lookup may ask for.
        max_lookup: u32 = 5000;
        /// How long a pepper for lookups is handed out, in hours.
        pepper_lifetime: u32 = 24;
        /// How long it is still accepted afterwards, in minutes.
        pepper_grace: u32 = 60;
        /// The hosts to which the `next_link` of a validation may lead.
        next_link_hosts: Vec<String> = Vec::new();
        /// A web client for the links in invitations, such as `https://app.example.org`; empty: invitations have none.
        web_client: String = String::new();
        /// A folder with texts of mails, messages and pages that replace the built-in ones; empty: none does.
        texts: String = String::new();
        /// Who sends SMS, such as `[{ countries = ["DE"], url = "https://sms.example/send", headers = { Authorization =
        /// "Bearer …" }, from = "Example" }]`; without `countries` it serves all others. The book has a page on it.
        sms_gateways: SmsGateways = SmsGateways(Vec::new());
    }
}

/// The policies that users have to accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms(pub Vec<Policy>);

/// The gateways for SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsGateways(pub Vec<GatewayOptions>);

/// The tables of a list of tables.
fn tables(value: Value, wanted: &str) -> Result<Vec<Table>, String> {
    value.try_into().map_err(|_| wanted.to_owned())
}

/// Takes a text out of a table.
fn text(table: &mut Table, key: &str) -> Result<Option<String>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key} wants text in quotes")),
    }
}

fn needed(table: &mut Table, key: &str) -> Result<String, String> {
    text(table, key)?.ok_or_else(|| format!("{key} is missing"))
}

/// Complains about keys that are left.
fn nothing_left(table: &Table) -> Result<(), String> {
    table.keys().next().map_or(Ok(()), |key| Err(format!("unknown key {key}")))
}

impl Setting for Terms {
    fn read(value: Value) -> Result<Self, String> {
        let wanted = "wants a list of policies, each with id, version and languages";
        let policy = |mut table: Table| {
            let (id, version) = (needed(&mut table, "id")?, needed(&mut table, "version")?);
            let languages = match table.remove("languages") {
                Some(Value::Table(languages)) if !languages.is_empty() => languages,
                _ => return Err("languages wants a table of languages, each with name and url".to_owned()),
            };
            nothing_left(&table)?;
            let languages = languages.into_iter().map(|(language, text)| {
                let Value::Table(mut table) = text else { return Err(format!("{language} wants name and url")) };
                let text = PolicyText { name: needed(&mut table, "name")?, url: needed(&mut table, "url")? };
                nothing_left(&table)?;
                if language == "version" {
                    Err("no language is called version".to_owned())
                } else {
                    Ok((language, text))
                }
            });
            Ok(Policy { id, version, languages: languages.collect::<Result<BTreeMap<_, _>, String>>()? })
        };
        tables(value, wanted)?.into_iter().map(policy).collect::<Result<_, _>>().map(Self)
    }

    fn write(&self) -> Option<Value> {
        let policies = self.0.iter().map(|policy| {
            let languages = policy.languages.iter().map(|(language, text)| {
                let text = [("name", &text.name), ("url", &text.url)];
                let text: Table = text.into_iter().map(|(key, value)| (key.to_owned(), value.clone().into())).collect();
                (language.clone(), Value::Table(text))
            });
            let mut table = Table::new();
            table.insert("id".to_owned(), policy.id.clone().into());
            table.insert("version".to_owned(), policy.version.clone().into());
            table.insert("languages".to_owned(), Value::Table(languages.collect()));
            Value::Table(table)
        });
        Some(Value::Array(policies.collect()))
    }
}

impl Setting for SmsGateways {
    fn read(value: Value) -> Result<Self, String> {
        let gateway = |mut table: Table| {
            let countries = table.remove("countries").map_or(Ok(Vec::new()), Vec::<String>::read)?;
            let headers = match table.remove("headers") {
                None => Vec::new(),
                Some(Value::Table(headers)) => headers
                    .into_iter()
                    .map(|(name, value)| Ok((name, String::read(value)?)))
                    .collect::<Result<_, String>>()?,
                Some(_) => return Err("headers wants a table".to_owned()),
            };
            let options = GatewayOptions {
                countries,
                url: needed(&mut table, "url")?,
                headers,
                from: text(&mut table, "from")?.unwrap_or_default(),
                content_type: text(&mut table, "content_type")?.unwrap_or_default(),
                body: text(&mut table, "body")?.unwrap_or_default(),
            };
            nothing_left(&table)?;
            Ok::<_, String>(options)
        };
        let wanted = "wants a list of gateways, each with a url";
        let gateways: Vec<_> = tables(value, wanted)?.into_iter().map(gateway).collect::<Result<_, _>>()?;
        // What can not be used is said before anything is begun.
        roost_identity::Gateways::new(&gateways).map_err(|error| error.to_string())?;
        Ok(Self(gateways))
    }

    fn write(&self) -> Option<Value> {
        let gateways = self.0.iter().map(|gateway| {
            let headers = gateway.headers.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
            let mut table = Table::new();
            table.insert(
                "countries".to_owned(),
                Value::Array(gateway.countries.iter().cloned().map(Value::String).collect()),
            );
            table.insert("url".to_owned(), gateway.url.clone().into());
            table.insert("headers".to_owned(), Value::Table(headers.collect()));
            for (key, text) in
                [("from", &gateway.from), ("content_type", &gateway.content_type), ("body", &gateway.body)]
            {
                table.insert(key.to_owned(), text.clone().into());
            }
            Value::Table(table)
        });
        Some(Value::Array(gateways.collect()))
    }
}
