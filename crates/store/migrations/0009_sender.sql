-- oldest-reader: 1
-- oldest-writer: 1

-- Other servers that have been sent something. `failures` in a row, when to try again and why; the transaction that is under way,
-- as it was sent, and up to which row of outgoing_events it goes.
CREATE TABLE destinations (
    server TEXT NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    next_try BIGINT NOT NULL,
    last_error TEXT,
    last_success BIGINT,
    transaction_id TEXT,
    body {bytes},
    upto BIGINT
){clustered};

-- Events that are still to be sent, by the position of the log at which they came.
CREATE TABLE outgoing_events (
    server TEXT NOT NULL,
    position BIGINT NOT NULL,
    event_no BIGINT NOT NULL,
    PRIMARY KEY (server, position)
){clustered};
