-- When a lane was last attended to, so that time in which nobody worked does not count towards a deadline:
-- microseconds of the store's clock, 0 where that is not known.
ALTER TABLE lanes ADD COLUMN attended_at INTEGER NOT NULL DEFAULT 0;
-- How long nobody worked at an operation, in microseconds, and whether whoever cancelled it keeps the
-- volumes that have their bytes.
ALTER TABLE operations ADD COLUMN idle INTEGER NOT NULL DEFAULT 0;
ALTER TABLE operations ADD COLUMN cancel_keeps_volumes INTEGER NOT NULL DEFAULT 0;
