ALTER TABLE operations DROP COLUMN per_gib;
ALTER TABLE operations DROP COLUMN deadline_fixed;
