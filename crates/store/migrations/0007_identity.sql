-- oldest-reader: 1
-- oldest-writer: 1

-- The identity server's own tables, and the homeserver's OpenID tokens. Times are milliseconds since the epoch; `medium` is
-- `email` or `msisdn`, and addresses are canonical.

-- The keys that associations are signed with. The newest one that is not retired signs.
CREATE TABLE identity_keys (
    key_id TEXT NOT NULL PRIMARY KEY,
    secret {bytes} NOT NULL,
    public_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
){clustered};

CREATE TABLE identity_accounts (
    user_id TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
){clustered};

-- Access tokens, as SHA-256.
CREATE TABLE identity_tokens (
    token_hash {bytes} NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    created_at BIGINT NOT NULL
){clustered};

CREATE INDEX identity_tokens_user ON identity_tokens (user_id, created_at);

-- The policies' URLs that users have accepted.
CREATE TABLE identity_accepted_terms (
    user_id TEXT NOT NULL,
    url TEXT NOT NULL,
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, url)
){clustered};

-- Validations of addresses under way or done.
CREATE TABLE identity_sessions (
    sid TEXT NOT NULL PRIMARY KEY,
    -- SHA-256 of the client's secret and of the address as it was given: the scope of send_attempt.
    scope {bytes} NOT NULL,
    secret_hash {bytes} NOT NULL,
    medium TEXT NOT NULL,
    address TEXT NOT NULL,
    send_attempt BIGINT NOT NULL,
    -- SHA-256 of session, secret and token; of the one sent before, too, since messages overtake each other.
    token_hash {bytes} NOT NULL,
    previous_hash {bytes},
    -- Wrong tokens so far.
    wrong BIGINT NOT NULL,
    next_link TEXT,
    -- When it was begun, or validated.
    modified_at BIGINT NOT NULL,
    validated_at BIGINT
){clustered};

CREATE UNIQUE INDEX identity_sessions_scope ON identity_sessions (scope);
CREATE INDEX identity_sessions_modified ON identity_sessions (modified_at);

CREATE TABLE identity_associations (
    medium TEXT NOT NULL,
    address TEXT NOT NULL,
    user_id TEXT NOT NULL,
    bound_at BIGINT NOT NULL,
    PRIMARY KEY (medium, address)
){clustered};

CREATE INDEX identity_associations_user ON identity_associations (user_id);

-- The peppers of hashed lookups.
CREATE TABLE identity_peppers (
    pepper_no BIGINT NOT NULL PRIMARY KEY,
    pepper TEXT NOT NULL,
    -- 0: the associations are still being hashed with it; 1: handed out; 2: still accepted; 3: being removed.
    phase BIGINT NOT NULL,
    -- When it came to its phase.
    since BIGINT NOT NULL,
    -- How far the hashing has come.
    filled_medium TEXT NOT NULL,
    filled_address TEXT NOT NULL
){clustered};

-- The hash of each association with each pepper. `head` is the hash's first eight bytes.
CREATE TABLE identity_hashes (
    pepper_no BIGINT NOT NULL,
    head BIGINT NOT NULL,
    hash {bytes} NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (pepper_no, head, hash)
){clustered};

-- Invitations of addresses that nobody had bound.
CREATE TABLE identity_invites (
    token TEXT NOT NULL PRIMARY KEY,
    medium TEXT NOT NULL,
    address TEXT NOT NULL,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    -- The ephemeral public key, as it was handed out.
    public_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When somebody has bound the address, and who.
    bound_at BIGINT,
    bound_by TEXT
){clustered};

CREATE INDEX identity_invites_address ON identity_invites (medium, address);
CREATE INDEX identity_invites_key ON identity_invites (public_key);
CREATE INDEX identity_invites_bound ON identity_invites (bound_at) WHERE bound_at IS NOT NULL;

-- What homeservers are still to be told: that an address with invitations was bound. The body as it is sent each time.
CREATE TABLE identity_deliveries (
    delivery_id TEXT NOT NULL PRIMARY KEY,
    server_name TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_try_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    -- Why the last try failed.
    problem TEXT
){clustered};

CREATE INDEX identity_deliveries_next ON identity_deliveries (next_try_at);

-- OpenID tokens of the homeserver's users, as SHA-256.
CREATE TABLE openid_tokens (
    token_hash {bytes} NOT NULL PRIMARY KEY,
    user_no BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
){clustered};

CREATE INDEX openid_tokens_user ON openid_tokens (user_no, expires_at);
CREATE INDEX openid_tokens_expiry ON openid_tokens (expires_at);
