-- Which volume backups a DR backup holds, and which of them it made itself.
CREATE TABLE links (
    dr_backup TEXT NOT NULL REFERENCES dr_backups (id) ON DELETE CASCADE,
    backup TEXT NOT NULL,
    own INTEGER NOT NULL,
    PRIMARY KEY (dr_backup, backup)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_backup ON links (backup, own);
CREATE INDEX mirrors_backup ON mirrors (backup);
INSERT INTO links (dr_backup, backup, own)
SELECT DISTINCT dr_backups.id, json_extract(one.value, '$.id'), 1
FROM dr_backups, json_each(dr_backups.detail, '$.volume_backups') AS one;
