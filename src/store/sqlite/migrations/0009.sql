-- An attempt is written for every mail, and each cost twice what it must: the list in `outcome IN (…)` was made into a table
-- anew each time, and a trigger asked whether the reader was erased (now the statement before it does).
CREATE TABLE attempt_anew (
    delivery INTEGER NOT NULL REFERENCES delivery (id),
    number   INTEGER NOT NULL,
    begun    INTEGER,
    ended    INTEGER NOT NULL,
    outcome  TEXT NOT NULL CHECK (outcome = 'accepted' OR outcome = 'deferred' OR outcome = 'rejected'
                                  OR outcome = 'expired' OR outcome = 'uncertain' OR outcome = 'untried'),
    held     INTEGER NOT NULL,
    code     INTEGER NOT NULL,
    status   TEXT,
    text     TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;
INSERT INTO attempt_anew SELECT delivery, number, begun, ended, outcome, held, code, status, text FROM attempt;
DROP TABLE attempt;
ALTER TABLE attempt_anew RENAME TO attempt;
