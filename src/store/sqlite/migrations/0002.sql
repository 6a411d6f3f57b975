-- Erasing people.

-- Keyed hashes of erased addresses: what is left of them.
CREATE TABLE erased (
    mark  BLOB PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- By which the key is known again; the key itself is kept elsewhere.
CREATE TABLE erasure_key (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    name BLOB NOT NULL
) STRICT;

-- A reply often repeats the address. That of a mail which was in flight when its reader was erased comes afterwards.
CREATE TRIGGER attempt_for_the_erased AFTER INSERT ON attempt
WHEN EXISTS (SELECT 1 FROM delivery d JOIN subscriber s ON s.id = d.subscriber
             WHERE d.id = NEW.delivery AND s.key GLOB 'erased:*')
BEGIN
    UPDATE attempt SET text = '' WHERE delivery = NEW.delivery AND number = NEW.number;
END;
