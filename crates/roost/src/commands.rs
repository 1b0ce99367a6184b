//! What the command line's commands do.

use std::{io::Write as _, path::Path};

use roost_store::Database;
use roost_world::World;
use serde_json::Value;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use crate::{
    cli::Failure,
    config::{Config, Loaded, Mode},
    data_dir::{DataDir, socket_path},
    house::House,
    server::Server,
    socket::{self, Request},
    world,
};

pub(crate) fn the_world(config: &Config, runtime: &Handle) -> World {
    let threads = match config.passwords.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => usize::try_from(threads).unwrap_or(1),
    };
    world::real(runtime.clone(), threads)
}

/// Runs the server until a signal ends it.
pub(crate) async fn serve(config: &Config, runtime: &Handle) -> Result<(), Failure> {
    // Each connection is an open file, and the usual limit is low for old reasons only.
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) if files < 1024 + u64::from(config.http.max_connections) => {
            tracing::warn!(files, "the limit of open files is lower than http.max_connections needs");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let server = tokio::select! {
        server = Server::start(config, the_world(config, runtime)) => server.map_err(Failure::failed)?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    greet(config, &server).await;
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

/// Says where the server listens, and how the first account is made.
async fn greet(config: &Config, server: &Server) {
    let mut lines = vec![format!("Roost {} serves {}:", env!("CARGO_PKG_VERSION"), config.top.server_name)];
    lines.extend(server.urls().iter().map(|url| format!("  {url}")));
    lines.push(format!("Data: {}", config.data_dir().display()));
    if server.house().users.has_accounts().await.is_ok_and(|any| !any) {
        lines.push("There is no account yet. Create the first one with:".to_owned());
        lines.push("  roost user create NAME --admin".to_owned());
        match config.registration.mode {
            Mode::Open => lines.push("or register with any client: registration is open.".to_owned()),
            Mode::Closed => {}
            Mode::Token => match server.house().first_token().await {
                Ok(token) => {
                    lines.push(format!("or register with a client and this one-time registration token: {token}"));
                }
                Err(error) => tracing::error!(%error, "no registration token could be made"),
            },
        }
    }
    // Nobody has to read it.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", lines.join("\n"));
    let _ = out.flush();
}

/// Has a command done by the running server, or, while none runs, on the database itself.
pub(crate) async fn ask(config: &Config, world: World, request: Request) -> Result<Value, Failure> {
    if let Some(answer) = socket::ask(&socket_path(&config.data_dir()), &request).await {
        return answer.map_err(Failure::Failed);
    }
    let data_dir = DataDir::open(&config.data_dir()).map_err(Failure::failed)?;
    let house = House::open(config, &data_dir, world).await.map_err(Failure::failed)?;
    let answer = house.answer(request).await;
    house.close().await;
    answer.map_err(Failure::Failed)
}

/// Creates an account, through the running server or without one.
pub(crate) async fn create_user(
    config: &Config,
    runtime: &Handle,
    name: String,
    password: Option<String>,
    admin: bool,
) -> Result<(), Failure> {
    let world = the_world(config, runtime);
    let made_up = password.is_none().then(|| world.random_text(20));
    let Some(password) = password.or_else(|| made_up.clone()) else { return Ok(()) };
    let created = ask(config, world, Request::CreateUser { name, password, admin }).await?;
    println!("Created {}", created.get("user_id").and_then(Value::as_str).unwrap_or_default());
    if let Some(password) = made_up {
        println!("Password: {password}");
    }
    Ok(())
}

/// Says what `config check` has found.
pub(crate) fn report(loaded: &Loaded) {
    for (key, what) in &loaded.later {
        println!("{key} governs nothing yet: it waits for {what}");
    }
    println!("The configuration is valid.");
}

/// Lists the running server's background loops.
pub(crate) async fn workers(config: &Config) -> Result<(), Failure> {
    let answer = socket::ask(&socket_path(&config.data_dir()), &Request::Workers).await;
    let Some(answer) = answer else {
        return Err(Failure::Failed(format!("no server runs on {}", config.data_dir().display())));
    };
    let answer = answer.map_err(Failure::Failed)?;
    for worker in answer.get("workers").and_then(Value::as_array).into_iter().flatten() {
        let text = |key| worker.get(key).and_then(Value::as_str).unwrap_or_default();
        println!("{:<24} {}", text("name"), text("state"));
    }
    Ok(())
}

/// A database that was named on the command line: as in `database.url`, but a file that can only be meant relative to
/// the current folder is taken so.
fn database(url: &str, data_dir: &DataDir) -> Result<Database, Failure> {
    let database = Database::parse(url, data_dir.path()).map_err(Failure::failed)?;
    let here = Database::parse(url, Path::new("")).map_err(Failure::failed)?;
    Ok(match (&database, &here) {
        (Database::Sqlite(there), Database::Sqlite(file)) if there != file => {
            let folder_is = |path: &Path| path.parent().is_some_and(Path::is_dir);
            let only_here = file.exists() && !there.exists();
            if only_here || (!there.exists() && !folder_is(there) && folder_is(file)) { here } else { database }
        }
        _ => database,
    })
}

/// Copies a database into another one.
pub(crate) async fn copy(config: &Config, runtime: &Handle, from: &str, to: &str) -> Result<(), Failure> {
    // A running server would go on writing to one of the two.
    let data_dir = DataDir::open(&config.data_dir()).map_err(Failure::failed)?;
    let (source, target) = (database(from, &data_dir)?, database(to, &data_dir)?);
    if let Database::Sqlite(path) = &source
        && !path.exists()
    {
        return Err(Failure::Failed(format!("there is no database {}", path.display())));
    }
    let progress = |table: &str, rows: u64| tracing::info!(table, rows, "copying");
    let rows = roost_store::copy(source, target, the_world(config, runtime), progress).await;
    println!("Copied {} rows", rows.map_err(Failure::failed)?);
    Ok(())
}
