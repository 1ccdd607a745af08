-- Times are microseconds since the Unix epoch, structured values are JSON, ids are lower-case UUIDs.
-- Whatever is ordered or compared has the collation "C", so that pages read alike on both databases.

-- By which a repeated request is recognised.
CREATE TABLE requests (
    method TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    digest TEXT NOT NULL,
    resource_kind TEXT NOT NULL,
    resource_id TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (method, id)
);

CREATE TABLE dr_backups (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL,
    cloud TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    server TEXT COLLATE "C" NOT NULL,
    instance_name TEXT COLLATE "C" NOT NULL,
    capture TEXT NOT NULL,
    state TEXT NOT NULL,
    runtime_state TEXT NOT NULL,
    progress TEXT NOT NULL,
    error TEXT,
    detail TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX dr_backups_by_created ON dr_backups (created, id);
CREATE INDEX dr_backups_by_updated ON dr_backups (updated, id);
CREATE INDEX dr_backups_by_name ON dr_backups (name, id);
CREATE INDEX dr_backups_by_tenant ON dr_backups (cloud, project, created, id);
CREATE INDEX dr_backups_by_server ON dr_backups (server, created, id);

CREATE TABLE restorations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    dr_backup TEXT COLLATE "C" NOT NULL,
    cloud TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    instance TEXT NOT NULL,
    instance_name TEXT COLLATE "C" NOT NULL,
    wish TEXT NOT NULL,
    state TEXT NOT NULL,
    runtime_state TEXT NOT NULL,
    progress TEXT NOT NULL,
    error TEXT,
    detail TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    revision BIGINT NOT NULL
);
CREATE INDEX restorations_by_created ON restorations (created, id);
CREATE INDEX restorations_by_updated ON restorations (updated, id);
CREATE INDEX restorations_by_name ON restorations (instance_name, id);
CREATE INDEX restorations_by_tenant ON restorations (cloud, project, created, id);
CREATE INDEX restorations_by_dr_backup ON restorations (dr_backup, created, id);

-- Imported records of the volume backups of a DR backup.
CREATE TABLE mirrors (
    dr_backup TEXT COLLATE "C" NOT NULL REFERENCES dr_backups (id) ON DELETE CASCADE,
    backup TEXT COLLATE "C" NOT NULL,
    cloud TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (dr_backup, backup, cloud, project)
);

CREATE TABLE operations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    resource_kind TEXT NOT NULL,
    resource_id TEXT COLLATE "C" NOT NULL,
    cloud TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    ask TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'done', 'erred')),
    created BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    cancelled BIGINT,
    ended BIGINT
);
CREATE INDEX operations_by_resource ON operations (resource_id);
CREATE INDEX operations_open_by_lane ON operations (cloud, project, id) WHERE state = 'open';
-- A resource has one operation at a time.
CREATE UNIQUE INDEX operations_open_by_resource ON operations (resource_id) WHERE state = 'open';

-- The ledger.
CREATE TABLE effects (
    operation TEXT COLLATE "C" NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    key TEXT COLLATE "C" NOT NULL,
    ordinal BIGINT NOT NULL,
    cloud TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    request TEXT NOT NULL,
    disposal TEXT NOT NULL,
    state TEXT NOT NULL,
    external TEXT,
    status TEXT,
    fact TEXT,
    fault TEXT,
    attempt BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (operation, key)
);

-- The sequence counts within a resource, the position over all of them.
CREATE TABLE events (
    position BIGINT NOT NULL PRIMARY KEY,
    resource_kind TEXT NOT NULL,
    resource_id TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    time BIGINT NOT NULL,
    state TEXT NOT NULL,
    runtime_state TEXT NOT NULL,
    progress TEXT NOT NULL,
    error TEXT
);
CREATE UNIQUE INDEX events_by_resource ON events (resource_id, sequence);

-- Its row 'events' holds the last position that was given out.
CREATE TABLE counters (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('events', 0);

-- A lane without an owner keeps its row, because its epoch may never be given out again.
CREATE TABLE lanes (
    cloud TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C",
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (cloud, project)
);
CREATE INDEX lanes_by_owner ON lanes (owner, cloud, project);
