-- Mail that comes back.

-- What came back of a delivery that the relay had taken (state 3): 8 it bounced, 9 its reader complained. Beside the state and
-- not in it: it may be known before the state is, when a bounce is quicker than the press.
ALTER TABLE delivery ADD COLUMN returned INTEGER CHECK (returned IN (8, 9));

-- Each mail that came back of a delivery, once: `mark` is the hash by which it is known again.
CREATE TABLE returned (
    mark     BLOB PRIMARY KEY,
    delivery INTEGER NOT NULL REFERENCES delivery (id),
    at       INTEGER NOT NULL,
    news     TEXT NOT NULL CHECK (news IN ('delayed', 'arrived', 'bounced', 'complained')),
    cause    TEXT,                        -- why it bounced
    counts   INTEGER NOT NULL,            -- 1: a bounce that counts towards the operator's patience
    code     INTEGER NOT NULL,
    status   TEXT,
    text     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX returned_of ON returned (delivery, at);
