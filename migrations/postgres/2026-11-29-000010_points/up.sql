-- Points of both kinds in one table. What refers to a DR backup refers to it by the new name from here on.
-- Replicas of before go on meanwhile: they wait for the locks, and work through the views after that.
LOCK TABLE dr_backups, backups IN ACCESS EXCLUSIVE MODE;
ALTER TABLE dr_backups RENAME TO points;
ALTER TABLE points ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'dr_backup'
    CHECK (kind IN ('dr_backup', 'backup'));
-- A regular backup has no capture.
ALTER TABLE points ALTER COLUMN capture DROP NOT NULL;

INSERT INTO points (
    id, kind, name, description, cloud, project, server, instance_name, schedule, kept_until, held, state,
    runtime_state, progress, error, detail, created, updated, revision, verified, doubt
)
SELECT
    id, 'backup', name, description, cloud, project, server, instance_name, schedule, kept_until, held, state,
    runtime_state, progress, error, detail, created, updated, revision, verified, doubt
FROM backups;
DROP TABLE backups;

DROP INDEX dr_backups_by_created;
DROP INDEX dr_backups_by_updated;
DROP INDEX dr_backups_by_name;
DROP INDEX dr_backups_by_tenant;
DROP INDEX dr_backups_by_server;
DROP INDEX dr_backups_schedule;
DROP INDEX dr_backups_kept_until;
CREATE INDEX points_by_created ON points (kind, created, id);
CREATE INDEX points_by_updated ON points (kind, updated, id);
CREATE INDEX points_by_name ON points (kind, name, id);
CREATE INDEX points_by_tenant ON points (kind, cloud, project, created, id);
CREATE INDEX points_by_server ON points (kind, server, created, id);
CREATE INDEX points_by_schedule ON points (schedule, created, id);
CREATE INDEX points_by_kept_until ON points (kept_until) WHERE kept_until IS NOT NULL;

-- What replicas of before read and write while they are replaced. No replica of this version uses them; a
-- later one may drop them.
CREATE VIEW dr_backups AS
SELECT
    id, name, description, cloud, project, server, instance_name, capture, schedule, kept_until, held, state,
    runtime_state, progress, error, detail, created, updated, revision, verified, doubt, kind
FROM points
WHERE kind = 'dr_backup';
ALTER VIEW dr_backups ALTER COLUMN kind SET DEFAULT 'dr_backup';
CREATE VIEW backups AS
SELECT
    id, name, description, cloud, project, server, instance_name, schedule, kept_until, held, state,
    runtime_state, progress, error, detail, created, updated, revision, verified, doubt, kind
FROM points
WHERE kind = 'backup';
ALTER VIEW backups ALTER COLUMN kind SET DEFAULT 'backup';
