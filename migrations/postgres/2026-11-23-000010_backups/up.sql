-- Regular backups: snapshots of all volumes of an instance, in its own tenant.
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
    revision BIGINT NOT NULL
);
CREATE INDEX backups_by_created ON backups (created, id);
CREATE INDEX backups_by_updated ON backups (updated, id);
CREATE INDEX backups_by_name ON backups (name, id);
CREATE INDEX backups_by_tenant ON backups (cloud, project, created, id);
CREATE INDEX backups_by_server ON backups (server, created, id);

-- A restoration restores one backup, of one kind or the other.
ALTER TABLE restorations ALTER COLUMN dr_backup DROP NOT NULL;
ALTER TABLE restorations ADD COLUMN backup TEXT COLLATE "C"
    CHECK ((dr_backup IS NULL) <> (backup IS NULL));
CREATE INDEX restorations_by_backup ON restorations (backup, created, id);
