CREATE TABLE sweeps_of_orphans (
    cloud TEXT NOT NULL,
    project TEXT NOT NULL,
    begun INTEGER NOT NULL,
    ended INTEGER,
    problem TEXT,
    found TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (cloud, project)
) STRICT, WITHOUT ROWID;
INSERT INTO sweeps_of_orphans (cloud, project, begun, ended, problem, found)
    SELECT cloud, project, begun, ended, problem, found FROM sweeps WHERE aim = 'orphans';
DROP TABLE sweeps;
ALTER TABLE sweeps_of_orphans RENAME TO sweeps;
ALTER TABLE mirrors DROP COLUMN seen;
ALTER TABLE backups DROP COLUMN doubt;
ALTER TABLE backups DROP COLUMN verified;
ALTER TABLE dr_backups DROP COLUMN doubt;
ALTER TABLE dr_backups DROP COLUMN verified;
