-- oldest-reader: 1
-- oldest-writer: 1

-- The chain cover of auth events: what goes back to what along `auth_events`, for every state event of a room.
--
-- A place is a chain and a sequence in it, `chain * 65536 + sequence`. In a chain each event cites the one before it. Chains are
-- numbered within their room.

CREATE TABLE auth_places (
    room_no BIGINT NOT NULL,
    place BIGINT NOT NULL,
    event_no BIGINT NOT NULL,
    state_key_no BIGINT NOT NULL,
    PRIMARY KEY (room_no, place)
){clustered};

CREATE UNIQUE INDEX auth_places_event ON auth_places (event_no);

-- What an event cites outside of its chain, unless it follows from the event's place and its other links. Both are places.
CREATE TABLE auth_links (
    room_no BIGINT NOT NULL,
    target BIGINT NOT NULL,
    origin BIGINT NOT NULL,
    PRIMARY KEY (room_no, target, origin)
){clustered};

CREATE UNIQUE INDEX auth_links_origin ON auth_links (room_no, origin, target);
