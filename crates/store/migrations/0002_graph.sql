-- oldest-reader: 1
-- oldest-writer: 1

-- Rooms: the event graph, histories, state, memberships, aliases, the directory.
--
-- A room's history is ordered by `idx`, its place. The live history grows at its end; what is filled in later goes before
-- what it leads up to. Where events are missing the places leap, so that there is room for them.

-- One row a room. `revision` counts commits: the compare-and-swap of the room's appender. `tips` are the forward extremities (a
-- list of event numbers), `depth` is that of the deepest of them, `state_no` the snapshot of the state that they make together;
-- `idx` is the last place. `joined` and `invited` count members. `partial`: members are missing from the state.
CREATE TABLE rooms (
    room_no BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL,
    revision BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    depth BIGINT NOT NULL,
    tips {bytes} NOT NULL,
    state_no BIGINT NOT NULL,
    joined BIGINT NOT NULL,
    invited BIGINT NOT NULL,
    partial BOOLEAN NOT NULL,
    published BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
){clustered};

-- Rooms that could be used before all their members were known. `event_no` is the join with which the room was taken in, `servers`
-- is a JSON list of those that know the rest, `whole_at` the position of the log since which all are known.
CREATE TABLE partial_rooms (
    room_no BIGINT NOT NULL PRIMARY KEY,
    event_no BIGINT NOT NULL,
    servers TEXT NOT NULL,
    since BIGINT NOT NULL,
    whole_at BIGINT
){clustered};

CREATE INDEX rooms_published ON rooms (joined, room_no) WHERE published;

-- Events as they were accepted: `json` is the canonical PDU with hashes and signatures, without `unsigned`.
-- `idx` is the place in the history; NULL: it has none (outliers, rejected and soft-failed events). `standing`: 0 accepted,
-- 1 outlier, 2 soft-failed, 3 rejected, 4 rejected outlier. `before_no` is the snapshot of the state before it, NULL for outliers;
-- `after_no` that after it, for anchors: events that change the state, or before which it is not what one other event left.
-- So every snapshot that is in use is named by an anchor. `replaces` is the state event that this one replaced where it stands. `device` and
-- `txn_id` are how it was sent, for events of this server's users.
CREATE TABLE events (
    event_no {number} NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    room_no BIGINT NOT NULL,
    idx BIGINT,
    standing BIGINT NOT NULL,
    before_no BIGINT,
    after_no BIGINT,
    replaces BIGINT,
    device TEXT,
    txn_id TEXT,
    json {bytes} NOT NULL
);

CREATE INDEX events_outside ON events (room_no, event_no) WHERE idx IS NULL;
CREATE INDEX events_anchors ON events (room_no, before_no, after_no) WHERE after_no IS NOT NULL;

-- Where events of others came from, and why one was rejected or soft-failed.
CREATE TABLE event_origins (
    event_no BIGINT NOT NULL PRIMARY KEY,
    origin TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    reason TEXT
){clustered};

-- Edges into the unknown: events that are cited as `prev_events` and that are not here. Where the citing event has a place, the history
-- has a gap before it. `tries` and `next_try` are of the search for the missing event.
CREATE TABLE missing_events (
    room_no BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    cited_by BIGINT NOT NULL,
    idx BIGINT,
    tries BIGINT NOT NULL,
    next_try BIGINT NOT NULL,
    PRIMARY KEY (room_no, event_id, cited_by)
){clustered};

CREATE INDEX missing_events_idx ON missing_events (room_no, idx);

-- `position` is that of the log at which it became visible; NULL: it was filled in later. `aside`: the state before it is not the room's
-- current state as of its place (it was filled in, or came from another branch of the graph), so that who may see it is judged by its own.
CREATE TABLE timeline (
    room_no BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    event_no BIGINT NOT NULL,
    position BIGINT,
    aside BOOLEAN NOT NULL,
    PRIMARY KEY (room_no, idx)
){clustered};

CREATE INDEX timeline_asides ON timeline (room_no, idx) WHERE aside;
CREATE INDEX timeline_position ON timeline (room_no, position);

-- Which redaction hides an event's content. The first one counts. `erased`: the stored bytes are redacted, too.
CREATE TABLE redactions (
    event_no BIGINT NOT NULL PRIMARY KEY,
    redaction BIGINT NOT NULL,
    redacted_at BIGINT NOT NULL,
    erased BOOLEAN NOT NULL
);

CREATE INDEX redactions_kept ON redactions (redacted_at) WHERE NOT erased;

-- Redactions of events that are not here (yet).
CREATE TABLE awaited_redactions (
    room_no BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    redaction BIGINT NOT NULL,
    PRIMARY KEY (room_no, event_id, redaction)
){clustered};

-- How the room's current state came about: each change of it, at the place of the event with which it happened, so that the
-- current state of any moment is the latest change of each key at or before it. `event_no` NULL: the key was no longer set.
-- `word` is what visibility is decided by: the membership of a member event, the value of m.room.history_visibility.
CREATE TABLE state_changes (
    room_no BIGINT NOT NULL,
    kind TEXT NOT NULL,
    state_key TEXT NOT NULL,
    idx BIGINT NOT NULL,
    event_no BIGINT,
    word TEXT,
    PRIMARY KEY (room_no, kind, state_key, idx)
){clustered};

CREATE INDEX state_changes_idx ON state_changes (room_no, idx);

-- The state now.
CREATE TABLE current_state (
    room_no BIGINT NOT NULL,
    kind TEXT NOT NULL,
    state_key TEXT NOT NULL,
    event_no BIGINT NOT NULL,
    PRIMARY KEY (room_no, kind, state_key)
){clustered};

-- Who stands how to which room. `idx` is where the present membership began, `event` the latest member event.
CREATE TABLE memberships (
    user_no BIGINT NOT NULL,
    room_no BIGINT NOT NULL,
    membership BIGINT NOT NULL,
    event_no BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    sender BIGINT NOT NULL,
    position BIGINT NOT NULL,
    forgotten BOOLEAN NOT NULL,
    PRIMARY KEY (user_no, room_no)
){clustered};

CREATE INDEX memberships_room ON memberships (room_no, membership, idx);

-- What was sent with a transaction id, so that a repeated request gets the first one's answer. `digest` is of user, device,
-- endpoint and transaction id; as it is short, the event itself is asked whether it is the one.
CREATE TABLE transactions (
    room_no BIGINT NOT NULL,
    digest BIGINT NOT NULL,
    event_no BIGINT NOT NULL,
    PRIMARY KEY (room_no, digest, event_no)
){clustered};

CREATE TABLE aliases (
    alias TEXT NOT NULL PRIMARY KEY,
    room_no BIGINT NOT NULL,
    creator BIGINT NOT NULL,
    created_at BIGINT NOT NULL
){clustered};

CREATE INDEX aliases_room ON aliases (room_no);
