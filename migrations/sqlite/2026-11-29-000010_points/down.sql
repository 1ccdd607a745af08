CREATE TABLE backups (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    server TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    schedule TEXT,
    kept_until INTEGER,
    held INTEGER NOT NULL,
    state TEXT NOT NULL,
    runtime_state TEXT NOT NULL,
    progress TEXT NOT NULL,
    error TEXT,
    detail TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    verified INTEGER,
    doubt TEXT
) STRICT;
INSERT INTO backups (
    id, name, description, cloud, project, server, instance_name, schedule, kept_until, held, state,
    runtime_state, progress, error, detail, created, updated, revision, verified, doubt
)
SELECT
    id, name, description, cloud, project, server, instance_name, schedule, kept_until, held, state,
    runtime_state, progress, error, detail, created, updated, revision, verified, doubt
FROM points
WHERE kind = 'backup';
DELETE FROM points WHERE kind = 'backup';
CREATE INDEX backups_by_created ON backups (created, id);
CREATE INDEX backups_by_updated ON backups (updated, id);
CREATE INDEX backups_by_name ON backups (name, id);
CREATE INDEX backups_by_tenant ON backups (cloud, project, created, id);
CREATE INDEX backups_by_server ON backups (server, created, id);

DROP INDEX points_by_created;
DROP INDEX points_by_updated;
DROP INDEX points_by_name;
DROP INDEX points_by_tenant;
DROP INDEX points_by_server;
DROP INDEX points_by_schedule;
DROP INDEX points_by_kept_until;
ALTER TABLE points RENAME COLUMN capture TO capture_before;
ALTER TABLE points ADD COLUMN capture TEXT NOT NULL DEFAULT 'snapshot';
UPDATE points SET capture = capture_before;
ALTER TABLE points DROP COLUMN capture_before;
ALTER TABLE points DROP COLUMN kind;
ALTER TABLE points RENAME TO dr_backups;
CREATE INDEX dr_backups_by_created ON dr_backups (created, id);
CREATE INDEX dr_backups_by_updated ON dr_backups (updated, id);
CREATE INDEX dr_backups_by_name ON dr_backups (name, id);
CREATE INDEX dr_backups_by_tenant ON dr_backups (cloud, project, created, id);
CREATE INDEX dr_backups_by_server ON dr_backups (server, created, id);
CREATE INDEX dr_backups_schedule ON dr_backups (schedule, created, id);
CREATE INDEX dr_backups_kept_until ON dr_backups (kept_until) WHERE kept_until IS NOT NULL;
