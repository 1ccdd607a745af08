-- How long an operation may take grows with what it has to move: microseconds for each GiB, unless a
-- caller fixed the deadline. Operations from before keep theirs.
ALTER TABLE operations ADD COLUMN deadline_fixed INTEGER NOT NULL DEFAULT 1;
ALTER TABLE operations ADD COLUMN per_gib INTEGER NOT NULL DEFAULT 0;
