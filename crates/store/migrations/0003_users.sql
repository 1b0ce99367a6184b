-- oldest-reader: 1
-- oldest-writer: 1

-- Accounts and what belongs to them. Users are the interned numbers of 0001.

-- People who can log in here. A deactivated account keeps its row, so that its name is never given away again.
CREATE TABLE accounts (
    user_no BIGINT NOT NULL PRIMARY KEY,
    -- A PHC string; NULL: no login by password.
    password TEXT,
    admin BOOLEAN NOT NULL,
    locked BOOLEAN NOT NULL,
    suspended BOOLEAN NOT NULL,
    -- Milliseconds since the epoch, like every time below.
    created_at BIGINT NOT NULL,
    deactivated_at BIGINT,
    -- The user asked that their content be withheld from whoever joins later.
    erased BOOLEAN NOT NULL,
    -- Deactivated, but still to be taken out of their rooms.
    departing BOOLEAN NOT NULL
){clustered};

CREATE INDEX accounts_departing ON accounts (user_no) WHERE departing;

CREATE TABLE devices (
    user_no BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    display_name TEXT,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT,
    last_seen_ip TEXT,
    PRIMARY KEY (user_no, device_id)
){clustered};

-- An access token and the refresh token that came with it, both as SHA-256.
CREATE TABLE sessions (
    access_hash {bytes} NOT NULL PRIMARY KEY,
    refresh_hash {bytes},
    user_no BIGINT NOT NULL,
    device_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- NULL: never.
    expires_at BIGINT,
    -- The access_hash of the session whose refresh token made this one, until this one is used: then that one goes.
    replaces {bytes}
);

CREATE UNIQUE INDEX sessions_refresh ON sessions (refresh_hash) WHERE refresh_hash IS NOT NULL;
CREATE INDEX sessions_user ON sessions (user_no, device_id);
CREATE INDEX sessions_replaces ON sessions (replaces) WHERE replaces IS NOT NULL;

CREATE TABLE registration_tokens (
    token TEXT NOT NULL PRIMARY KEY,
    -- NULL: any number.
    uses_allowed BIGINT,
    uses BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
){clustered};

-- One row per field; value is JSON.
CREATE TABLE profiles (
    user_no BIGINT NOT NULL,
    field TEXT NOT NULL,
    value TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_no, field)
){clustered};

-- What local users are found by: id and display name in small letters.
CREATE TABLE user_directory (
    user_no BIGINT NOT NULL PRIMARY KEY,
    words TEXT NOT NULL
){clustered};

-- room_no 0: not about a room.
CREATE TABLE account_data (
    user_no BIGINT NOT NULL,
    room_no BIGINT NOT NULL,
    kind TEXT NOT NULL,
    content TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_no, room_no, kind)
){clustered};

CREATE INDEX account_data_position ON account_data (user_no, position);

CREATE TABLE filters (
    user_no BIGINT NOT NULL,
    filter_no BIGINT NOT NULL,
    hash {bytes} NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (user_no, filter_no)
){clustered};

CREATE UNIQUE INDEX filters_hash ON filters (user_no, hash);

-- thread '': unthreaded. private: only its owner may see it.
CREATE TABLE receipts (
    room_no BIGINT NOT NULL,
    user_no BIGINT NOT NULL,
    private BOOLEAN NOT NULL,
    thread TEXT NOT NULL,
    event_id TEXT NOT NULL,
    ts BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (room_no, user_no, private, thread)
){clustered};

CREATE INDEX receipts_position ON receipts (room_no, position);
