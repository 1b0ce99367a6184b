-- oldest-reader: 1
-- oldest-writer: 1

-- The largest number of an event at a time (in milliseconds since the epoch), once a day: what is forgotten by age is found by
-- number.
CREATE TABLE event_marks (
    taken_at BIGINT NOT NULL PRIMARY KEY,
    event_no BIGINT NOT NULL
){clustered};
