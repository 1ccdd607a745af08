-- Who did what to which object: a chain of entries, each with the digest of its text, which holds the digest
-- of the entry before. A replica of before writes none of what it does: while an upgrade rolls, the chain
-- holds, and lacks what such a replica admitted.
CREATE TABLE audit (
    number BIGINT NOT NULL PRIMARY KEY,
    time BIGINT NOT NULL,
    text TEXT NOT NULL,
    digest TEXT NOT NULL
);
-- The last entry, and the last one that was let go because of its age. One row, which whoever writes an
-- entry holds until the commit: so numbers have no gap.
CREATE TABLE audit_ends (
    name TEXT NOT NULL PRIMARY KEY CHECK (name = 'audit'),
    head BIGINT NOT NULL,
    head_digest TEXT NOT NULL,
    anchor BIGINT NOT NULL,
    anchor_digest TEXT NOT NULL
);
INSERT INTO audit_ends (name, head, head_digest, anchor, anchor_digest)
VALUES ('audit', 0, '0000000000000000000000000000000000000000000000000000000000000000',
        0, '0000000000000000000000000000000000000000000000000000000000000000');
-- Slips are refused here. Who means it can take the triggers away; that is what digests are for.
CREATE TRIGGER audit_comes BEFORE INSERT ON audit
WHEN NEW.number <> (SELECT head FROM audit_ends)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_goes BEFORE DELETE ON audit
WHEN OLD.number > (SELECT anchor FROM audit_ends)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_ends_grow BEFORE UPDATE ON audit_ends
WHEN NEW.head < OLD.head OR NEW.anchor < OLD.anchor OR NEW.anchor > NEW.head
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_ends_stay BEFORE DELETE ON audit_ends
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
