-- When each tenant was last looked through for orphans, and how many there were.
CREATE TABLE sweeps (
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    begun INTEGER NOT NULL,
    ended INTEGER,
    orphans INTEGER NOT NULL,
    problem TEXT,
    PRIMARY KEY (cloud, project)
) STRICT, WITHOUT ROWID;
