-- What the sweep looks for: old requests, ended operations, and the last events of what is gone.
CREATE INDEX requests_by_created ON requests (created);
CREATE INDEX operations_by_ended ON operations (ended) WHERE ended IS NOT NULL;
CREATE INDEX events_of_gone ON events (time) WHERE state = 'DELETED';
