//! Which column holds what: header names in the spellings that people and programs use.

use super::lines::Line;
use super::record::Splitter;
use super::{Context, quoted};
use crate::newsroom::Problem;
use crate::newsroom::problem::closest;

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
    pub(super) delimiter: u8,
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

/// The columns, and notes on those that are not read. A delimiter that the list names itself is taken at its word.
pub(super) fn find(first: &Line, named: Option<u8>, context: &Context<'_>) -> Result<(Columns, Vec<Problem>), Problem> {
    // Most headers recognised wins, then most cells; of equals, the earlier.
    let read = |delimiter: u8| {
        let header = Splitter::new(delimiter).line(first);
        let known = header.cells.iter().filter(|cell| recognise(&cell.text).is_some()).count();
        ((known, header.cells.len()), delimiter, header)
    };
    let others = [b';', b'\t', b'|'].into_iter().filter(|_| named.is_none()).map(read);
    let (_, delimiter, header) =
        others.fold(read(named.unwrap_or(b',')), |best, other| if other.0 > best.0 { other } else { best });
    let mut columns = Columns { places: Vec::new(), delimiter, count: header.cells.len(), headless: false };
    let mut notes = Vec::new();
    for (place, cell) in header.cells.iter().enumerate() {
        let note = |what| context.on_cell(&header, cell, what).warning();
        match recognise(&cell.text) {
            Some(column) if columns.place(column).is_none() => columns.places.push((column, place)),
            Some(_) => {
                let what = format!("a column before this one says the same; {} is not read", quoted(&cell.text));
                notes.push(note(what).help("keep one of the two"));
            }
            None if cell.text.is_empty() => {}
            None => {
                let note = note(format!("the column {} is not read", quoted(&cell.text)));
                notes.push(match closest(&plain(&cell.text), NAMES.iter().map(|(_, names)| names[0])) {
                    Some(name) => note.help(format!("did you mean `{name}`?")),
                    None => note,
                });
            }
        }
    }
    if columns.place(Column::Email).is_some() {
        return Ok((columns, notes));
    }
    let filled: Vec<_> = header.cells.iter().enumerate().filter(|(_, cell)| !cell.text.is_empty()).collect();
    if let [(place, only)] = filled[..]
        && only.text.contains('@')
    {
        return Ok((Columns { places: vec![(Column::Email, place)], headless: true, ..columns }, Vec::new()));
    }
    if header.cells.iter().any(|cell| cell.text.contains('@')) {
        let problem = context.on_row(&header, "the first line does not say what the columns are");
        return Err(problem.help("put a line above it, for instance `email,name,digest`"));
    }
    let what = "no column is called `email`";
    Err(match header.cells.iter().find(|cell| closest(&plain(&cell.text), ["email"]).is_some()) {
        Some(cell) => context.on_cell(&header, cell, what).help("did you mean `email`?"),
        None => context
            .on_row(&header, what)
            .help("call the column with the addresses `email`; take away lines above the columns' names"),
    })
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
