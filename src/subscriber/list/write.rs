//! Writing a list that reads back the same.

use chrono::{DateTime, SecondsFormat, Utc};
use csv::Terminator;
use std::borrow::Cow;
use std::io::{self, Write};

use super::super::{Listed, SubscriptionState, SuppressionReason};

const HEADER: [&str; 9] = ["email", "name", "digest", "state", "since", "consent", "note", "language", "consented"];

/// Writes subscriptions as CSV (RFC 4180, UTF-8, the header first) that [`super::read`] takes again. A suppressed address is
/// written as such, whatever its subscription was: it comes back suppressed, with its reason, day and note.
///
/// A cell that a spreadsheet would take for a formula gets an apostrophe in front, which the reader takes off.
pub struct Writer<W: Write> {
    csv: csv::Writer<W>,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// What `writer` says.
    pub fn new(writer: W) -> io::Result<Self> {
        let mut csv = csv::WriterBuilder::new().terminator(Terminator::CRLF).from_writer(writer);
        csv.write_record(HEADER)?;
        Ok(Self { csv })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&mut self, listed: &Listed) -> io::Result<()> {
        let (state, since, note) = match &listed.suppression {
            Some(suppression) => (reason(suppression.reason), suppression.since, suppression.note.as_str()),
            None => (state(listed.subscription.state), listed.subscription.since, ""),
        };
        let (source, consented) = match &listed.consent {
            Some(consent) => (consent.source.as_str(), consent.when.map(written)),
            None => ("", None),
        };
        let subscriber = &listed.subscriber;
        self.csv.write_record([
            &*guarded(subscriber.address.as_str()),
            &*guarded(&subscriber.name),
            &listed.subscription.digest,
            state,
            &written(since),
            &*guarded(source),
            &*guarded(note),
            subscriber.language.as_deref().unwrap_or_default(),
            &consented.unwrap_or_default(),
        ])?;
        Ok(())
    }

    /// Ends the list and gives the writer back.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(self) -> io::Result<W> {
        self.csv.into_inner().map_err(|error| io::Error::other(error.to_string()))
    }
}

fn written(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn state(state: SubscriptionState) -> &'static str {
    match state {
        SubscriptionState::Pending => "pending",
        SubscriptionState::Confirmed => "confirmed",
        SubscriptionState::Ended => "ended",
    }
}

fn reason(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::Bounced => "bounced",
        SuppressionReason::Complained => "complained",
        SuppressionReason::Erased => "erased",
        SuppressionReason::Manual => "suppressed",
    }
}

/// Whether a spreadsheet runs the text as a formula, now or after one apostrophe more was taken off.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

/// The text with an apostrophe in front where a spreadsheet would run it as a formula: a subscriber may choose her name, and
/// `=HYPERLINK(…)` is not one that the editor should open.
pub(super) fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The other direction: exactly what [`guarded`] made of it.
pub(super) fn unguarded(cell: &str) -> Cow<'_, str> {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text) => Cow::Borrowed(text),
        _ => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_disarmed_and_comes_back() {
        for text in ["=1+1", "+49", "-", "@x", "'=x", "''+x", "＝x"] {
            assert_eq!(guarded(text), format!("'{text}"));
            assert_eq!(unguarded(&guarded(text)), text);
        }
        for text in ["", "Nadia", "O'Brien", "'t Hooft", "a=b", "''"] {
            assert_eq!(guarded(text), text);
            assert_eq!(unguarded(text), text);
        }
    }
}
