-- oldest-reader: 1
-- oldest-writer: 1

-- The signing keys of other servers, as far as they were needed. Keys that a server no longer names stay: they verify what it
-- once signed.
CREATE TABLE remote_keys (
    server TEXT NOT NULL,
    key_id TEXT NOT NULL,
    public_key {bytes} NOT NULL,
    -- Until when the key signs, in milliseconds since the epoch; or, for an expired key, until when it did.
    valid_until BIGINT NOT NULL,
    expired BOOLEAN NOT NULL,
    fetched_ms BIGINT NOT NULL,
    PRIMARY KEY (server, key_id)
){clustered};

-- Each server's last answer about its keys, as it signed it, for whoever asks us as a notary.
CREATE TABLE remote_key_answers (
    server TEXT NOT NULL PRIMARY KEY,
    answer TEXT NOT NULL,
    valid_until BIGINT NOT NULL,
    fetched_ms BIGINT NOT NULL
){clustered};
