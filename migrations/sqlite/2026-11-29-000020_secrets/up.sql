-- What this database alone knows, made here once, so that all replicas share it.
CREATE TABLE secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
-- Seals the tokens of pages, so that none is taken that was not handed out here.
INSERT INTO secrets (name, value) VALUES ('page_tokens', lower(hex(randomblob(32))));
