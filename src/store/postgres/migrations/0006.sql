-- How often an editor has changed a draft: whoever changes or approves it says which one was looked at.
ALTER TABLE edition ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
UPDATE edition SET revision = 1 WHERE edits <> '{"subject":null,"preheader":null,"introduction":null}';
-- What was published before a digest began is no editor's choice, and is new again where the first edition went to nobody.
ALTER TABLE edition_piece DROP CONSTRAINT edition_piece_choice_check;
ALTER TABLE edition_piece ADD CONSTRAINT edition_piece_choice_check
    CHECK (choice IN ('carried', 'later', 'never', 'passed'));
UPDATE edition_piece p SET choice = 'passed'
    FROM edition e
    LEFT JOIN (SELECT edition, max(place) AS last FROM edition_piece WHERE choice <> 'never' GROUP BY edition) o
           ON o.edition = e.id
    WHERE e.id = p.edition AND e.number = 1 AND p.choice = 'never' AND p.place > coalesce(o.last, -1);
