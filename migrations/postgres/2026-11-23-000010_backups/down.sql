DELETE FROM operations WHERE resource_kind = 'backup';
DELETE FROM requests WHERE resource_kind = 'backup'
    OR resource_id IN (SELECT id FROM restorations WHERE backup IS NOT NULL);
DELETE FROM events WHERE resource_kind = 'backup'
    OR resource_id IN (SELECT id FROM restorations WHERE backup IS NOT NULL);
DELETE FROM operations WHERE resource_id IN (SELECT id FROM restorations WHERE backup IS NOT NULL);
DELETE FROM restorations WHERE backup IS NOT NULL;
DROP INDEX restorations_by_backup;
ALTER TABLE restorations DROP COLUMN backup;
ALTER TABLE restorations ALTER COLUMN dr_backup SET NOT NULL;
DROP TABLE backups;
