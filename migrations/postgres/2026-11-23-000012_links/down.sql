DROP INDEX mirrors_backup;
DROP TABLE links;
