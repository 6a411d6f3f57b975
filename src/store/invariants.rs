//! What is true of every ledger, whichever database it is in and whatever has befallen it. Where it is not, somebody has changed
//! the ledger by hand, or this program is wrong.

/// What is found, after a number; and the query that counts it.
pub(super) const INVARIANTS: [(&str, &str); 7] = [
    (
        "accepted deliveries without an attempt that can have been accepted",
        "SELECT count(*) FROM delivery d WHERE d.state = 3 AND NOT EXISTS
            (SELECT 1 FROM attempt a WHERE a.delivery = d.id AND a.outcome IN ('accepted', 'uncertain'))",
    ),
    (
        "deliveries whose attempts are not as many as they count",
        "SELECT count(*) FROM delivery d WHERE d.tries <>
            (SELECT count(*) FROM attempt a WHERE a.delivery = d.id AND a.held AND a.outcome <> 'untried')",
    ),
    (
        "deliveries of editions that nobody approved",
        "SELECT count(*) FROM delivery d WHERE EXISTS
            (SELECT 1 FROM edition e WHERE e.id = d.edition AND e.approved IS NULL)",
    ),
    (
        "deliveries or attempts that belong to nothing",
        "SELECT (SELECT count(*) FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM edition e WHERE e.id = d.edition)
                    OR NOT EXISTS (SELECT 1 FROM subscriber s WHERE s.id = d.subscriber))
              + (SELECT count(*) FROM attempt a WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = a.delivery))",
    ),
    (
        "editions that are sent or withdrawn, and of which something is still to be sent",
        "SELECT count(*) FROM edition e WHERE e.state IN ('sent', 'withdrawn') AND EXISTS
            (SELECT 1 FROM delivery d WHERE d.edition = e.id AND d.state IN (0, 1))",
    ),
    (
        "approved editions without their seal",
        "SELECT count(*) FROM edition WHERE state IN ('approved', 'sending', 'sent') AND (seal IS NULL OR approved IS NULL)",
    ),
    (
        "mails that came back, and their deliveries do not know",
        "SELECT count(*) FROM returned r JOIN delivery d ON d.id = r.delivery
            WHERE r.news IN ('bounced', 'complained') AND d.returned IS NULL",
    ),
];

/// What one of them has found.
pub(super) fn told(count: i64, what: &str) -> Option<String> {
    (count != 0).then(|| format!("{count} {what}"))
}
