//! Which column holds what: header names in the spellings that people and programs use.

use super::lines::{Line, cells};
use super::{Context, did_you_mean, harmless};
use crate::newsroom::Problem;

/// What a column can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Email,
    Name,
    First,
    Last,
    Digest,
    State,
    Since,
    Consented,
    Consent,
    Note,
    Language,
}

/// Header names without case, spaces and punctuation. The first of each is ours.
const NAMES: &[(Column, &[&str])] = &[
    (
        Column::Email,
        &[
            "email",
            "emailaddress",
            "address",
            "mail",
            "mailaddress",
            "subscriber",
            "correo",
            "correoelectrónico",
            "correoelectronico",
            "courriel",
            "adresse",
            "adresseemail",
            "emailadresse",
            "mailadresse",
            "البريدالإلكتروني",
        ],
    ),
    (Column::Name, &["name", "fullname", "displayname", "nombre", "nom", "nomcomplet", "nombrecompleto", "الاسم"]),
    (Column::First, &["firstname", "first", "givenname", "fname", "prénom", "prenom", "vorname"]),
    (Column::Last, &["lastname", "last", "surname", "familyname", "lname", "apellido", "apellidos", "nachname"]),
    (Column::Digest, &["digest", "newsletter", "list", "lists", "mailinglist", "boletín", "boletin", "infolettre"]),
    (
        Column::State,
        &["state", "status", "subscription", "subscribed", "subscribedtoemails", "estado", "statut", "zustand"],
    ),
    (
        Column::Since,
        &[
            "since",
            "date",
            "subscribedat",
            "subscribedon",
            "createdat",
            "created",
            "joined",
            "joinedat",
            "confirmtime",
            "confirmedat",
            "signupdate",
            "fecha",
            "datum",
        ],
    ),
    (Column::Consented, &["consented", "consentedat", "consentdate", "optintime", "optindate"]),
    (
        Column::Consent,
        &["consent", "source", "consentsource", "optinsource", "origin", "consentimiento", "consentement"],
    ),
    (Column::Note, &["note", "notes", "comment", "comments", "remark", "reason", "nota", "remarque"]),
    (Column::Language, &["language", "lang", "locale", "idioma", "langue", "sprache"]),
];

/// Where each column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    places: Vec<(Column, usize)>,
    /// How many cells the first line has.
    pub(super) count: usize,
    /// The first line is a row already.
    pub(super) headless: bool,
}

impl Columns {
    pub(super) fn place(&self, wanted: Column) -> Option<usize> {
        self.places.iter().find(|(column, _)| *column == wanted).map(|(_, place)| *place)
    }
}

fn recognise(header: &str) -> Option<Column> {
    let plain = plain(header);
    NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(column, _)| *column)
}

fn plain(header: &str) -> String {
    header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The delimiter, the columns, and notes on columns that are not read.
pub(super) fn find(first: &Line, context: &Context<'_>) -> Result<(char, Columns, Vec<Problem>), Problem> {
    // Most headers recognised wins, then most cells; of equals, the earlier.
    let known = |delimiter| cells(&first.text, delimiter).cells.iter().filter(|c| recognise(&c.text).is_some()).count();
    let rank = |delimiter| (known(delimiter), cells(&first.text, delimiter).cells.len());
    let mut delimiter = ',';
    for other in [';', '\t', '|'] {
        if rank(other) > rank(delimiter) {
            delimiter = other;
        }
    }
    let header = cells(&first.text, delimiter).cells;
    let mut columns = Columns { places: Vec::new(), count: header.len(), headless: false };
    let mut notes = Vec::new();
    for (place, cell) in header.iter().enumerate() {
        let at = (cell.column, cell.span);
        match recognise(&cell.text) {
            Some(column) if columns.place(column).is_none() => columns.places.push((column, place)),
            Some(_) => notes.push(context.problem(
                first,
                at,
                format!("a column before this one says the same; `{}` is not read", harmless(&cell.text, 60)),
                None,
            )),
            None if cell.text.is_empty() => {}
            None => {
                let meant = did_you_mean(&plain(&cell.text), NAMES.iter().map(|(_, names)| names[0]));
                notes.push(context.problem(
                    first,
                    at,
                    format!("the column `{}` is not read", harmless(&cell.text, 60)),
                    meant.map(|name| format!("did you mean `{name}`?")),
                ));
            }
        }
    }
    if columns.place(Column::Email).is_some() {
        return Ok((delimiter, columns, notes));
    }
    let filled: Vec<_> = header.iter().enumerate().filter(|(_, cell)| !cell.text.is_empty()).collect();
    if let [(place, only)] = filled[..]
        && only.text.contains('@')
    {
        let places = vec![(Column::Email, place)];
        let columns = Columns { places, count: header.len(), headless: true };
        return Ok((delimiter, columns, Vec::new()));
    }
    let (what, help) = if header.iter().any(|cell| cell.text.contains('@')) {
        (
            "the first line does not say what the columns are",
            "put a line above it, for instance `email,name,digest`".into(),
        )
    } else {
        let meant = header.iter().find(|cell| did_you_mean(&plain(&cell.text), ["email"]).is_some());
        let help = meant.map_or_else(
            || "call the column with the addresses `email`; take away lines above the columns' names".into(),
            |cell| format!("did you mean `email` by `{}`?", harmless(&cell.text, 60)),
        );
        ("no column is called `email`", help)
    };
    Err(context.problem(first, (0, 1), what, Some(help)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_known_in_the_spellings_people_use() {
        for (header, column) in [
            ("email", Column::Email),
            ("EMAIL", Column::Email),
            ("E-Mail", Column::Email),
            ("e-mail address", Column::Email),
            ("Email Address", Column::Email),
            ("Correo electrónico", Column::Email),
            ("البريد الإلكتروني", Column::Email),
            ("Full name", Column::Name),
            ("First Name", Column::First),
            ("last_name", Column::Last),
            ("Status", Column::State),
            ("CONFIRM_TIME", Column::Since),
            ("OPTIN_TIME", Column::Consented),
            ("subscribed_to_emails", Column::State),
        ] {
            assert_eq!(recognise(header), Some(column), "{header}");
        }
        assert_eq!(recognise("Telephone"), None);
    }

    #[test]
    fn no_header_name_means_two_things() {
        let mut all: Vec<&str> = NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        assert!(all.iter().all(|name| plain(name) == **name), "a name that can never be found");
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
