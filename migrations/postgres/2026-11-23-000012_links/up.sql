-- Which volume backups a DR backup holds, and which of them it made itself.
CREATE TABLE links (
    dr_backup TEXT COLLATE "C" NOT NULL REFERENCES dr_backups (id) ON DELETE CASCADE,
    backup TEXT COLLATE "C" NOT NULL,
    own BIGINT NOT NULL,
    PRIMARY KEY (dr_backup, backup)
);
CREATE INDEX links_backup ON links (backup, own);
CREATE INDEX mirrors_backup ON mirrors (backup);
INSERT INTO links (dr_backup, backup, own)
SELECT DISTINCT dr_backups.id, one ->> 'id', 1
FROM dr_backups, json_array_elements(dr_backups.detail::json -> 'volume_backups') AS one;
