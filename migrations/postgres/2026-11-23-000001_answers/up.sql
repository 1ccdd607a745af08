-- The resource as a request left it: what its repeat answers when the resource is gone since.
ALTER TABLE requests ADD COLUMN answer TEXT;
