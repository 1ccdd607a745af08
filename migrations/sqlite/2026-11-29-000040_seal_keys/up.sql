-- Which keys have sealed texts of this database, and since when: a start without them is refused.
CREATE TABLE seal_keys (
    id TEXT NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
