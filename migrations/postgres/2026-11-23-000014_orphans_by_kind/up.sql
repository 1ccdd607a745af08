-- How many of each kind there were, as JSON; the next sweep fills it.
ALTER TABLE sweeps DROP COLUMN orphans;
ALTER TABLE sweeps ADD COLUMN found TEXT NOT NULL DEFAULT '{}';
