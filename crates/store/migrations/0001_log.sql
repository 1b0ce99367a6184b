-- oldest-reader: 1
-- oldest-writer: 1

-- The log: one line for each change that others must hear of, in the order of commit.
CREATE TABLE log (
    position BIGINT NOT NULL PRIMARY KEY,
    kind BIGINT NOT NULL,
    room_no BIGINT,
    user_no BIGINT,
    item_no BIGINT,
    detail BIGINT
){clustered};

-- One row. Its position is bumped last in each group of writes; on PostgreSQL the lock of this row orders the commits.
-- Up to the horizon the log has been compacted.
CREATE TABLE log_head (
    only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
    position BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    horizon BIGINT NOT NULL
);
INSERT INTO log_head (only_row, position, generation, horizon) VALUES (1, 0, 0, 0);

-- Where those that follow the log across restarts are.
CREATE TABLE cursors (
    name TEXT NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL,
    position BIGINT NOT NULL
){clustered};

-- The next number of each sequence; nodes take them in blocks.
CREATE TABLE sequences (
    name TEXT NOT NULL PRIMARY KEY,
    next BIGINT NOT NULL
){clustered};

-- Users, local and remote, by their numbers.
CREATE TABLE users_no (
    user_no BIGINT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE
);

-- The keys that this server signs with. When sealed_by is not NULL, secret is encrypted with the key of that name.
CREATE TABLE server_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    secret {bytes} NOT NULL,
    sealed_by TEXT,
    created_ms BIGINT NOT NULL,
    retired_ms BIGINT
);

-- What the database knows of itself.
CREATE TABLE store_meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
){clustered};
