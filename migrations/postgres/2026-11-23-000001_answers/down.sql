ALTER TABLE requests DROP COLUMN answer;
