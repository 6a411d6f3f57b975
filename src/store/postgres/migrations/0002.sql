-- One process at a time sends a letter to an editor: until when one has it, and how often one took it without it being known that
-- it did not go out. Above one, the editor may have it twice.
ALTER TABLE notice ADD COLUMN lease BIGINT;
ALTER TABLE notice ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
