//! From the cells of a row to an entry.

use chrono::{DateTime, Utc};

use super::columns::{Column, Columns};
use super::record::{Cell, Record};
use super::write::unguarded;
use super::{Context, dates, quoted};
use crate::newsroom::Problem;
use crate::newsroom::problem::{closest, suggest};
use crate::subscriber::unseen::is_unseen;
use crate::subscriber::{Address, Consent, EVERYTHING, Entry, SubscriptionState, SuppressionReason};

/// Characters of a name; a longer one is a row that has lost a quotation mark.
pub(super) const MAX_NAME: usize = 200;
/// Characters of the consent's source and of a note.
pub(super) const MAX_WORDS: usize = 1_000;

use SubscriptionState::{Confirmed, Ended, Pending};
use SuppressionReason::{Bounced, Complained, Erased, Manual};

/// How lists say how a subscription stands, without case and punctuation. What other programs export is among them.
const STATES: &[(SubscriptionState, Option<SuppressionReason>, &[&str])] = &[
    (
        Confirmed,
        None,
        &[
            "confirmed",
            "subscribed",
            "active",
            "enabled",
            "optedin",
            "yes",
            "true",
            "1",
            "confirmado",
            "suscrito",
            "activo",
            "confirmé",
            "abonné",
            "actif",
            "bestätigt",
            "aktiv",
        ],
    ),
    (Pending, None, &["pending", "unconfirmed", "waiting", "pendiente", "enattente", "unbestätigt"]),
    (
        Ended,
        None,
        &[
            "ended",
            "unsubscribed",
            "nonsubscribed",
            "left",
            "inactive",
            "disabled",
            "optedout",
            "cancelled",
            "canceled",
            "no",
            "false",
            "0",
            "baja",
            "désabonné",
            "abgemeldet",
        ],
    ),
    (Ended, Some(Manual), &["suppressed", "blocked", "blocklisted", "blacklisted"]),
    (Ended, Some(Bounced), &["bounced", "hardbounced", "cleaned", "undeliverable"]),
    (Ended, Some(Complained), &["complained", "complaint", "spam", "spamcomplaint"]),
    (Ended, Some(Erased), &["erased", "forgotten"]),
];

/// A row that is being read: collects all that is wrong in it.
struct Row<'r> {
    record: &'r Record,
    columns: &'r Columns,
    context: &'r Context<'r>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
}

impl<'r> Row<'r> {
    fn cell(&self, column: Column) -> Option<&'r Cell> {
        self.record.cells.get(self.columns.place(column)?).filter(|cell| !cell.text.is_empty())
    }

    fn refuse(&mut self, cell: &Cell, what: impl Into<String>, help: impl Into<String>) {
        self.problems.push(self.context.on_cell(self.record, cell, what).help(help));
    }

    fn refuse_row(&mut self, what: &str, help: &str) {
        self.problems.push(self.context.on_row(self.record, what).help(help));
    }

    fn note(&mut self, cell: &Cell, what: impl Into<String>, help: impl Into<String>) {
        self.notes.push(self.context.on_cell(self.record, cell, what).help(help).warning());
    }

    /// Words of at most `most` characters, on one line, without what nobody sees.
    fn words(&mut self, column: Column, most: usize) -> String {
        let Some(cell) = self.cell(column) else { return String::new() };
        let words = clean(&unguarded(&cell.text));
        if words.chars().count() > most {
            self.refuse(cell, format!("this is longer than {most} characters"), "is a quotation mark missing?");
        }
        words
    }

    fn address(&mut self) -> Option<(Address, String)> {
        let Some(cell) = self.cell(Column::Email) else {
            self.refuse_row("there is no address", "fill it in, or take the row out");
            return None;
        };
        let (name, bare) = taken_apart(&unguarded(&cell.text));
        if bare.matches('@').count() > 1 && bare.contains([',', ';', ' ']) {
            self.refuse(cell, "there are several addresses in one cell", "give each a row of its own");
            return None;
        }
        match bare.parse::<Address>() {
            Ok(address) => {
                for warning in address.warnings() {
                    self.note(cell, warning.to_string(), "it is taken; ask whether a person reads it");
                }
                Some((address, name))
            }
            Err(error) => {
                self.refuse(cell, error.what, "an address looks like `nadia@example.org`");
                None
            }
        }
    }

    fn name(&mut self, from_address: String) -> String {
        let whole = self.words(Column::Name, MAX_NAME);
        let (first, last) = (self.words(Column::First, MAX_NAME), self.words(Column::Last, MAX_NAME));
        let joined = format!("{first} {last}").trim().to_owned();
        [whole, joined, from_address].into_iter().find(|name| !name.is_empty()).unwrap_or_default()
    }

    fn digest(&mut self) -> Option<String> {
        let known = self.context.digests;
        let Some(cell) = self.cell(Column::Digest) else {
            let only = if let [only] = known { Some((*only).to_owned()) } else { None };
            let digest = self.context.defaults.digest.clone().or(only);
            if digest.is_none() {
                self.refuse_row("the row names no digest", "fill the column `digest`, or import with one for all rows");
            }
            return digest;
        };
        let slug = cell.text.to_lowercase().split_whitespace().collect::<Vec<_>>().join("-");
        if slug == EVERYTHING || known.contains(&slug.as_str()) {
            return Some(slug);
        }
        let help = match known {
            [] => "there is no digest in the configuration".into(),
            _ => suggest(&slug, known.iter().copied()),
        };
        self.refuse(cell, format!("unknown digest {}", quoted(&cell.text)), help);
        None
    }

    fn state(&mut self) -> (SubscriptionState, Option<SuppressionReason>) {
        let Some(cell) = self.cell(Column::State) else { return (self.context.defaults.state, None) };
        let word: String = cell.text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        if let Some((state, suppressed, _)) = STATES.iter().find(|(_, _, words)| words.contains(&word.as_str())) {
            return (*state, *suppressed);
        }
        let help = closest(&word, STATES.iter().flat_map(|(_, _, words)| words.iter().copied())).map_or_else(
            || "write confirmed, pending, ended or suppressed".into(),
            |meant| format!("did you mean `{meant}`?"),
        );
        self.refuse(cell, format!("unknown state {}", quoted(&cell.text)), help);
        (Pending, None)
    }

    fn moment(&mut self, column: Column) -> Option<DateTime<Utc>> {
        let cell = self.cell(column)?;
        match dates::parse(&cell.text) {
            Ok(moment) => Some(moment),
            Err(help) => {
                self.refuse(cell, format!("{} is not a clear date", quoted(&cell.text)), help);
                None
            }
        }
    }

    fn language(&mut self) -> Option<String> {
        let cell = self.cell(Column::Language)?;
        let tag = cell.text.replace('_', "-");
        let mut parts = tag.split('-');
        let sound = parts
            .next()
            .is_some_and(|main| matches!(main.len(), 2 | 3) && main.bytes().all(|b| b.is_ascii_alphabetic()))
            && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        if !sound {
            let what = format!("{} is no language tag; the row is taken without it", quoted(&cell.text));
            self.note(cell, what, "write it as in `en` or `pt-BR`");
        }
        sound.then_some(tag)
    }

    fn surplus(&mut self) {
        let count = self.columns.count;
        let Some(cell) = self.record.cells.iter().skip(count).find(|cell| !cell.text.is_empty()) else { return };
        let what = format!("the row has {} cells for {count} columns", self.record.cells.len());
        let help = if self.record.cells.iter().any(|cell| cell.text.starts_with('"')) {
            "take away the space before the quotation mark"
        } else {
            "put a cell with a delimiter in it into quotation marks"
        };
        self.refuse(cell, what, help);
    }
}

/// The entry and what there is to note, or all that is wrong.
pub(super) fn entry(
    record: &Record,
    columns: &Columns,
    context: &Context<'_>,
) -> Result<(Entry, Vec<Problem>), Vec<Problem>> {
    let mut row = Row { record, columns, context, problems: Vec::new(), notes: Vec::new() };
    row.surplus();
    let address = row.address();
    let (address, name_beside) = address.map_or((None, String::new()), |(address, name)| (Some(address), name));
    let name = row.name(name_beside);
    let digest = row.digest();
    let (state, suppressed) = row.state();
    let since = row.moment(Column::Since);
    let asks_for_mail = suppressed.is_none() && state != Ended;
    // A list with one date gives the day of the sign-up.
    let when = match columns.place(Column::Consented) {
        Some(_) => row.moment(Column::Consented),
        None => since.filter(|_| asks_for_mail),
    };
    let mut source = row.words(Column::Consent, MAX_WORDS);
    if source.is_empty() {
        source = context.defaults.consent.clone().unwrap_or_default();
    }
    if source.is_empty() && asks_for_mail {
        row.refuse_row(
            "where does the consent come from?",
            "fill the column `consent`, for instance `sign-up sheet, open day 2026`, or import with one for all rows",
        );
    }
    if asks_for_mail && digest.as_deref() == Some(EVERYTHING) {
        row.refuse_row("nobody asks for every digest there will ever be", "name a digest; `*` can only be left");
    }
    let language = row.language();
    let note = row.words(Column::Note, MAX_WORDS);
    match (address, digest) {
        (Some(address), Some(digest)) if row.problems.is_empty() => {
            let consent = Consent { source, when };
            Ok((Entry { address, name, language, digest, state, since, consent, suppressed, note }, row.notes))
        }
        _ => Err(row.problems),
    }
}

/// On one line, without controls and what nobody sees; joiners stay, Persian and Hindi names are spelt with them.
pub(super) fn clean(text: &str) -> String {
    let kept = text.chars().filter_map(|c| match c {
        '\u{200c}' | '\u{200d}' => Some(c),
        c if c.is_whitespace() || c.is_control() => Some(' '),
        c if is_unseen(c) => None,
        c => Some(c),
    });
    kept.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A cell with an address, as people fill it: `Nadia Cavner <nadia@example.org>`, `mailto:…`, a stray comma, spaces that
/// nobody sees at the edges. The name, and what should be the address.
fn taken_apart(cell: &str) -> (String, String) {
    let stray = |c: char| is_unseen(c) || matches!(c, ',' | ';');
    let cell = cell.trim_matches(stray);
    let (name, bare) = match cell.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, bare)) => (clean(name.trim().trim_matches(['"', '\''])), bare.trim_matches(stray)),
        None => (String::new(), cell),
    };
    let scheme = bare.get(..7).filter(|start| start.eq_ignore_ascii_case("mailto:"));
    let bare = &bare[scheme.map_or(0, str::len)..];
    let quoted = bare.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    (name, quoted.unwrap_or(bare).trim_matches(is_unseen).to_owned())
}
