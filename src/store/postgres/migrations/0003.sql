-- Mails that came back and are of no delivery: of a letter that a request has caused, or of one to an editor about an edition. Each
-- once: `mark` is the hash by which it is known again. Nothing of what it says is kept.
CREATE TABLE letter_returned (
    mark    BYTEA PRIMARY KEY,
    request BIGINT,
    edition BIGINT,
    at      BIGINT NOT NULL,
    news    TEXT NOT NULL
);
CREATE INDEX letter_returned_of ON letter_returned (request) WHERE request IS NOT NULL;
