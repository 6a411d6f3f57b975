//! A standing newsletter and its editions. Pure.

// One digest sealed at one moment.
pub mod edition;
// What happens to an edition whose hour has passed.
pub mod missed;
// Hours in which nothing is sent.
pub mod quiet;
// Subject, text and HTML from templates.
pub mod render;
// When a digest is due.
pub mod schedule;
// What an editor approved, as one number.
pub mod seal;
// Which pieces an edition carries.
pub mod selection;
// A made-up digest and its pieces, to try templates on.
pub mod specimen;

pub use edition::{Drafted, Edition, EditionId, EditionPiece, EditionState, Editions, Sealed};
pub use missed::{Missed, Turn};
pub use quiet::{Quiet, QuietError};
pub use schedule::{Schedule, ScheduleError};
pub use selection::{Selection, select};

use serde::{Deserialize, Serialize};

/// A standing newsletter, as the configuration defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Names it in commands, addresses and the ledger.
    pub slug: String,
    /// Names it to readers.
    pub title: String,
    /// One sentence: what the reader asked for. Stands in the foot of every mail.
    pub description: String,
    /// Slugs of the sections whose articles it carries.
    pub sections: Vec<String>,
    /// Who it is from: display name and address.
    pub from: Sender,
    /// Where answers go.
    pub reply_to: Option<Sender>,
    /// A Handlebars pattern for the subject.
    pub subject: String,
    /// A Handlebars pattern for the line that mail programs show after the subject.
    pub preheader: String,
    /// The folder of templates below `templates/`: `digest`.
    pub template: String,
    /// When it is due; `None`: only by hand.
    pub schedule: Option<Schedule>,
    /// Where the clock hangs that its readers go by.
    pub time_zone: chrono_tz::Tz,
    /// What a run does that comes later than `late` after the due time.
    pub missed: Missed,
    /// How long after its due time an edition is still in time.
    pub late: std::time::Duration,
    /// When nothing is sent.
    pub quiet: Option<Quiet>,
    /// Who hears by mail of drafts and of what became of an edition.
    pub editors: Vec<crate::subscriber::Address>,
    /// At most so many pieces an edition.
    pub pieces: usize,
    /// No edition is made with fewer new pieces than this; at least 1.
    pub at_least: usize,
    /// Whole texts or summaries.
    pub body: BodyLength,
    /// Who lets an edition go out.
    pub approval: Approval,
    /// BCP 47.
    pub language: String,
    /// `List-Id` (RFC 2919), for instance `middle-east-outreach.acero-advocate.example`.
    pub list_id: String,
    /// The newsroom's postal address, as many laws ask; stands in the foot of every mail.
    pub postal_address: Option<String>,
}

/// A display name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// May be empty.
    pub name: String,
    /// Parsed once.
    pub address: crate::subscriber::Address,
}

/// Whole texts or summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyLength {
    /// The whole text; becomes summaries where the mail would grow too large.
    Full,
    /// The summary and "read on".
    Summary,
}

/// Who lets an edition go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approval {
    /// An editor, with `pressrun edition approve`.
    Editor,
    /// Nobody: it goes out as soon as it is sealed.
    Automatic,
}
