-- When each tenant was last looked through for orphans, and how many there were.
CREATE TABLE sweeps (
    cloud TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    begun BIGINT NOT NULL,
    ended BIGINT,
    orphans BIGINT NOT NULL,
    problem TEXT,
    PRIMARY KEY (cloud, project)
);
