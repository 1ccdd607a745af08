DROP INDEX dr_backups_kept_until;
DROP INDEX dr_backups_schedule;
ALTER TABLE dr_backups DROP COLUMN held;
ALTER TABLE dr_backups DROP COLUMN kept_until;
ALTER TABLE dr_backups DROP COLUMN schedule;
