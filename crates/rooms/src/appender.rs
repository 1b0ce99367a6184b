//! One door per room: the appender, a task that runs while a room is being written to.
//!
//! It drains the waiting requests into a batch, chains them on the head that it keeps in memory, authorises and signs
//! them, and commits them as one write with a compare-and-swap on the stored head. While that commit is under way the
//! next batch gathers, so that twenty senders in one room share commits. When somebody else moved the head first (another
//! node, another engine on the same database), the head is read anew and the batch built again; after a few such losses
//! it is built under the room's row lock.
//!
//! Nobody is answered before the commit. A commit that fails answers its whole batch with the error, and the head in
//! memory is dropped with what it had been moved by.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use roost_matrix::ids::OwnedEventId;
use roost_store::{
    EventNo, Position, Read, RoomNo, Sequence, Slot, Tx, auth_chains, rooms, state_map::Numbers,
    transactions::TransactionKey,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Error, Room, Rooms,
    commit::{Found, Needs, NotCommitted, Plan},
    head::{Built, Head, Step, Wanted},
    receive::{
        Bundle, Outcome,
        judge::{Judged, Verdict},
    },
    surround::{Keys, surround, surround_messages},
};

/// What an append led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event: the new one, or the one that an earlier request with the same transaction id had made, or the state
    /// event that was already there.
    pub event_id: OwnedEventId,
    /// Its position in the log, when it is new.
    pub position: Option<Position>,
}

type Answer = Result<Appended, Error>;

type Verdicts = Result<Vec<Outcome>, Error>;

pub(crate) enum Job {
    /// An event of this server.
    Append(Box<Wanted>, oneshot::Sender<Answer>),
    /// Events of other servers.
    Receive(Arc<Bundle>, oneshot::Sender<Verdicts>),
}

/// The open doors.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<HashMap<RoomNo, mpsc::Sender<Job>>>);

impl Doors {
    /// Whether somebody writes to the room, or has lately.
    pub(crate) fn is_open(&self, room: RoomNo) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&room).is_some_and(|door| !door.is_closed())
    }
}

/// How often the last resort is tried: each time but the last, state keys came to be needed that had no numbers yet.
const LOCKED_TRIES: usize = 8;
/// How often the head may be lost to others while a bundle of received events is put into the graph.
const MAX_LOST: usize = 100;
/// Blocks of state that a change writes at most: three for each level, of which a hundred million keys have five, and then some.
const BLOCKS: usize = 24;
/// Keys of the state that a head keeps at most between batches.
const MAX_KNOWN: usize = 1024;

impl Rooms {
    /// Hands a request to the room's appender and waits until it is committed or refused.
    pub(crate) async fn enqueue(&self, room: &Arc<Room>, wanted: Wanted) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.bring(room, Job::Append(Box::new(wanted), answer)).await;
        answered.await.unwrap_or(Err(Error::Stopping))
    }

    /// Hands events of other servers to the room's appender and waits until they are committed.
    pub(crate) async fn enqueue_received(&self, room: &Arc<Room>, bundle: Arc<Bundle>) -> Verdicts {
        let (answer, answered) = oneshot::channel();
        self.bring(room, Job::Receive(bundle, answer)).await;
        answered.await.unwrap_or(Err(Error::Stopping))
    }

    async fn bring(&self, room: &Arc<Room>, mut job: Job) {
        loop {
            let door = self.door(room);
            match door.send(job).await {
                Ok(()) => return,
                // It closed between our asking and our sending.
                Err(mpsc::error::SendError(back)) => job = back,
            }
        }
    }

    fn door(&self, room: &Arc<Room>) -> mpsc::Sender<Job> {
        let mut doors = self.0.doors.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get(&room.no).filter(|door| !door.is_closed()) {
            return door.clone();
        }
        let (sender, receiver) = mpsc::channel(self.0.options.queue.max(1));
        doors.insert(room.no, sender.clone());
        note_open(doors.len());
        // Beyond the wanted number a door closes as soon as it has nothing to do.
        let idle = if doors.len() > self.0.options.appenders { Duration::ZERO } else { self.0.options.idle };
        drop(doors);
        let appender = Appender { rooms: self.clone(), room: room.clone(), head: None, idle };
        self.0.world.executor.spawn("room appender", Box::pin(appender.run(receiver)));
        sender
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric, and far below 2^52")]
fn note_open(count: usize) {
    metrics::gauge!("roost_room_appenders").set(count as f64);
}

#[expect(clippy::cast_precision_loss, reason = "a metric, and far below 2^52")]
fn note_batch(events: usize) {
    metrics::histogram!("roost_room_batch_events").record(events as f64);
}

struct Appender {
    rooms: Rooms,
    room: Arc<Room>,
    head: Option<Head>,
    idle: Duration,
}

/// A batch on its way: what is built, and what each request will be answered.
#[derive(Default)]
struct Batch {
    built: Vec<Built>,
    outcomes: Vec<Led>,
    /// What was sent under which transaction id, by this batch or before.
    sent: HashMap<TransactionKey, OwnedEventId>,
}

enum Led {
    /// The event of this place in `built`.
    New(usize),
    Same(OwnedEventId),
    Refused(Error),
}

impl Appender {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let limit = self.rooms.0.options.batch.max(1);
        let mut batch = Vec::with_capacity(limit);
        let mut closed = false;
        loop {
            let idle = self.rooms.0.world.clock.sleep(self.idle);
            tokio::select! {
                biased;
                _ = jobs.recv_many(&mut batch, limit) => {}
                () = idle => {}
            }
            if !batch.is_empty() {
                self.append(&mut batch).await;
            } else if closed {
                return;
            } else {
                closed = self.close(&mut jobs);
            }
        }
    }

    /// Closes the door unless somebody waits before it. Under the lock nobody is given this door any more, and who was given
    /// it before and sends later is told that it is closed; what was sent already is still there to be received.
    fn close(&self, jobs: &mut mpsc::Receiver<Job>) -> bool {
        let mut doors = self.rooms.0.doors.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !jobs.is_empty() {
            return false;
        }
        jobs.close();
        doors.remove(&self.room.no);
        note_open(doors.len());
        true
    }

    /// Requests that stand together are committed together; events of other servers by themselves.
    async fn append(&mut self, jobs: &mut Vec<Job>) {
        note_batch(jobs.len());
        let (mut wanted, mut answers) = (Vec::new(), Vec::new());
        for job in jobs.drain(..) {
            match job {
                Job::Append(one, answer) => {
                    wanted.push(*one);
                    answers.push(answer);
                }
                Job::Receive(bundle, answer) => {
                    self.append_own(std::mem::take(&mut wanted), std::mem::take(&mut answers)).await;
                    let verdicts = self.receive(&bundle).await;
                    if verdicts.is_err() {
                        self.head = None;
                    }
                    // Who no longer waits does not need an answer.
                    drop(answer.send(verdicts));
                }
            }
        }
        self.append_own(wanted, answers).await;
        if let Some(head) = self.head.as_mut().filter(|head| head.size() > MAX_KNOWN) {
            head.shrink();
        }
    }

    async fn append_own(&mut self, wanted: Vec<Wanted>, answers: Vec<oneshot::Sender<Answer>>) {
        if wanted.is_empty() {
            return;
        }
        match self.commit(&Arc::new(wanted)).await {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    drop(answer.send(outcome));
                }
            }
            Err(error) => {
                self.head = None;
                for answer in answers {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }

    async fn commit(&mut self, wanted: &Arc<Vec<Wanted>>) -> Result<Vec<Answer>, Error> {
        let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        let first = EventNo(self.rooms.0.store.take_numbers(Sequence::Event, count).await?);
        for _ in 0..self.rooms.0.options.tries {
            let batch = self.build(wanted, first).await?;
            if batch.built.is_empty() {
                return Ok(answers(&[], batch.outcomes, &[]));
            }
            let plan = self.plan(batch.built).await?;
            if let Some((plan, slots)) = self.write(plan).await? {
                return Ok(answers(&plan.built, batch.outcomes, &slots));
            }
        }
        self.commit_locked(wanted, first).await
    }

    /// Works out the snapshots around the events on the head.
    async fn plan(&mut self, mut built: Vec<Built>) -> Result<Plan, Error> {
        let rooms = self.rooms.clone();
        let Some(mut head) = self.head.take() else { return Err(Error::UnknownRoom) };
        let mut planner = rooms.0.states.planner(self.room.no);
        if built.iter().all(|built| built.stored.pdu.state_key().is_none()) {
            surround_messages(&planner, &mut head, &mut built);
            let (states, now) = (planner.finish().await?, rooms.0.world.now_ms());
            let plan = Plan::new(self.room.no, &mut head, built, states, None, None, now);
            self.head = Some(head);
            return Ok(plan);
        }
        let keys = rooms.intern_state_keys(built.iter().map(|built| &built.stored.pdu)).await?;
        let (engine, no) = (rooms.clone(), self.room.no);
        let (mut head, built, planner, chains) = rooms
            .0
            .store
            .read(move |read| {
                surround(read, &mut planner, &mut head, &mut built, &keys)?;
                let chains = engine.index(read, no, &built, &keys)?;
                Ok::<_, Error>((head, built, planner, chains))
            })
            .await?;
        let (states, now) = (planner.finish().await?, rooms.0.world.now_ms());
        let plan = Plan::new(no, &mut head, built, states, Some(Arc::new(chains)), None, now);
        self.head = Some(head);
        Ok(plan)
    }

    /// Commits a plan; `None`, and no head any more, when somebody else moved the head first.
    async fn write(&mut self, plan: Plan) -> Result<Option<(Arc<Plan>, Vec<Option<Slot>>)>, Error> {
        let plan = Arc::new(plan);
        let job = plan.clone();
        match self.rooms.0.store.write(move |tx| job.write(tx)).await {
            Ok(slots) => {
                self.committed(&plan);
                Ok(Some((plan, slots)))
            }
            Err(NotCommitted::Stale) => {
                metrics::counter!("roost_room_heads_lost").increment(1);
                self.head = None;
                Ok(None)
            }
            Err(NotCommitted::Error(error)) => {
                self.head = None;
                Err(error)
            }
        }
    }

    fn committed(&mut self, plan: &Plan) {
        for built in &plan.built {
            self.rooms.0.events.put(built.stored.clone());
        }
        if let Some(head) = &mut self.head {
            head.revision = plan.revision + 1;
        }
        metrics::counter!("roost_room_events").increment(plan.built.len() as u64);
    }

    /// Builds and commits while nobody else can move the head. The signing is in the closure, which is why it is the
    /// last resort.
    async fn commit_locked(&mut self, wanted: &Arc<Vec<Wanted>>, first: EventNo) -> Result<Vec<Answer>, Error> {
        for _ in 0..LOCKED_TRIES {
            // What the closure can not do itself: give numbers to state keys, blocks and snapshots, and places in the index of
            // auth chains, which must not read what may be undone.
            self.head = None;
            let built = self.build(wanted, first).await?.built;
            let keys = self.rooms.intern_state_keys(built.iter().map(|built| &built.stored.pdu)).await?;
            let changes = built.iter().filter(|built| built.stored.pdu.state_key().is_some()).count();
            let numbers = Numbers::take(&self.rooms.0.store, changes * BLOCKS, changes).await?;
            let (rooms, room, job) = (self.rooms.clone(), self.room.clone(), wanted.clone());
            let outside = self
                .rooms
                .0
                .store
                .read(move |read| {
                    let chains = Arc::new(rooms.index(read, room.no, &built, &keys)?);
                    let auth = built.into_iter().map(|built| (built.stored.no, built.auth)).collect();
                    Ok::<_, Error>(Outside { keys, numbers, chains, auth })
                })
                .await?;
            let (rooms, room) = (self.rooms.clone(), self.room.clone());
            let locked = move |tx: &Tx<'_>| locked(tx, &rooms, &room, &job, first, &outside);
            // The head was built inside; the next batch reads it anew.
            self.head = None;
            match self.rooms.0.store.write(locked).await {
                Ok((plan, outcomes, slots)) => {
                    if let Some(plan) = &plan {
                        self.committed(plan);
                    }
                    return Ok(answers(plan.as_ref().map_or(&[], |plan| &plan.built), outcomes, &slots));
                }
                // The state moved on meanwhile, and other keys are needed.
                Err(NotCommitted::Stale) => {}
                Err(NotCommitted::Error(error)) => return Err(error),
            }
        }
        Err(Error::Contended)
    }

    /// Judges events of other servers and puts them into the graph, in as many commits as it takes.
    async fn receive(&mut self, bundle: &Arc<Bundle>) -> Verdicts {
        let rooms = self.rooms.clone();
        let names = Arc::new(rooms.intern_bundle(bundle).await?);
        let mut outcomes = Vec::with_capacity(bundle.events.len());
        let mut lost = 0;
        while outcomes.len() < bundle.events.len() {
            let head = self.take_head().await?;
            let count = u32::try_from(bundle.outliers.len() + bundle.events.len()).map_err(|_| Error::TooLarge)?;
            let first = EventNo(rooms.0.store.take_numbers(Sequence::Event, count).await?);
            let (engine, room, work) = (rooms.clone(), self.room.clone(), bundle.clone());
            let (names, done) = (names.clone(), outcomes.len());
            let judging = move |read: &Read<'_>| engine.judge(read, &room, head, &work, done, &names, first);
            let Judged { mut head, built, planner, chains, verdicts, resets } = rooms.0.store.read(judging).await?;
            if built.is_empty() && verdicts.is_empty() {
                return Err(Error::Damaged("received events can not be judged".to_owned()));
            }
            let mut slots = Vec::new();
            if built.is_empty() {
                self.head = Some(head);
            } else {
                let (states, now) = (planner.finish().await?, rooms.0.world.now_ms());
                let plan = Plan::new(self.room.no, &mut head, built, states, Some(Arc::new(chains)), None, now);
                self.head = Some(head);
                let Some((_, written)) = self.write(plan).await? else {
                    lost += 1;
                    if lost == MAX_LOST {
                        return Err(Error::Contended);
                    }
                    continue;
                };
                slots = written;
                for reset in resets {
                    rooms.note_reset(&self.room, reset).await?;
                }
            }
            outcomes.extend(verdicts.into_iter().map(|verdict| match verdict {
                Verdict::Accepted(at) => {
                    let slot = slots.get(at).and_then(Option::as_ref);
                    Outcome::Accepted(slot.and_then(Slot::position).unwrap_or(Position::START))
                }
                Verdict::Other(outcome) => outcome,
            }));
        }
        Ok(outcomes)
    }

    async fn take_head(&mut self) -> Result<Head, Error> {
        if let Some(head) = self.head.take() {
            return Ok(head);
        }
        let (rooms, room) = (self.rooms.clone(), self.room.clone());
        self.rooms.0.store.read(move |read| rooms.load_head(read, &room)).await
    }

    /// Chains, authorises and signs on the head in memory, looking up what it lacks.
    async fn build(&mut self, wanted: &Arc<Vec<Wanted>>, first: EventNo) -> Result<Batch, Error> {
        let mut head = self.take_head().await?;
        let (mut batch, mut needs) = Batch::start(&head, wanted);
        loop {
            if !needs.is_empty() {
                let (rooms, room) = (self.rooms.clone(), self.room.clone());
                let found = self.rooms.0.store.read(move |read| rooms.find(read, &room, &needs)).await?;
                batch.learn(&mut head, found);
            }
            match batch.build(&self.rooms, &self.room, &mut head, wanted, first) {
                Some(more) => needs = more,
                None => break,
            }
        }
        self.head = Some(head);
        Ok(batch)
    }
}

/// What the last resort is given.
struct Outside {
    keys: Keys,
    numbers: Numbers,
    chains: Arc<auth_chains::Plan>,
    /// What each event cites that the places in the index are made for.
    auth: HashMap<EventNo, Vec<EventNo>>,
}

/// What the last resort writes: the plan, unless there is nothing to write, what each request led to, the positions.
type Locked = (Option<Arc<Plan>>, Vec<Led>, Vec<Option<Slot>>);

fn locked(
    tx: &Tx<'_>,
    rooms: &Rooms,
    room: &Arc<Room>,
    wanted: &[Wanted],
    first: EventNo,
    outside: &Outside,
) -> Result<Locked, NotCommitted> {
    rooms::lock(tx, room.no)?;
    let mut head = rooms.load_head(tx, room)?;
    let (mut batch, mut needs) = Batch::start(&head, wanted);
    loop {
        batch.learn(&mut head, rooms.find(tx, room, &needs)?);
        match batch.build(rooms, room, &mut head, wanted, first) {
            Some(more) => needs = more,
            None => break,
        }
    }
    let Batch { mut built, outcomes, .. } = batch;
    if built.is_empty() {
        return Ok((None, outcomes, Vec::new()));
    }
    let is_foreseen = |built: &Built| {
        built.stored.pdu.state_key().is_none()
            || outside.keys.has(&built.stored.pdu) && outside.auth.get(&built.stored.no) == Some(&built.auth)
    };
    if !built.iter().all(is_foreseen) || built.len() != outside.auth.len() {
        return Err(NotCommitted::Stale);
    }
    let mut planner = rooms.0.states.planner(room.no);
    surround(tx, &mut planner, &mut head, &mut built, &outside.keys)?;
    let (states, now) = (planner.finish_with(outside.numbers)?, rooms.0.world.now_ms());
    let plan = Arc::new(Plan::new(room.no, &mut head, built, states, Some(outside.chains.clone()), None, now));
    let slots = plan.write(tx)?;
    Ok((Some(plan), outcomes, slots))
}

impl Batch {
    fn start(head: &Head, wanted: &[Wanted]) -> (Self, Needs) {
        let mut needs = Needs::default();
        for one in wanted {
            head.needs(one, &mut needs.keys);
            if let Some(transaction) = &one.transaction {
                needs.transactions.push(transaction.clone());
            }
        }
        (Self { outcomes: Vec::with_capacity(wanted.len()), ..Self::default() }, needs)
    }

    fn learn(&mut self, head: &mut Head, found: Found) {
        for (key, fact) in found.facts {
            head.learn(&key, fact);
        }
        self.sent.extend(found.sent);
    }

    /// Goes on where it stopped; `Some` when something must be looked up first.
    fn build(
        &mut self,
        rooms: &Rooms,
        room: &Room,
        head: &mut Head,
        wanted: &[Wanted],
        first: EventNo,
    ) -> Option<Needs> {
        while let Some(one) = wanted.get(self.outcomes.len()) {
            if let Some(event_id) = one.transaction.as_ref().and_then(|key| self.sent.get(key)) {
                self.outcomes.push(Led::Same(event_id.clone()));
                continue;
            }
            let no = EventNo(first.0.saturating_add(i64::try_from(self.outcomes.len()).unwrap_or(i64::MAX)));
            let outcome = match head.extend(&rooms.0.identity, Some(&room.id), no, one) {
                Ok(Step::Built(built)) => {
                    if let Some(key) = &built.transaction {
                        self.sent.insert(key.clone(), built.stored.pdu.event_id().to_owned());
                    }
                    self.built.push(*built);
                    Led::New(self.built.len() - 1)
                }
                Ok(Step::Same(event_id)) => Led::Same(event_id),
                Ok(Step::Missing(keys)) => return Some(Needs { keys, transactions: Vec::new() }),
                Err(error) => Led::Refused(error),
            };
            self.outcomes.push(outcome);
        }
        None
    }
}

fn answers(built: &[Built], outcomes: Vec<Led>, slots: &[Option<Slot>]) -> Vec<Answer> {
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Led::New(at) => match built.get(at) {
                Some(built) => Ok(Appended {
                    event_id: built.stored.pdu.event_id().to_owned(),
                    position: slots.get(at).and_then(|slot| slot.as_ref()?.position()),
                }),
                None => Err(Error::Stopping),
            },
            Led::Same(event_id) => Ok(Appended { event_id, position: None }),
            Led::Refused(error) => Err(error),
        })
        .collect()
}

impl Rooms {
    /// The head as it is stored.
    pub(crate) fn load_head(&self, read: &Read<'_>, room: &Room) -> Result<Head, Error> {
        let row = rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?;
        let damaged = |what: &str| Error::Damaged(format!("room {}: {what}", room.id));
        let tips = self.stored(read, room, &row.head.tips)?;
        if tips.len() != row.head.tips.len() {
            return Err(damaged("a tip of its graph is missing"));
        }
        let state = self.0.states.snapshot(read, room.no, row.head.state)?;
        let state = state.ok_or_else(|| damaged("its state is missing"))?;
        let tips = tips.into_iter().map(|tip| tip.pdu.clone()).collect();
        Ok(Head::stored(row, room.rules, tips, Some(state)))
    }
}

#[cfg(test)]
mod tests;
