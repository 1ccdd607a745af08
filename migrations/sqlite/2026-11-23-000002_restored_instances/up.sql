-- A restored instance is asked for by our own id too.
CREATE UNIQUE INDEX restorations_by_instance ON restorations (instance);
