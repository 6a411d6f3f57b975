//! How the edges' errors are told: what, because, what to do.

use std::path::Path;

use super::{Common, output};
use crate::error::{Failure, Kind};
use crate::incremental;
use crate::press::seal::SealError;
use crate::publish::build::BuildError;
use crate::store::StoreError;
use crate::transport::OpenError;

/// Failures of things that do not hinder each other. The worst is the command's own; the others are told as they come.
#[derive(Debug, Default)]
pub(super) struct Worst(Option<Failure>);

impl Worst {
    pub(super) fn add(&mut self, common: &Common, failure: Failure) {
        self.0 = Some(match self.0.take() {
            Some(kept) => worse(common, kept, failure),
            None => failure,
        });
    }

    /// How all of it ended, with the `last`.
    pub(super) fn and<T>(self, common: &Common, last: Result<T, Failure>) -> Result<T, Failure> {
        match (self.0, last) {
            (None, last) => last,
            (Some(kept), Ok(_)) => Err(kept),
            (Some(kept), Err(failure)) => Err(worse(common, kept, failure)),
        }
    }
}

/// The worse of two; the other is told.
fn worse(common: &Common, one: Failure, other: Failure) -> Failure {
    let (worse, milder) = if one.kind.exit_code() >= other.kind.exit_code() { (one, other) } else { (other, one) };
    output::failure(common, &milder);
    worse
}

/// Whether what follows would fail too: the mail server, the ledger or the disk is not there, or somebody said stop. Otherwise the
/// failure is that of one edition or digest.
pub(super) fn hinders_all(failure: &Failure) -> bool {
    matches!(failure.kind, Kind::Unavailable | Kind::Configuration)
}

/// The ledger failed at work.
#[allow(clippy::needless_pass_by_value, reason = "made for map_err")]
pub(crate) fn ledger(error: StoreError) -> Failure {
    opening("", &error)
}

/// The ledger at `path` failed.
pub(crate) fn opening(path: &str, error: &StoreError) -> Failure {
    let name = if path.is_empty() { "the ledger".to_owned() } else { format!("the ledger {path}") };
    match error {
        StoreError::Locked => Failure::new(Kind::Unavailable, format!("{name} is locked by another program"))
            .hint("close the other program (a database browser, a backup), or try again later; nothing is lost"),
        StoreError::DiskFull => Failure::new(Kind::Unavailable, format!("{name} cannot be written: the disk is full"))
            .hint("make room and run it again: it carries on where it stopped"),
        StoreError::Unwritable(cause) => Failure::new(Kind::Unavailable, format!("{name} cannot be written"))
            .because(cause)
            .hint("its folder and file must be writable for this user"),
        StoreError::NotALedger => Failure::new(Kind::Configuration, format!("{name} is something else, not a ledger"))
            .hint("name another file or database with `ledger:` in the configuration, or move this one away"),
        StoreError::Moved => Failure::new(Kind::Configuration, format!("{name} has moved to a server"))
            .because("`pressrun ledger move` copied it, and sending from it too would mail people twice")
            .hint("name the server with `ledger: postgres://…` in the configuration"),
        StoreError::Occupied => Failure::new(Kind::Usage, format!("{name} is not empty"))
            .because("a ledger is moved into an empty database only, so that two never mix")
            .hint("make another database; nothing was copied"),
        StoreError::Newer { .. } => {
            Failure::new(Kind::Configuration, format!("{name} was written by a newer version of Pressrun"))
                .because(error)
                .hint("use that version; an older one could lose what it does not know")
        }
        StoreError::Damaged(cause) => Failure::new(Kind::Unavailable, format!("{name} is damaged"))
            .because(cause)
            .hint("put back a backup, and keep the damaged file"),
        StoreError::ErasureKey => Failure::new(Kind::Configuration, format!("{name} remembers erased readers, and the key for that is missing or another one"))
            .because(error)
            .hint("put back the file of keys that stood beside the ledger; without it, an erased reader could be brought back by a list"),
        StoreError::Unreachable(cause) => Failure::new(Kind::Unavailable, format!("{name} cannot be reached"))
            .because(cause)
            .hint("see that `ledger:` names the right host and port, and that the database runs; nothing is lost: run it again"),
        StoreError::Refused(cause) => Failure::new(Kind::Configuration, format!("{name} does not let us in"))
            .because(cause)
            .hint("see the user and the database in `ledger:`, the password (PRESSRUN_LEDGER_PASSWORD, or `password_file=`), and the certificates"),
        StoreError::Stopped => Failure::new(Kind::Bug, format!("{name} has stopped working")),
        StoreError::Database(cause) => Failure::new(Kind::Unavailable, format!("{name} failed")).because(cause),
    }
}

/// No line could be opened to where mails go.
pub(crate) fn transport(error: &OpenError) -> Failure {
    match error {
        OpenError::Unreachable { relay, cause } => Failure::new(Kind::Unavailable, format!("the mail server {relay} is unreachable"))
            .because(cause)
            .hint("see that `transport:` names the right host and port, and that the server runs; nothing is lost: run it again"),
        OpenError::Fruitless { cause } => Failure::new(Kind::Unavailable, "no mail server of `transport:` takes a mail")
            .because(cause)
            .hint("they are reached: what was said last tells why, and who runs the server can help; nothing is lost: run it again"),
        OpenError::Login { relay, cause } => Failure::new(Kind::Configuration, format!("the mail server {relay} refuses the login"))
            .because(cause)
            .hint("see the user in `transport:` and the password (PRESSRUN_SMTP_PASSWORD, or `smtp: password_file:`)"),
        OpenError::Untrusted { relay, cause } => Failure::new(Kind::Configuration, format!("the mail server {relay} cannot be trusted"))
            .because(cause)
            .hint("use the name that stands in its certificate; for a certificate of your own, name it with `smtp: trust:`"),
    }
}

/// An edition could not be made or changed; its problems are listed.
pub(crate) fn seal(common: &Common, error: SealError<StoreError>) -> Failure {
    match error {
        SealError::Material(problems) => {
            output::problems(common, &problems);
            output::found(problems.len(), Kind::Material)
        }
        SealError::Ledger(error) => ledger(error),
        SealError::NotDraft(..) => {
            Failure::new(Kind::Usage, error.to_string()).hint("pressrun edition list shows how each stands")
        }
        SealError::Revised(id) => Failure::new(Kind::Usage, error.to_string())
            .hint(format!("nothing was done. Look at it again: pressrun edition show {}", id.0)),
        SealError::Empty(id) => Failure::new(Kind::Usage, error.to_string())
            .hint(format!("leave a piece in, or withdraw the edition: pressrun edition withdraw {}", id.0)),
        SealError::Gone(_) => Failure::new(Kind::Material, error.to_string())
            .hint("put the article back, or leave the piece out: pressrun edition edit … --leave-out"),
        SealError::Broken(_) => Failure::new(Kind::Material, error.to_string())
            .hint("somebody changed the ledger by hand: nothing is sent. Withdraw the edition and make a new one"),
    }
}

/// A file could not be read or written.
pub(crate) fn file(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Kind::Unavailable, format!("{what} {}", path.display())).because(error);
    match error.kind() {
        std::io::ErrorKind::NotFound => failure.hint("see whether the name is right"),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::FileTooLarge | std::io::ErrorKind::QuotaExceeded => {
            failure.hint("make room on the disk")
        }
        std::io::ErrorKind::PermissionDenied => failure.hint("this user must be allowed to"),
        _ => failure,
    }
}

/// The feeds could not be built; those that were there are whole.
pub(crate) fn build(common: &Common, error: BuildError) -> Failure {
    match error {
        BuildError::Template(problem) => {
            output::problems(common, &[*problem]);
            output::found(1, Kind::Material).hint("mend the template, or take it away: then the embedded one is used")
        }
        BuildError::Full { path } => {
            Failure::new(Kind::Unavailable, format!("the disk is full: {} could not be written", path.display()))
                .hint("make room and run it again; the feeds that were there are whole")
        }
        BuildError::Unwritable { path, source } => file("cannot write the feed", &path, &source)
            .hint("the folder of feeds must be writable; the feeds that were there are whole"),
        BuildError::Outside(_) => Failure::new(Kind::Bug, error.to_string()),
    }
}

/// A build that could not be made.
pub(super) fn refused(common: &Common, refused: incremental::Refused) -> Failure {
    match refused {
        incremental::Refused::Articles(failure) => failure,
        incremental::Refused::Feeds(error) => build(common, error),
    }
}
