-- The ledger's first form. Times are milliseconds since 1970 (UTC).

-- An address is known by its `key`: the address in lower case. `address` is as the reader wrote it.
CREATE TABLE subscriber (
    id       INTEGER PRIMARY KEY AUTOINCREMENT, -- a number stands in signed links: it is never given twice
    key      TEXT NOT NULL UNIQUE,
    address  TEXT NOT NULL,
    name     TEXT NOT NULL,
    language TEXT,
    added    INTEGER NOT NULL
) STRICT;

CREATE TABLE subscription (
    digest     TEXT NOT NULL,
    subscriber INTEGER NOT NULL REFERENCES subscriber (id),
    state      TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'ended')),
    since      INTEGER NOT NULL,
    PRIMARY KEY (digest, subscriber)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscription_of ON subscription (subscriber);

-- Only ever added to: the last row of a subscription is the consent that holds.
CREATE TABLE consent (
    id         INTEGER PRIMARY KEY,
    subscriber INTEGER NOT NULL REFERENCES subscriber (id),
    digest     TEXT NOT NULL,
    source     TEXT NOT NULL,
    given      INTEGER,
    recorded   INTEGER NOT NULL
) STRICT;
CREATE INDEX consent_of ON consent (subscriber, digest);

-- By key and not by subscriber: it must hold for addresses that were never subscribed, or were erased.
CREATE TABLE suppression (
    key    TEXT PRIMARY KEY,
    reason TEXT NOT NULL CHECK (reason IN ('bounced', 'complained', 'erased', 'manual')),
    since  INTEGER NOT NULL,
    note   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE edition (
    id        INTEGER PRIMARY KEY,
    digest    TEXT NOT NULL,
    number    INTEGER NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('draft', 'approved', 'sending', 'sent', 'withdrawn')),
    paused    TEXT,                        -- why, where the press must leave it alone
    reached   INTEGER NOT NULL DEFAULT 0,  -- set on withdrawing: some reader has it, or may have it
    made      INTEGER NOT NULL,
    approved  INTEGER,
    ended     INTEGER,
    subject   TEXT NOT NULL,
    preheader TEXT NOT NULL,
    edits     TEXT NOT NULL,               -- JSON
    sealed    TEXT NOT NULL,               -- JSON
    seal      TEXT,
    UNIQUE (digest, number)
) STRICT;
CREATE INDEX edition_unfinished ON edition (state) WHERE state IN ('approved', 'sending');

CREATE TABLE edition_piece (
    edition INTEGER NOT NULL REFERENCES edition (id),
    place   INTEGER NOT NULL,
    article TEXT NOT NULL,
    title   TEXT NOT NULL,
    choice  TEXT NOT NULL CHECK (choice IN ('carried', 'later', 'never')),
    PRIMARY KEY (edition, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX edition_piece_of ON edition_piece (article);

-- state: 0 waiting, 1 claimed, 2 in flight, 3 accepted, 4 rejected, 5 expired, 6 uncertain, 7 withdrawn.
-- `press` and `lease` are set exactly while it is claimed or in flight.
-- `doubts` counts how often it became uncertain, and is never set back: the reader may have it twice.
CREATE TABLE delivery (
    id         INTEGER PRIMARY KEY,
    edition    INTEGER NOT NULL REFERENCES edition (id),
    subscriber INTEGER NOT NULL REFERENCES subscriber (id),
    state      INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 7),
    due        INTEGER NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    doubts     INTEGER NOT NULL DEFAULT 0,
    first_try  INTEGER,
    begun      INTEGER,
    ended      INTEGER,
    press      TEXT,
    lease      INTEGER,
    UNIQUE (edition, subscriber),
    CHECK ((press IS NOT NULL) = (state IN (1, 2)))
) STRICT;
-- Only what is still to be done is indexed, so the cost of a step does not grow with what has been done. The statements name
-- these indexes (INDEXED BY): one that cannot use its index fails, instead of reading a million rows.
CREATE INDEX delivery_waiting ON delivery (edition, due, id) WHERE state = 0;
CREATE INDEX delivery_held ON delivery (press) WHERE press IS NOT NULL;
CREATE INDEX delivery_uncertain ON delivery (edition) WHERE state = 6;

-- What was tried, for ever. `held` is 0 where the press had lost the delivery when it reported.
CREATE TABLE attempt (
    delivery INTEGER NOT NULL REFERENCES delivery (id),
    number   INTEGER NOT NULL,
    begun    INTEGER,
    ended    INTEGER NOT NULL,
    outcome  TEXT NOT NULL CHECK (outcome IN ('accepted', 'deferred', 'rejected', 'expired', 'uncertain', 'untried')),
    held     INTEGER NOT NULL,
    code     INTEGER NOT NULL,
    status   TEXT,
    text     TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- Which due times of a digest's schedule were handled.
CREATE TABLE schedule_run (
    digest TEXT NOT NULL,
    due    INTEGER NOT NULL,
    PRIMARY KEY (digest, due)
) STRICT, WITHOUT ROWID;
