-- To whom a reader has moved: what she says in an older mail, sent to the old address, is said of the new one too.
ALTER TABLE subscriber ADD COLUMN moved_to BIGINT;
CREATE INDEX subscriber_moved ON subscriber (moved_to) WHERE moved_to IS NOT NULL;
