-- What makes points of an instance on time.
CREATE TABLE schedules (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    server TEXT NOT NULL,
    plan TEXT NOT NULL,
    active INTEGER NOT NULL,
    -- The slot that comes next as JSON, and when its run begins.
    next TEXT,
    begins INTEGER,
    failures INTEGER NOT NULL,
    runtime_state TEXT NOT NULL,
    error TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX schedules_begins ON schedules (begins) WHERE begins IS NOT NULL;
CREATE INDEX schedules_created ON schedules (created, id);
CREATE INDEX schedules_tenant ON schedules (cloud, project, created, id);

-- What became of each slot, or of a caller's word.
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    schedule TEXT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    cloud TEXT NOT NULL,
    slot INTEGER NOT NULL,
    cause TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    point_kind TEXT,
    point_id TEXT,
    began INTEGER NOT NULL,
    ended INTEGER
) STRICT;
CREATE INDEX runs_schedule ON runs (schedule, began, id);
CREATE INDEX runs_ended ON runs (ended) WHERE ended IS NOT NULL;
CREATE INDEX runs_started ON runs (cloud, began) WHERE outcome = 'STARTED';
