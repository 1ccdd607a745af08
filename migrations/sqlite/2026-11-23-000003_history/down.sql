DROP INDEX events_of_gone;
DROP INDEX operations_by_ended;
DROP INDEX requests_by_created;
