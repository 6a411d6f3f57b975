//! How a letter to an editor reads: two templates, whose first line is the subject.

use serde::Serialize;

use crate::digest::render::{PlainTemplate, TemplateFile};
use crate::newsroom::Problem;

/// The folder of the templates.
pub const FOLDER: &str = "editor";
/// The templates: what waits for an editor, and what became of an edition.
pub const FILES: [&str; 2] = ["draft.txt.hbs", "summary.txt.hbs"];

const EMBEDDED: [&str; 2] = [
    include_str!("../../../templates/editor/draft.txt.hbs"),
    include_str!("../../../templates/editor/summary.txt.hbs"),
];
/// What a template begins with.
const SUBJECT: &str = "Subject:";

/// What letters are filled with; the names are those in the templates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The newsroom's title.
    pub newsroom: String,
    /// Of which digest.
    pub digest: About,
    /// The edition's number in the ledger, for commands.
    pub edition: i64,
    /// In its digest.
    pub number: u32,
    /// The edition's subject.
    pub subject: String,
    /// The edition's preheader.
    pub preheader: String,
    /// In order.
    pub pieces: Vec<Piece>,
    /// How many would get a draft.
    pub readers: String,
    /// When it was due, on the digest's clock; empty where a person asked for it.
    pub due: String,
    /// It came too late to go out by itself.
    pub late: bool,
    /// Every delivery has ended, and well understood.
    pub sent: bool,
    /// Every delivery has ended, some of them uncertain.
    pub undecided: bool,
    /// Why it is paused, where it is.
    pub paused: Option<String>,
    /// How many deliveries ended how; those that are none are left out.
    pub results: Vec<Count>,
    /// How many were uncertain at some time, where any were.
    pub doubtful: Option<String>,
    /// Who was refused, where they are few.
    pub refused: Vec<Refused>,
}

/// A digest, as letters name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// For commands.
    pub slug: String,
    /// For people.
    pub title: String,
}

/// A piece of the edition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// 1, 2, 3…
    pub number: usize,
    /// Its title.
    pub title: String,
}

/// So many of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Grouped: `1,234`.
    pub count: String,
    /// `accepted`.
    pub what: String,
}

/// A reader whose server refused the mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Whose.
    pub address: String,
    /// What the server said.
    pub reply: String,
}

/// A letter's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// Which of the templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A draft waits.
    Draft,
    /// What became of an edition.
    Summary,
}

/// The templates of letters, read and tried.
#[derive(Debug)]
pub struct Templates([PlainTemplate; 2]);

impl Templates {
    /// Reads the templates, a newsroom's own in the place of ours, and tries them on made-up facts.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(own: [Option<TemplateFile>; 2]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut read = Vec::new();
        for ((own, name), embedded) in own.into_iter().zip(FILES).zip(EMBEDDED) {
            let file = own.unwrap_or_else(|| TemplateFile {
                file: format!("templates/{FOLDER}/{name}"),
                text: embedded.to_owned(),
            });
            match PlainTemplate::new(file) {
                Ok(template) => {
                    let tried = specimens().iter().find_map(|facts| fill(&template, facts).err());
                    problems.extend(tried);
                    read.push(template);
                }
                Err(found) => problems.extend(found),
            }
        }
        match <[PlainTemplate; 2]>::try_from(read) {
            Ok(templates) if problems.is_empty() => Ok(Templates(templates)),
            _ => Err(problems),
        }
    }

    /// Writes a letter.
    ///
    /// # Errors
    /// What is wrong with the template, and only these facts show it.
    pub fn write(&self, kind: Kind, facts: &Facts) -> Result<Letter, Problem> {
        fill(&self.0[kind as usize], facts)
    }
}

fn fill(template: &PlainTemplate, facts: &Facts) -> Result<Letter, Problem> {
    let text = template.fill(facts)?;
    let (first, text) = text.split_once('\n').unwrap_or((&text, ""));
    let subject = first.strip_prefix(SUBJECT).map(str::trim).filter(|subject| !subject.is_empty());
    let Some(subject) = subject else {
        return Err(template.problem(
            "the letter has no subject",
            &format!("its first line begins with `{SUBJECT}`, and the subject follows"),
        ));
    };
    Ok(Letter { subject: subject.to_owned(), text: text.trim_start_matches(['\r', '\n']).to_owned() })
}

/// Made-up facts: everything that may be absent is there once and absent once.
fn specimens() -> [Facts; 2] {
    let full = Facts {
        newsroom: "Specimen".into(),
        digest: About { slug: "weekly".into(), title: "Specimen weekly".into() },
        edition: 7,
        number: 3,
        subject: "A subject".into(),
        preheader: "A preheader".into(),
        pieces: vec![Piece { number: 1, title: "A piece".into() }],
        readers: "12".into(),
        due: "Friday, 20 November 2026, 07:00 CST".into(),
        late: true,
        sent: true,
        undecided: true,
        paused: Some("too many were refused".into()),
        results: vec![Count { count: "12".into(), what: "accepted".into() }],
        doubtful: Some("1".into()),
        refused: vec![Refused { address: "reader@specimen.example".into(), reply: "550 5.1.1 unknown".into() }],
    };
    let empty = Facts {
        pieces: vec![],
        due: String::new(),
        late: false,
        undecided: false,
        paused: None,
        results: vec![],
        doubtful: None,
        refused: vec![],
        ..full.clone()
    };
    [full, empty]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn own(text: &str) -> Result<Templates, Vec<Problem>> {
        Templates::new([Some(TemplateFile { file: "templates/editor/draft.txt.hbs".into(), text: text.into() }), None])
    }

    #[test]
    fn our_own_templates_hold_and_leave_no_gaps() {
        let templates = Templates::new([None, None]).unwrap();
        for facts in specimens() {
            for kind in [Kind::Draft, Kind::Summary] {
                let letter = templates.write(kind, &facts).unwrap();
                assert!(letter.subject.contains("Specimen weekly no. 3"), "{}", letter.subject);
                assert!(!letter.text.contains("\n\n\n") && letter.text.ends_with("Specimen\n"), "{}", letter.text);
            }
        }
    }

    #[test]
    fn a_title_stands_in_a_letter_as_it_is() {
        let [mut facts, _] = specimens();
        facts.digest.title = "R&D <weekly> \"now\"".into();
        let letter = Templates::new([None, None]).unwrap().write(Kind::Draft, &facts).unwrap();
        assert!(letter.text.contains("R&D <weekly> \"now\" no. 3 waits"), "{}", letter.text);
    }

    #[test]
    fn a_mistake_in_a_newsrooms_own_template_is_told_before_it_is_needed() {
        for (text, what) in [
            ("Hello", "no subject"),
            ("Subject: \nHello", "no subject"),
            ("Subject: {{digst.title}}\n", "unknown name `digst.title`"),
            ("Subject: x\n{{#if late}}", "late"),
        ] {
            let told = own(text).unwrap_err().iter().map(|p| p.render(false)).collect::<String>();
            assert!(told.contains(what), "{text:?}: {told}");
            assert!(told.contains("templates/editor/draft.txt.hbs"), "{told}");
        }
        assert!(own("Subject: {{subject}}\nHello").is_ok());
    }
}
