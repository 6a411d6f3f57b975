-- What a list has said, and what an operator has overruled.

-- When a list first said without a day that it has ended, if it has said so ever since.
ALTER TABLE subscription ADD COLUMN heard INTEGER;

-- Suppressions that were lifted by force: what they were, and why they are no more.
CREATE TABLE lifted (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL,
    reason  TEXT NOT NULL,
    since   INTEGER NOT NULL,
    note    TEXT NOT NULL,
    lifted  INTEGER NOT NULL,
    because TEXT NOT NULL
) STRICT;
CREATE INDEX lifted_of ON lifted (key);

-- Of a change of address: what the new one is known by.
ALTER TABLE request ADD COLUMN goal TEXT;
UPDATE request SET goal = lower(address) WHERE address IS NOT NULL;
CREATE INDEX request_goal ON request (goal) WHERE goal IS NOT NULL;
