DROP VIEW dr_backups;
DROP VIEW backups;
CREATE TABLE backups (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL,
    cloud TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    server TEXT COLLATE "C" NOT NULL,
    instance_name TEXT COLLATE "C" NOT NULL,
    schedule TEXT COLLATE "C",
    kept_until BIGINT,
    held BIGINT NOT NULL,
    state TEXT NOT NULL,
    runtime_state TEXT NOT NULL,
    progress TEXT NOT NULL,
    error TEXT,
    detail TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    verified BIGINT,
    doubt TEXT
);
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
ALTER TABLE points ALTER COLUMN capture SET NOT NULL;
ALTER TABLE points DROP COLUMN kind;
ALTER TABLE points RENAME TO dr_backups;
CREATE INDEX dr_backups_by_created ON dr_backups (created, id);
CREATE INDEX dr_backups_by_updated ON dr_backups (updated, id);
CREATE INDEX dr_backups_by_name ON dr_backups (name, id);
CREATE INDEX dr_backups_by_tenant ON dr_backups (cloud, project, created, id);
CREATE INDEX dr_backups_by_server ON dr_backups (server, created, id);
CREATE INDEX dr_backups_schedule ON dr_backups (schedule, created, id);
CREATE INDEX dr_backups_kept_until ON dr_backups (kept_until) WHERE kept_until IS NOT NULL;
