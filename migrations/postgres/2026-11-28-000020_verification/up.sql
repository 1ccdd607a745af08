-- What was last seen of the bytes of a point: when, and what speaks against it, as JSON.
ALTER TABLE dr_backups ADD COLUMN verified BIGINT;
ALTER TABLE dr_backups ADD COLUMN doubt TEXT;
ALTER TABLE backups ADD COLUMN verified BIGINT;
ALTER TABLE backups ADD COLUMN doubt TEXT;
-- What a deletion that did not come to its end had marked before.
UPDATE dr_backups SET doubt = '{"cause":"deleted","reason":"its deletion was begun and did not come to its end"}'
    WHERE state = 'ERRED' AND detail LIKE '%"status":"deleting"%';
UPDATE backups SET doubt = '{"cause":"deleted","reason":"its deletion was begun and did not come to its end"}'
    WHERE state = 'ERRED' AND detail LIKE '%"status":"deleting"%';
-- Whether an imported record was ever seen: one that was and is no more took the bytes with it.
ALTER TABLE mirrors ADD COLUMN seen BIGINT NOT NULL DEFAULT 0;
-- A tenant is looked through for more than orphans.
ALTER TABLE sweeps ADD COLUMN aim TEXT COLLATE "C" NOT NULL DEFAULT 'orphans';
ALTER TABLE sweeps DROP CONSTRAINT sweeps_pkey;
ALTER TABLE sweeps ADD PRIMARY KEY (aim, cloud, project);
