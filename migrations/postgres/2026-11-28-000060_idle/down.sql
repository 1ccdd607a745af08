ALTER TABLE operations DROP COLUMN cancel_keeps_volumes;
ALTER TABLE operations DROP COLUMN idle;
ALTER TABLE lanes DROP COLUMN attended_at;
