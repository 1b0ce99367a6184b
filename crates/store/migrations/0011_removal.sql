-- oldest-reader: 1
-- oldest-writer: 1

-- Rooms that are being deleted: what belonged to them goes piece by piece. The room's own row is gone already, so that nobody
-- finds it any more, and until the last piece is gone no room of that id can be made or joined.
CREATE TABLE deletions (
    room_no BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE,
    asked_at BIGINT NOT NULL
){clustered};

CREATE INDEX account_data_room ON account_data (room_no) WHERE room_no <> 0;
