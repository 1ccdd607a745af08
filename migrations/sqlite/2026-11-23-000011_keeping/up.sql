-- How long a DR backup is kept: the schedule that made it, a time, a hold.
ALTER TABLE dr_backups ADD COLUMN schedule TEXT;
ALTER TABLE dr_backups ADD COLUMN kept_until INTEGER;
ALTER TABLE dr_backups ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
CREATE INDEX dr_backups_schedule ON dr_backups (schedule, created, id);
CREATE INDEX dr_backups_kept_until ON dr_backups (kept_until) WHERE kept_until IS NOT NULL;
