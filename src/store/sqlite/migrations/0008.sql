-- How fast mails may go.

-- Destinations that said "too fast", and until when they are left alone.
CREATE TABLE rest (
    place TEXT PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
