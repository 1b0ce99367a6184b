-- oldest-reader: 1
-- oldest-writer: 1

-- Rooms: events, histories, state, memberships, aliases, the directory.
--
-- A room's history is (segment, idx): segments are ordered, the live one grows at its end. `idx` counts from 1.

-- One row a room. `revision` counts commits: the compare-and-swap of the room's appender. (segment, idx, event, depth)
-- are the head, `joined` and `invited` count members, as of the head.
CREATE TABLE rooms (
    room_no BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL,
    revision BIGINT NOT NULL,
    segment BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    event_no BIGINT NOT NULL,
    depth BIGINT NOT NULL,
    joined BIGINT NOT NULL,
    invited BIGINT NOT NULL,
    published BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
){clustered};

CREATE INDEX rooms_published ON rooms (joined, room_no) WHERE published;

-- Events as they were accepted: `json` is the canonical PDU with hashes and signatures, without `unsigned`.
-- `replaces` is the state event that this one replaced where it stands. `device` and `txn_id` are how it was sent, for
-- events of this server's users.
CREATE TABLE events (
    event_no {number} NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    room_no BIGINT NOT NULL,
    segment BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    replaces BIGINT,
    device TEXT,
    txn_id TEXT,
    json {bytes} NOT NULL
);

CREATE TABLE timeline (
    room_no BIGINT NOT NULL,
    segment BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    event_no BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (room_no, segment, idx)
){clustered};

CREATE INDEX timeline_position ON timeline (room_no, position);

-- Which redaction hides an event's content. The first one counts.
CREATE TABLE redactions (
    event_no BIGINT NOT NULL PRIMARY KEY,
    redaction BIGINT NOT NULL
);

-- Every change of state, so that the state at any index is the latest change of each key at or before it.
-- `word` is what visibility is decided by: the membership of a member event, the value of m.room.history_visibility.
CREATE TABLE state_changes (
    room_no BIGINT NOT NULL,
    kind TEXT NOT NULL,
    state_key TEXT NOT NULL,
    idx BIGINT NOT NULL,
    event_no BIGINT NOT NULL,
    word TEXT,
    PRIMARY KEY (room_no, kind, state_key, idx)
){clustered};

CREATE INDEX state_changes_idx ON state_changes (room_no, idx);

-- The state at the head.
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
