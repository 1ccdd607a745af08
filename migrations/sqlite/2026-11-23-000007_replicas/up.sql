-- Who takes part: a replica tells so with each claim, and counts until its time is over.
CREATE TABLE replicas (
    name TEXT NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- What a look at the health of the database writes: a full disk is seen by writing only.
INSERT INTO counters (name, value) VALUES ('pings', 0);
