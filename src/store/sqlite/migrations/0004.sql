-- Editions know what they were made for, and editors are told of them.

-- The due time of the schedule; NULL where a person asked for the edition.
ALTER TABLE edition ADD COLUMN due INTEGER;

-- Letters to editors: one for each event of an edition and each address. `ended` is NULL as long as it must still be sent.
CREATE TABLE notice (
    edition INTEGER NOT NULL REFERENCES edition (id),
    event   TEXT NOT NULL,
    address TEXT NOT NULL,
    since   INTEGER NOT NULL,
    ended   INTEGER,
    PRIMARY KEY (edition, event, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX notice_open ON notice (since) WHERE ended IS NULL;
