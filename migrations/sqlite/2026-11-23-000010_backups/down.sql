DELETE FROM operations WHERE resource_kind = 'backup';
DELETE FROM requests WHERE resource_kind = 'backup'
    OR resource_id IN (SELECT id FROM restorations WHERE backup IS NOT NULL);
DELETE FROM events WHERE resource_kind = 'backup'
    OR resource_id IN (SELECT id FROM restorations WHERE backup IS NOT NULL);
DELETE FROM operations WHERE resource_id IN (SELECT id FROM restorations WHERE backup IS NOT NULL);
DELETE FROM restorations WHERE backup IS NOT NULL;
DROP INDEX restorations_by_backup;
ALTER TABLE restorations DROP COLUMN backup;
DROP INDEX restorations_by_dr_backup;
ALTER TABLE restorations RENAME COLUMN dr_backup TO dr_backup_after;
ALTER TABLE restorations ADD COLUMN dr_backup TEXT NOT NULL DEFAULT '';
UPDATE restorations SET dr_backup = dr_backup_after;
ALTER TABLE restorations DROP COLUMN dr_backup_after;
CREATE INDEX restorations_by_dr_backup ON restorations (dr_backup, created, id);
DROP TABLE backups;
