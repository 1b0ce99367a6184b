//! User-interactive authentication: a request is answered with 401 until its sender has proved what it asks for.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>
//!
//! An endpoint reads an [`Attempt`], checks the request in it, and lets the attempt [authenticate](Attempt::authenticate)
//! before it acts on that same request. What was asked for when a session began is what is carried out at its end: a
//! continuation may repeat it or leave it out, and one that asks for something else begins anew. Only registration, where
//! nobody has anything to lose yet, may change its mind on the way.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use roost_matrix::error::ErrCode;
use roost_store::UserNo;
use roost_users::local_user_id;
use ruma::OwnedUserId;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    Caller, Error, State,
    limits::{Class, network},
};

/// How long a session waits for its end.
const MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// How many sessions are kept, and how many bytes their requests may have together; beyond that the oldest go.
const MAX_SESSIONS: usize = 10_000;
const MAX_TOTAL_BYTES: usize = 16 * 1024 * 1024;

/// How many sessions one user has, or one address of those who are nobody yet; beyond that their own oldest go.
const MAX_OF_ONE: usize = 100;

/// The largest request that can be authenticated interactively: of a user, and of those who are nobody yet.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
const MAX_REQUEST_BYTES_OF_NOBODY: usize = 8 * 1024;

/// How many failed tries end a session.
const MAX_FAILURES: u32 = 10;

/// One thing to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing at all.
    Dummy,
    /// To know the user's password.
    Password,
    /// To hold a registration token.
    RegistrationToken,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::Password => "m.login.password",
            Self::RegistrationToken => "m.login.registration_token",
        }
    }
}

/// Alternatives, each a series of stages.
pub(crate) type Flows = &'static [&'static [Stage]];

/// The flow of whoever has a password.
pub(crate) const PASSWORD: Flows = &[&[Stage::Password]];

/// What is to be authenticated.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Method and path, and what the path names.
    pub(crate) what: String,
    /// For whom, where an access token says so. Only that user's password counts.
    pub(crate) user: Option<(OwnedUserId, UserNo)>,
    /// From where, as far as that is known.
    pub(crate) address: Option<IpAddr>,
    /// What there is to prove.
    pub(crate) flows: Flows,
    /// Whether a continuation may ask for something else than the session's first request did.
    pub(crate) may_change: bool,
}

impl Operation {
    /// Something that a user asks for and that their password allows.
    pub(crate) fn of_user(what: String, caller: &Caller) -> Self {
        let user = Some((caller.user_id.clone(), caller.user_no));
        Self { what, user, address: None, flows: PASSWORD, may_change: false }
    }

    fn owner(&self) -> Owner {
        match (&self.user, self.address) {
            (Some((_, user)), _) => Owner::User(*user),
            (None, address) => Owner::Network(address.map(network)),
        }
    }
}

/// What has been proved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof {
    /// Whose password the client knows.
    pub(crate) user: Option<(OwnedUserId, UserNo)>,
    /// The registration token that the client holds; not spent yet.
    pub(crate) registration_token: Option<String>,
}

/// On whose account a session goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    User(UserNo),
    Network(Option<IpAddr>),
}

#[derive(Clone, Debug)]
struct Session {
    what: String,
    owner: Owner,
    user: Option<UserNo>,
    /// The request without its `auth`, as JSON: a tree would take a multiple of that.
    request: Arc<str>,
    started: Duration,
    completed: Vec<Stage>,
    failures: u32,
    proof: Proof,
}

/// The sessions that wait for their end. They are kept in memory: a client that comes back to a server that knows
/// nothing of its session begins anew.
#[derive(Debug, Default)]
pub(crate) struct Uia(Mutex<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    by_id: HashMap<String, Session>,
    /// In the order of their beginning; may name some that have ended.
    order: VecDeque<String>,
    /// The same for each owner, and only those that have not ended.
    of: HashMap<Owner, VecDeque<String>>,
    bytes: usize,
}

impl Sessions {
    fn remove(&mut self, id: &str) -> Option<Session> {
        let session = self.by_id.remove(id)?;
        self.bytes -= session.request.len();
        if let Some(of) = self.of.get_mut(&session.owner) {
            of.retain(|other| other != id);
            if of.is_empty() {
                self.of.remove(&session.owner);
            }
        }
        Some(session)
    }

    fn insert(&mut self, id: String, session: Session) {
        let now = session.started;
        // Others' sessions are not pushed out by one who begins many.
        if let Some(of) = self.of.get(&session.owner).filter(|of| of.len() >= MAX_OF_ONE)
            && let Some(oldest) = of.front().cloned()
        {
            self.remove(&oldest);
        }
        self.bytes += session.request.len();
        self.order.push_back(id.clone());
        self.of.entry(session.owner).or_default().push_back(id.clone());
        self.by_id.insert(id, session);
        while let Some(oldest) = self.order.front() {
            let keep = self.by_id.get(oldest).is_some_and(|session| {
                now.saturating_sub(session.started) < MAX_AGE
                    && self.order.len() <= MAX_SESSIONS
                    && self.bytes <= MAX_TOTAL_BYTES
            });
            if keep {
                break;
            }
            if let Some(oldest) = self.order.pop_front() {
                self.remove(&oldest);
            }
        }
    }
}

impl Uia {
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of that id, if it is about this operation.
    fn find(&self, id: &str, operation: &Operation, now: Duration) -> Option<Session> {
        let sessions = self.lock();
        let session = sessions.by_id.get(id)?;
        let fits = session.what == operation.what
            && session.user == operation.user.as_ref().map(|(_, user)| *user)
            && now.saturating_sub(session.started) < MAX_AGE;
        fits.then(|| session.clone())
    }
}

/// The `auth` of a request.
#[derive(Debug, Default, Deserialize)]
struct Auth {
    #[serde(rename = "type")]
    kind: Option<String>,
    session: Option<String>,
    identifier: Option<Value>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

/// A request that wants to be authenticated.
#[derive(Debug)]
pub(crate) struct Attempt<T> {
    /// The request as it would be carried out.
    pub(crate) request: T,
    operation: Operation,
    auth: Option<Auth>,
    session: Option<(String, Session)>,
    /// The request without its `auth`.
    raw: Map<String, Value>,
}

impl<T: DeserializeOwned> Attempt<T> {
    /// Reads a request's body, or what its session remembers of it.
    pub(crate) fn read(state: &State, operation: Operation, body: &Bytes) -> Result<Self, Error> {
        let most = if operation.user.is_some() { MAX_REQUEST_BYTES } else { MAX_REQUEST_BYTES_OF_NOBODY };
        if body.len() > most {
            return Err(Error::too_large(format!("This request can have at most {most} bytes")));
        }
        let mut raw: Map<String, Value> = serde_json::from_slice(body).map_err(|error| shape(&error))?;
        let auth: Option<Auth> = match raw.remove("auth") {
            Some(auth) => serde_json::from_value(auth).map_err(|error| shape(&error))?,
            None => None,
        };
        let now = state.world.clock.monotonic();
        let id = auth.as_ref().and_then(|auth| auth.session.clone());
        let mut session = id.and_then(|id| {
            let session = state.uia().find(&id, &operation, now)?;
            Some((id, session))
        });
        if let Some((_, known)) = &session {
            let begun: Map<String, Value> = serde_json::from_str(&known.request).map_err(Error::internal)?;
            if raw.is_empty() {
                raw = begun;
            } else if raw != begun && !operation.may_change {
                session = None;
            }
        }
        let request = T::deserialize(Value::Object(raw.clone())).map_err(|error| shape(&error))?;
        Ok(Self { request, operation, auth, session, raw })
    }

    /// Goes one step further. Everything but the last step of a flow is an error, which tells the client what is left to
    /// do; the last step answers with what has been proved, and ends the session.
    pub(crate) async fn authenticate(self, state: &State) -> Result<(T, Proof), Error> {
        let Self { request, operation, auth, session, raw } = self;
        let expected = auth.as_ref().is_some_and(|auth| auth.session.is_some());
        let (id, mut session) = match session {
            Some(known) => known,
            None => begin(state, &operation, raw),
        };
        let left = |session: &Session| what_is_left(&id, &operation, session);
        let Some(auth) = auth else { return Err(Error::interactive(left(&session))) };
        if expected && auth.session.as_deref() != Some(id.as_str()) {
            return Err(failed(
                left(&session),
                ErrCode::Forbidden,
                "This session is not known, has expired, or was about another request: begin anew",
            ));
        }
        if let Some(kind) = &auth.kind {
            let stages = operation.flows.iter().copied().flatten();
            let Some(wanted) = stages.copied().find(|stage| stage.as_str() == kind) else {
                return Err(failed(
                    left(&session),
                    ErrCode::Unrecognized,
                    "This type of authentication is not offered",
                ));
            };
            if !session.completed.contains(&wanted) {
                if !is_next(&operation, &session, wanted) {
                    return Err(failed(left(&session), ErrCode::Forbidden, "It is not this stage's turn"));
                }
                match prove(state, &operation, wanted, &auth).await? {
                    Ok(proof) => {
                        session.completed.push(wanted);
                        session.proof.user = proof.user.or(session.proof.user);
                        session.proof.registration_token =
                            proof.registration_token.or(session.proof.registration_token);
                    }
                    Err(why) => {
                        fail(state, &id);
                        return Err(failed(left(&session), ErrCode::Forbidden, why));
                    }
                }
            }
        }
        if operation.flows.iter().any(|flow| flow.iter().all(|stage| session.completed.contains(stage))) {
            // Whoever takes the session out carries out its request, once.
            return match state.uia().lock().remove(&id) {
                Some(_) => Ok((request, session.proof)),
                None => Err(failed(left(&session), ErrCode::Forbidden, "This session has ended: begin anew")),
            };
        }
        keep(state, &id, &session);
        Err(Error::interactive(left(&session)))
    }
}

fn shape(error: &serde_json::Error) -> Error {
    Error::bad_json(format!("The request body is not as it should be: {error}"))
}

fn begin(state: &State, operation: &Operation, request: Map<String, Value>) -> (String, Session) {
    let id = state.world.random_text(24);
    let session = Session {
        what: operation.what.clone(),
        owner: operation.owner(),
        user: operation.user.as_ref().map(|(_, user)| *user),
        request: Value::Object(request).to_string().into(),
        started: state.world.clock.monotonic(),
        completed: Vec::new(),
        failures: 0,
        proof: Proof::default(),
    };
    state.uia().lock().insert(id.clone(), session.clone());
    (id, session)
}

/// Writes back what a step has proved, unless the session has ended meanwhile.
fn keep(state: &State, id: &str, session: &Session) {
    if let Some(known) = state.uia().lock().by_id.get_mut(id) {
        *known = Session { failures: known.failures, ..session.clone() };
    }
}

/// Counts a failed try, each of those that run beside each other, and ends a session that has failed too often.
fn fail(state: &State, id: &str) {
    let mut sessions = state.uia().lock();
    let Some(known) = sessions.by_id.get_mut(id) else { return };
    known.failures += 1;
    if known.failures >= MAX_FAILURES {
        sessions.remove(id);
    }
}

/// Whether some flow goes on with `stage` after what has been completed.
fn is_next(operation: &Operation, session: &Session, stage: Stage) -> bool {
    operation.flows.iter().any(|flow| {
        let done = session.completed.len();
        flow.get(..done) == Some(session.completed.as_slice()) && flow.get(done) == Some(&stage)
    })
}

fn what_is_left(id: &str, operation: &Operation, session: &Session) -> Map<String, Value> {
    let names = |stages: &[Stage]| stages.iter().map(|stage| stage.as_str()).collect::<Vec<_>>();
    let flows: Vec<Value> = operation.flows.iter().map(|flow| json!({ "stages": names(flow) })).collect();
    let mut body = Map::new();
    body.insert("flows".to_owned(), flows.into());
    body.insert("params".to_owned(), json!({}));
    body.insert("session".to_owned(), id.into());
    if !session.completed.is_empty() {
        body.insert("completed".to_owned(), json!(names(&session.completed)));
    }
    body
}

fn failed(body: Map<String, Value>, errcode: ErrCode, message: &'static str) -> Error {
    let mut error = Error::interactive(body);
    error.errcode = Some(errcode);
    error.message = message.into();
    error
}

/// Tries one stage: what it proves, or why it failed.
async fn prove(
    state: &State,
    operation: &Operation,
    wanted: Stage,
    auth: &Auth,
) -> Result<Result<Proof, &'static str>, Error> {
    match wanted {
        Stage::Dummy => Ok(Ok(Proof::default())),
        Stage::RegistrationToken => {
            let token = auth.token.as_deref().ok_or_else(|| Error::bad_json("auth lacks the token"))?;
            if state.users.registration_token_is_valid(token).await? {
                Ok(Ok(Proof { registration_token: Some(token.to_owned()), ..Proof::default() }))
            } else {
                Ok(Err("This registration token is not valid"))
            }
        }
        Stage::Password => {
            let password = auth.password.clone().ok_or_else(|| Error::bad_json("auth lacks the password"))?;
            let said = named_user(auth)?;
            let user_id = match (&said, &operation.user) {
                (Some(said), _) => local_user_id(said, state.users.server_name()),
                // Clients of old leave it out where the access token says it.
                (None, Some((user_id, _))) => Some(user_id.clone()),
                (None, None) => return Err(Error::bad_json("auth lacks the identifier")),
            };
            if let Some((expected, _)) = &operation.user
                && user_id.as_ref() != Some(expected)
            {
                return Ok(Err("This is not the user whose access token was given"));
            }
            if let Some(user_id) = &user_id {
                state.limits.user(Class::Login, user_id.as_str())?;
            }
            match state.users.check_password(user_id.as_deref(), password).await {
                Ok(user) => Ok(Ok(Proof { user: user_id.map(|user_id| (user_id, user)), ..Proof::default() })),
                Err(roost_users::Error::Credentials | roost_users::Error::Deactivated) => Ok(Err("Wrong password")),
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// Whom an `auth` of type password names.
fn named_user(auth: &Auth) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Identifier {
        #[serde(rename = "type")]
        kind: String,
        user: Option<String>,
    }

    let Some(identifier) = &auth.identifier else { return Ok(auth.user.clone()) };
    let identifier = Identifier::deserialize(identifier).map_err(|error| shape(&error))?;
    if identifier.kind != "m.id.user" {
        return Err(Error::bad_request(ErrCode::Unknown, "Users can be named by their user id only"));
    }
    identifier.user.map(Some).ok_or_else(|| Error::bad_json("identifier lacks the user"))
}

#[cfg(test)]
mod tests;
