-- Points of both kinds in one table. What refers to a DR backup refers to it by the new name from here on.
ALTER TABLE dr_backups RENAME TO points;
ALTER TABLE points ADD COLUMN kind TEXT NOT NULL DEFAULT 'dr_backup'
    CHECK (kind IN ('dr_backup', 'backup'));

-- A regular backup has no capture. SQLite cannot let a column be null that may not be, so another one takes
-- its place.
ALTER TABLE points RENAME COLUMN capture TO capture_before;
ALTER TABLE points ADD COLUMN capture TEXT;
UPDATE points SET capture = capture_before;
ALTER TABLE points DROP COLUMN capture_before;

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
