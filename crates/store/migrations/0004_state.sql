-- oldest-reader: 1
-- oldest-writer: 1

-- Room state as persistent maps: numbers of (event type, state key) to numbers of events, in blocks that snapshots share.

CREATE TABLE state_keys (
    state_key_no BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    state_key TEXT NOT NULL,
    UNIQUE (kind, state_key)
);

-- Parts of maps. They never change, their numbers are never used again, and rooms do not share them.
CREATE TABLE state_blocks (
    room_no BIGINT NOT NULL,
    block_no BIGINT NOT NULL,
    body {bytes} NOT NULL,
    PRIMARY KEY (room_no, block_no)
){clustered};

-- Maps. `root` is the top block, 0 when there is none; `changes` are what differs from it, a few. The hash of all pairs, keyed
-- and the same in whatever order they came, is in two halves; `size` counts the pairs.
CREATE TABLE state_snapshots (
    room_no BIGINT NOT NULL,
    snapshot_no BIGINT NOT NULL,
    root BIGINT NOT NULL,
    hash_low BIGINT NOT NULL,
    hash_high BIGINT NOT NULL,
    size BIGINT NOT NULL,
    changes {bytes} NOT NULL,
    PRIMARY KEY (room_no, snapshot_no)
){clustered};

CREATE INDEX state_snapshots_hash ON state_snapshots (room_no, hash_low);

-- What is known of resolutions that lost state without a reason: JSON.
CREATE TABLE state_resets (
    reset_no BIGINT NOT NULL PRIMARY KEY,
    room_no BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    evidence TEXT NOT NULL
);

CREATE INDEX state_resets_room ON state_resets (room_no, reset_no);
