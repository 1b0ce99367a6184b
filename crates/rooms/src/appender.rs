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
use roost_store::{EventNo, Position, Read, RoomNo, Sequence, Tx, rooms, transactions::TransactionKey};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Error, Room, Rooms,
    commit::{Found, Needs, NotCommitted, Plan},
    head::{Built, Head, Step, Wanted},
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

pub(crate) struct Job {
    wanted: Wanted,
    answer: oneshot::Sender<Answer>,
}

/// The open doors.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<HashMap<RoomNo, mpsc::Sender<Job>>>);

/// Keys of the state that a head keeps at most between batches.
const MAX_KNOWN: usize = 1024;

impl Rooms {
    /// Hands a request to the room's appender and waits until it is committed or refused.
    pub(crate) async fn enqueue(&self, room: &Arc<Room>, wanted: Wanted) -> Answer {
        let (answer, answered) = oneshot::channel();
        let mut job = Job { wanted, answer };
        loop {
            let door = self.door(room);
            match door.send(job).await {
                Ok(()) => break,
                // It closed between our asking and our sending.
                Err(mpsc::error::SendError(back)) => job = back,
            }
        }
        answered.await.unwrap_or(Err(Error::Stopping))
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
    outcomes: Vec<Outcome>,
    /// What was sent under which transaction id, by this batch or before.
    sent: HashMap<TransactionKey, OwnedEventId>,
}

enum Outcome {
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

    async fn append(&mut self, jobs: &mut Vec<Job>) {
        note_batch(jobs.len());
        let (wanted, answers): (Vec<_>, Vec<_>) = jobs.drain(..).map(|job| (job.wanted, job.answer)).unzip();
        let wanted = Arc::new(wanted);
        match self.commit(&wanted).await {
            Ok(outcomes) => {
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    // Who no longer waits does not need an answer.
                    drop(answer.send(outcome));
                }
                if let Some(head) = self.head.as_mut().filter(|head| head.size() > MAX_KNOWN) {
                    head.shrink();
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
            let (plan, outcomes) = self.build(wanted, first).await?;
            if plan.built.is_empty() {
                return Ok(answers(&plan.built, outcomes, &[]));
            }
            let plan = Arc::new(plan);
            let job = plan.clone();
            match self.rooms.0.store.write(move |tx| job.write(tx)).await {
                Ok(slots) => {
                    self.committed(&plan);
                    let positions: Vec<_> = slots.iter().map(roost_store::Slot::position).collect();
                    return Ok(answers(&plan.built, outcomes, &positions));
                }
                Err(NotCommitted::Stale) => {
                    metrics::counter!("roost_room_heads_lost").increment(1);
                    self.head = None;
                }
                Err(NotCommitted::Error(error)) => return Err(error),
            }
        }
        self.commit_locked(wanted, first).await
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
        let (rooms, room, job) = (self.rooms.clone(), self.room.clone(), wanted.clone());
        let locked = move |tx: &Tx<'_>| {
            rooms::lock(tx, room.no)?;
            let mut head = rooms.load_head(tx, &room)?;
            let (mut batch, mut needs) = Batch::start(&head, &job);
            loop {
                batch.learn(&mut head, rooms.find(tx, &room, &needs)?);
                match batch.build(&rooms, &room, &mut head, &job, first) {
                    Some(more) => needs = more,
                    None => break,
                }
            }
            let plan = batch.plan(&room, &head);
            let slots = if plan.1.built.is_empty() { Vec::new() } else { plan.1.write(tx)? };
            Ok::<_, NotCommitted>((plan.1, plan.0, slots))
        };
        match self.rooms.0.store.write(move |tx| locked(tx)).await {
            Ok((plan, outcomes, slots)) => {
                // The head was built inside; the next batch reads it anew.
                self.head = None;
                self.committed(&plan);
                let positions: Vec<_> = slots.iter().map(roost_store::Slot::position).collect();
                Ok(answers(&plan.built, outcomes, &positions))
            }
            Err(NotCommitted::Stale) => Err(Error::Damaged("a locked head was moved".to_owned())),
            Err(NotCommitted::Error(error)) => Err(error),
        }
    }

    /// Chains, authorises and signs on the head in memory, looking up what it lacks.
    async fn build(&mut self, wanted: &Arc<Vec<Wanted>>, first: EventNo) -> Result<(Plan, Vec<Outcome>), Error> {
        if self.head.is_none() {
            let (rooms, room) = (self.rooms.clone(), self.room.clone());
            self.head = Some(self.rooms.0.store.read(move |read| rooms.load_head(read, &room)).await?);
        }
        let Some(head) = &mut self.head else { return Err(Error::UnknownRoom) };
        let (mut batch, mut needs) = Batch::start(head, wanted);
        loop {
            if !needs.is_empty() {
                let (rooms, room) = (self.rooms.clone(), self.room.clone());
                let found = self.rooms.0.store.read(move |read| rooms.find(read, &room, &needs)).await?;
                batch.learn(head, found);
            }
            match batch.build(&self.rooms, &self.room, head, wanted, first) {
                Some(more) => needs = more,
                None => break,
            }
        }
        let (outcomes, plan) = batch.plan(&self.room, head);
        Ok((plan, outcomes))
    }
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
                self.outcomes.push(Outcome::Same(event_id.clone()));
                continue;
            }
            let no = EventNo(first.0.saturating_add(i64::try_from(self.outcomes.len()).unwrap_or(i64::MAX)));
            let outcome = match head.extend(&rooms.0.identity, Some(&room.id), no, one) {
                Ok(Step::Built(built)) => {
                    if let Some(key) = &built.transaction {
                        self.sent.insert(key.clone(), built.stored.pdu.event_id().to_owned());
                    }
                    self.built.push(*built);
                    Outcome::New(self.built.len() - 1)
                }
                Ok(Step::Same(event_id)) => Outcome::Same(event_id),
                Ok(Step::Missing(keys)) => return Some(Needs { keys, transactions: Vec::new() }),
                Err(error) => Outcome::Refused(error),
            };
            self.outcomes.push(outcome);
        }
        None
    }

    fn plan(self, room: &Room, head: &Head) -> (Vec<Outcome>, Plan) {
        let plan = Plan { room: room.no, revision: head.revision, head: head.at, built: self.built, create: None };
        (self.outcomes, plan)
    }
}

fn answers(built: &[Built], outcomes: Vec<Outcome>, positions: &[Option<Position>]) -> Vec<Answer> {
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::New(at) => match built.get(at) {
                Some(built) => Ok(Appended {
                    event_id: built.stored.pdu.event_id().to_owned(),
                    position: positions.get(at).copied().flatten(),
                }),
                None => Err(Error::Stopping),
            },
            Outcome::Same(event_id) => Ok(Appended { event_id, position: None }),
            Outcome::Refused(error) => Err(error),
        })
        .collect()
}

impl Rooms {
    /// The head as it is stored.
    pub(crate) fn load_head(&self, read: &Read<'_>, room: &Room) -> Result<Head, Error> {
        let row = rooms::by_no(read, room.no)?.ok_or(Error::UnknownRoom)?;
        let tip = self.stored(read, room, &[row.head.event])?;
        let tip =
            tip.first().ok_or_else(|| Error::Damaged(format!("the last event of room {} is missing", room.id)))?;
        Ok(Head::stored(&row, room.rules, tip.pdu.clone()))
    }
}

#[cfg(test)]
mod tests;
