//! `roost identity` and its commands.

use std::io::Write as _;

use roost_world::World;
use serde_json::Value;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use super::{raise_file_limit, the_world};
use crate::{
    cli::Failure,
    config::Config,
    data_dir::{DataDir, HOMESERVER, IDENTITY, socket_path},
    house::House,
    identity::{IdentityHouse, IdentityRequest},
    identity_server::IdentityServer,
    socket::{self, Behind as _, Request},
};

/// Runs the identity server alone until a signal ends it.
pub(crate) async fn serve(config: &Config, runtime: &Handle) -> Result<(), Failure> {
    raise_file_limit(config);
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let server = tokio::select! {
        server = IdentityServer::start(config, the_world(config, runtime)) => server.map_err(Failure::failed)?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let mut lines =
        vec![format!("Roost {} serves identities as {}:", env!("CARGO_PKG_VERSION"), config.identity_name())];
    lines.extend(server.urls().iter().map(|url| format!("  {url}")));
    lines.push(format!("Data: {}", config.data_dir().display()));
    if config.email.smtp_url.is_empty() {
        lines.push("No mail can be sent: email.smtp_url is empty.".to_owned());
    }
    {
        // Nobody has to read it.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", lines.join("\n"));
        let _ = out.flush();
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    tokio::select! {
        () = server.stop() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Asks the identity server that runs, alone or in the homeserver; when none does, the database is opened.
async fn ask(config: &Config, runtime: &Handle, request: IdentityRequest) -> Result<Value, Failure> {
    let (folder, request) = (config.data_dir(), Request::Identity(request));
    let answer = match socket::ask(&socket_path(&folder, IDENTITY), &request).await {
        Some(answer) => answer,
        None if config.identity.enabled => match socket::ask(&socket_path(&folder, HOMESERVER), &request).await {
            Some(answer) => answer,
            None => inside(config, the_world(config, runtime), request).await?,
        },
        None => alone(config, the_world(config, runtime), request).await?,
    };
    answer.map_err(Failure::Failed)
}

async fn inside(config: &Config, world: World, request: Request) -> Result<Result<Value, String>, Failure> {
    let data_dir = DataDir::open(&config.data_dir()).map_err(Failure::failed)?;
    let house = House::open(config, &data_dir, world).await.map_err(Failure::failed)?;
    let answer = house.answer(request).await;
    house.close().await;
    Ok(answer)
}

async fn alone(config: &Config, world: World, request: Request) -> Result<Result<Value, String>, Failure> {
    let data_dir = DataDir::open_for(&config.data_dir(), IDENTITY).map_err(Failure::failed)?;
    let house = IdentityHouse::open(config, &data_dir, "", world).await.map_err(Failure::failed)?;
    let answer = house.answer(request).await;
    house.close().await;
    Ok(answer)
}

/// Does what a command wants and prints what came of it.
pub(crate) async fn perform(config: &Config, runtime: &Handle, request: IdentityRequest) -> Result<(), Failure> {
    let answer = ask(config, runtime, request.clone()).await?;
    let text = |value: &Value, key: &str| match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let rows = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    match request {
        IdentityRequest::Keys { .. } => {
            for key in rows("keys") {
                let state = if key.get("retired_at").is_some_and(|at| !at.is_null()) { "retired" } else { "signs" };
                println!("{:<20} {} {state}", text(&key, "key_id"), text(&key, "public_key"));
            }
        }
        IdentityRequest::Associations { .. } => {
            for one in rows("associations") {
                println!("{:<8} {}", text(&one, "medium"), text(&one, "address"));
            }
        }
        IdentityRequest::Unbind { .. } => match answer.get("user_id").and_then(Value::as_str) {
            Some(user) => println!("It belonged to {user}, and no longer does."),
            None => return Err(Failure::Failed("nobody has bound this address".to_owned())),
        },
        IdentityRequest::PurgeUser { .. } => {
            println!("Removed {} associations.", text(&answer, "associations"));
            if answer.get("account").and_then(Value::as_bool) == Some(true) {
                println!("Removed the account.");
            }
        }
        IdentityRequest::PurgeAddress { .. } => match answer.get("found").and_then(Value::as_bool) {
            Some(true) => println!("Removed."),
            _ => return Err(Failure::Failed("nothing is known of this address".to_owned())),
        },
        IdentityRequest::Deliveries => {
            for one in rows("deliveries") {
                println!(
                    "{:<30} {:>4} tries, last: {}",
                    text(&one, "server"),
                    text(&one, "tries"),
                    text(&one, "problem")
                );
            }
        }
    }
    Ok(())
}
