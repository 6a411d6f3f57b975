-- What readers ask for on the public pages.

-- A wish that its mail has to confirm. `due` is when that mail is to be sent (again); nothing once it is sent or given up.
-- No number is given twice: the link of a request that was thrown away must never open somebody else's.
CREATE TABLE request (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    subscriber INTEGER NOT NULL REFERENCES subscriber (id),
    kind       TEXT NOT NULL CHECK (kind IN ('subscribe', 'link', 'move')),
    digests    TEXT NOT NULL,               -- JSON: slugs
    address    TEXT,                        -- of a move: the new one
    language   TEXT NOT NULL,
    network    TEXT NOT NULL,
    wording    TEXT NOT NULL,
    state      TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'confirmed', 'over')),
    asked      INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    due        INTEGER,
    tries      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX request_of ON request (subscriber);
CREATE INDEX request_due ON request (due) WHERE due IS NOT NULL;
CREATE INDEX request_expires ON request (expires);

-- When an inbox was last written to because somebody asked: by a keyed hash, so that it holds for addresses that we don't know.
CREATE TABLE asked (
    mark BLOB PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX asked_at ON asked (at);

-- Who wants no edition for a while.
CREATE TABLE pause (
    subscriber INTEGER PRIMARY KEY REFERENCES subscriber (id),
    until      INTEGER NOT NULL
) STRICT;

-- From where, and to which words, where the consent was given to us.
ALTER TABLE consent ADD COLUMN network TEXT NOT NULL DEFAULT '';
ALTER TABLE consent ADD COLUMN wording TEXT NOT NULL DEFAULT '';
