-- Times are microseconds since the Unix epoch, structured values are JSON, ids are lower-case UUIDs.

-- By which a repeated request is recognised.
CREATE TABLE requests (
    method TEXT NOT NULL,
    id TEXT NOT NULL,
    digest TEXT NOT NULL,
    resource_kind TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (method, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE dr_backups (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    server TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    capture TEXT NOT NULL,
    state TEXT NOT NULL,
    runtime_state TEXT NOT NULL,
    progress TEXT NOT NULL,
    error TEXT,
    detail TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX dr_backups_by_created ON dr_backups (created, id);
CREATE INDEX dr_backups_by_updated ON dr_backups (updated, id);
CREATE INDEX dr_backups_by_name ON dr_backups (name, id);
CREATE INDEX dr_backups_by_tenant ON dr_backups (cloud, project, created, id);
CREATE INDEX dr_backups_by_server ON dr_backups (server, created, id);

CREATE TABLE restorations (
    id TEXT NOT NULL PRIMARY KEY,
    dr_backup TEXT NOT NULL,
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    instance TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    wish TEXT NOT NULL,
    state TEXT NOT NULL,
    runtime_state TEXT NOT NULL,
    progress TEXT NOT NULL,
    error TEXT,
    detail TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX restorations_by_created ON restorations (created, id);
CREATE INDEX restorations_by_updated ON restorations (updated, id);
CREATE INDEX restorations_by_name ON restorations (instance_name, id);
CREATE INDEX restorations_by_tenant ON restorations (cloud, project, created, id);
CREATE INDEX restorations_by_dr_backup ON restorations (dr_backup, created, id);

-- Imported records of the volume backups of a DR backup.
CREATE TABLE mirrors (
    dr_backup TEXT NOT NULL REFERENCES dr_backups (id) ON DELETE CASCADE,
    backup TEXT NOT NULL,
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    PRIMARY KEY (dr_backup, backup, cloud, project)
) STRICT, WITHOUT ROWID;

CREATE TABLE operations (
    id TEXT NOT NULL PRIMARY KEY,
    resource_kind TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    ask TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'done', 'erred')),
    created INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    cancelled INTEGER,
    ended INTEGER
) STRICT;
CREATE INDEX operations_by_resource ON operations (resource_id);
CREATE INDEX operations_open_by_lane ON operations (cloud, project, id) WHERE state = 'open';
-- A resource has one operation at a time.
CREATE UNIQUE INDEX operations_open_by_resource ON operations (resource_id) WHERE state = 'open';

-- The ledger.
CREATE TABLE effects (
    operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    request TEXT NOT NULL,
    disposal TEXT NOT NULL,
    state TEXT NOT NULL,
    external TEXT,
    status TEXT,
    fact TEXT,
    fault TEXT,
    attempt INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    PRIMARY KEY (operation, key)
) STRICT;

-- The sequence counts within a resource, the position over all of them.
CREATE TABLE events (
    position INTEGER NOT NULL PRIMARY KEY,
    resource_kind TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    time INTEGER NOT NULL,
    state TEXT NOT NULL,
    runtime_state TEXT NOT NULL,
    progress TEXT NOT NULL,
    error TEXT
) STRICT;
CREATE UNIQUE INDEX events_by_resource ON events (resource_id, sequence);

-- Its row 'events' holds the last position that was given out.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('events', 0);

-- A lane without an owner keeps its row, because its epoch may never be given out again.
CREATE TABLE lanes (
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    owner TEXT,
    epoch INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (cloud, project)
) STRICT, WITHOUT ROWID;
CREATE INDEX lanes_by_owner ON lanes (owner, cloud, project);
