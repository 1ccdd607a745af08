-- What was sealed stays so, and a version of before cannot read it.
DROP TABLE seal_keys;
