-- Who else uses the thing of an effect that is to go, as long as somebody does.
ALTER TABLE effects ADD COLUMN held TEXT;
