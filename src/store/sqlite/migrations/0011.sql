-- Mails that came back and are of no delivery: of a letter that a request has caused, or of one to an editor about an edition. Each
-- once: `mark` is the hash by which it is known again. Nothing of what it says is kept.
CREATE TABLE letter_returned (
    mark    BLOB PRIMARY KEY,
    request INTEGER,
    edition INTEGER,
    at      INTEGER NOT NULL,
    news    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX letter_returned_of ON letter_returned (request) WHERE request IS NOT NULL;
