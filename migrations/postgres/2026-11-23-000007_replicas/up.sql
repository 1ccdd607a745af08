-- Who takes part: a replica tells so with each claim, and counts until its time is over.
CREATE TABLE replicas (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
-- What a look at the health of the database writes: a full disk is seen by writing only.
INSERT INTO counters (name, value) VALUES ('pings', 0);
