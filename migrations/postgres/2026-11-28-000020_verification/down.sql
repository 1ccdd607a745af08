DELETE FROM sweeps WHERE aim <> 'orphans';
ALTER TABLE sweeps DROP CONSTRAINT sweeps_pkey;
ALTER TABLE sweeps DROP COLUMN aim;
ALTER TABLE sweeps ADD PRIMARY KEY (cloud, project);
ALTER TABLE mirrors DROP COLUMN seen;
ALTER TABLE backups DROP COLUMN doubt;
ALTER TABLE backups DROP COLUMN verified;
ALTER TABLE dr_backups DROP COLUMN doubt;
ALTER TABLE dr_backups DROP COLUMN verified;
