//! `GET`, `PUT`, `DELETE /_matrix/client/v3/pushrules/…`
//!
//! The user's push rules: the server's to begin with, and what the user makes of them.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-rules-api>

use axum::{Json, Router, extract::State as Extract, routing::get};
use roost_users::{Neighbours, NewPushRule, PushRule, PushRuleError, PushRuleKind, PushRules, PushRuleset};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Caller, Error, JsonBytes, PathArgs, QueryArgs, State, routes::ClientRoutes as _};

pub(crate) fn routes() -> Router<State> {
    Router::new()
        .client("/pushrules", get(all))
        .client("/pushrules/", get(all))
        .client("/pushrules/global", get(global))
        .client("/pushrules/global/", get(global))
        .client("/pushrules/global/{kind}", get(of_kind))
        .client("/pushrules/global/{kind}/", get(of_kind))
        .client("/pushrules/global/{kind}/{rule_id}", get(rule).put(put_rule).delete(delete_rule))
        .client("/pushrules/global/{kind}/{rule_id}/enabled", get(enabled).put(put_enabled))
        .client("/pushrules/global/{kind}/{rule_id}/actions", get(actions).put(put_actions))
}

async fn rules(state: &State, caller: &Caller) -> Result<PushRules, Error> {
    Ok(state.users.push_rules(caller.user_no, &caller.user_id).await?)
}

async fn change(
    state: &State,
    caller: &Caller,
    change: impl Fn(&mut PushRules) -> Result<(), PushRuleError> + Send + 'static,
) -> Result<Json<Value>, Error> {
    state.users.change_push_rules(caller.user_no, &caller.user_id, change).await?;
    Ok(Json(json!({})))
}

fn kind(word: &str) -> Result<PushRuleKind, Error> {
    PushRuleKind::parse(word).ok_or_else(|| Error::invalid_param("There is no such kind of push rule"))
}

async fn one(state: &State, caller: &Caller, kind_word: &str, id: &str) -> Result<PushRule, Error> {
    let kind = kind(kind_word)?;
    rules(state, caller).await?.get(kind, id).cloned().ok_or_else(|| Error::not_found("The push rule was not found"))
}

async fn all(Extract(state): Extract<State>, caller: Caller) -> Result<Json<PushRules>, Error> {
    Ok(Json(rules(&state, &caller).await?))
}

async fn global(Extract(state): Extract<State>, caller: Caller) -> Result<Json<PushRuleset>, Error> {
    Ok(Json(rules(&state, &caller).await?.global))
}

/// Not in the specification, but asked for by clients that read the rules kind by kind.
async fn of_kind(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs(word): PathArgs<String>,
) -> Result<Json<Vec<PushRule>>, Error> {
    Ok(Json(rules(&state, &caller).await?.global.of_kind(kind(&word)?).to_vec()))
}

async fn rule(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((word, id)): PathArgs<(String, String)>,
) -> Result<Json<PushRule>, Error> {
    Ok(Json(one(&state, &caller, &word, &id).await?))
}

#[derive(Debug, Deserialize)]
struct Place {
    before: Option<String>,
    after: Option<String>,
}

async fn put_rule(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((word, id)): PathArgs<(String, String)>,
    QueryArgs(place): QueryArgs<Place>,
    body: JsonBytes,
) -> Result<Json<Value>, Error> {
    let kind = kind(&word)?;
    let rule: NewPushRule = parse(&body)?;
    let neighbours = Neighbours { before: place.before, after: place.after };
    change(&state, &caller, move |rules| rules.put(kind, &id, &rule, &neighbours)).await
}

async fn delete_rule(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((word, id)): PathArgs<(String, String)>,
) -> Result<Json<Value>, Error> {
    let kind = kind(&word)?;
    change(&state, &caller, move |rules| rules.delete(kind, &id)).await
}

async fn enabled(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((word, id)): PathArgs<(String, String)>,
) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "enabled": one(&state, &caller, &word, &id).await?.enabled })))
}

#[derive(Debug, Deserialize)]
struct Enabled {
    enabled: bool,
}

async fn put_enabled(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((word, id)): PathArgs<(String, String)>,
    body: JsonBytes,
) -> Result<Json<Value>, Error> {
    let kind = kind(&word)?;
    let Enabled { enabled } = parse(&body)?;
    change(&state, &caller, move |rules| rules.set_enabled(kind, &id, enabled)).await
}

async fn actions(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((word, id)): PathArgs<(String, String)>,
) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "actions": one(&state, &caller, &word, &id).await?.actions })))
}

#[derive(Debug, Deserialize)]
struct Actions {
    actions: Vec<Value>,
}

async fn put_actions(
    Extract(state): Extract<State>,
    caller: Caller,
    PathArgs((word, id)): PathArgs<(String, String)>,
    body: JsonBytes,
) -> Result<Json<Value>, Error> {
    let kind = kind(&word)?;
    let Actions { actions } = parse(&body)?;
    change(&state, &caller, move |rules| rules.set_actions(kind, &id, &actions)).await
}

fn parse<T: serde::de::DeserializeOwned>(body: &JsonBytes) -> Result<T, Error> {
    serde_json::from_slice(&body.0)
        .map_err(|error| Error::bad_json(format!("The request body is not as it should be: {error}")))
}
