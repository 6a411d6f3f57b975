-- How often an editor has changed a draft: whoever changes or approves it says which one was looked at.
ALTER TABLE edition ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE edition SET revision = 1 WHERE edits <> '{"subject":null,"preheader":null,"introduction":null}';
-- What was published before a digest began is no editor's choice, and is new again where the first edition went to nobody.
CREATE TABLE edition_piece_new (
    edition INTEGER NOT NULL REFERENCES edition (id),
    place   INTEGER NOT NULL,
    article TEXT NOT NULL,
    title   TEXT NOT NULL,
    choice  TEXT NOT NULL CHECK (choice IN ('carried', 'later', 'never', 'passed')),
    PRIMARY KEY (edition, place)
) STRICT, WITHOUT ROWID;
INSERT INTO edition_piece_new
    SELECT p.edition, p.place, p.article, p.title,
           CASE WHEN p.choice = 'never' AND e.number = 1
                     AND p.place > coalesce(o.last, -1)
                THEN 'passed' ELSE p.choice END
    FROM edition_piece p
    JOIN edition e ON e.id = p.edition
    LEFT JOIN (SELECT edition, max(place) AS last FROM edition_piece WHERE choice <> 'never' GROUP BY edition) o
           ON o.edition = p.edition
    ORDER BY p.edition, p.place;
DROP TABLE edition_piece;
ALTER TABLE edition_piece_new RENAME TO edition_piece;
CREATE INDEX edition_piece_of ON edition_piece (article);
