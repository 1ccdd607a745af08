DELETE FROM counters WHERE name = 'pings';
DROP TABLE replicas;
