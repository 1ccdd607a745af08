DROP INDEX restorations_by_instance;
