-- What was last seen of the bytes of a point: when, and what speaks against it, as JSON.
ALTER TABLE dr_backups ADD COLUMN verified INTEGER;
ALTER TABLE dr_backups ADD COLUMN doubt TEXT;
ALTER TABLE backups ADD COLUMN verified INTEGER;
ALTER TABLE backups ADD COLUMN doubt TEXT;
-- What a deletion that did not come to its end had marked before.
UPDATE dr_backups SET doubt = '{"cause":"deleted","reason":"its deletion was begun and did not come to its end"}'
    WHERE state = 'ERRED' AND detail LIKE '%"status":"deleting"%';
UPDATE backups SET doubt = '{"cause":"deleted","reason":"its deletion was begun and did not come to its end"}'
    WHERE state = 'ERRED' AND detail LIKE '%"status":"deleting"%';
-- Whether an imported record was ever seen: one that was and is no more took the bytes with it.
ALTER TABLE mirrors ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
-- A tenant is looked through for more than orphans. SQLite changes no key in place.
CREATE TABLE sweeps_by_aim (
    aim TEXT NOT NULL,
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    begun INTEGER NOT NULL,
    ended INTEGER,
    problem TEXT,
    found TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (aim, cloud, project)
) STRICT, WITHOUT ROWID;
INSERT INTO sweeps_by_aim (aim, cloud, project, begun, ended, problem, found)
    SELECT 'orphans', cloud, project, begun, ended, problem, found FROM sweeps;
DROP TABLE sweeps;
ALTER TABLE sweeps_by_aim RENAME TO sweeps;
