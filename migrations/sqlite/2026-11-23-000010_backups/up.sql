-- Regular backups: snapshots of all volumes of an instance, in its own tenant.
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
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX backups_by_created ON backups (created, id);
CREATE INDEX backups_by_updated ON backups (updated, id);
CREATE INDEX backups_by_name ON backups (name, id);
CREATE INDEX backups_by_tenant ON backups (cloud, project, created, id);
CREATE INDEX backups_by_server ON backups (server, created, id);

-- A restoration restores one backup, of one kind or the other. SQLite cannot let a column be null
-- that may not be, so another one takes its place.
DROP INDEX restorations_by_dr_backup;
ALTER TABLE restorations RENAME COLUMN dr_backup TO dr_backup_before;
ALTER TABLE restorations ADD COLUMN dr_backup TEXT;
UPDATE restorations SET dr_backup = dr_backup_before;
ALTER TABLE restorations DROP COLUMN dr_backup_before;
ALTER TABLE restorations ADD COLUMN backup TEXT
    CHECK ((dr_backup IS NULL) <> (backup IS NULL));
CREATE INDEX restorations_by_dr_backup ON restorations (dr_backup, created, id);
CREATE INDEX restorations_by_backup ON restorations (backup, created, id);
