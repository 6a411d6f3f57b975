//! `pressrun returns`: reads mail that comes back, and files what it says.

// What is kept for people.
pub(super) mod aside;
// What was read, counted.
mod tally;

use chrono::Utc;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::context::{Context, Store};
use super::{Common, Done, failures, keys};
use crate::config::mbox;
use crate::error::{Failure, Kind};
use crate::press::returns::{Incoming, Options, Reader};
use crate::transport::OpenError;
use crate::transport::inbox::{Inbox, InboxError, Item};
use aside::Kept;
use tally::Tally;

pub(crate) use tally::Counters;

/// Bytes of a mail on standard input that are kept; what follows is read and thrown away.
const LARGEST: u64 = 32 << 20;

/// Arguments of `pressrun returns`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A Maildir or a file of mails (mbox), or `-` for one mail from standard input; without it, what `returns: inbox:` names,
    /// or else standard input
    #[arg(value_name = "PLACE")]
    place: Option<PathBuf>,
    /// The address that the mail on standard input came to, where the mail server tells it
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
}

/// Reads what came back.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let from_input = match arguments.place.as_deref() {
        Some(place) => place == Path::new("-"),
        None => !std::io::IsTerminal::is_terminal(&std::io::stdin()),
    };
    // A mail server that hands a mail over throws it away at any other answer than "later".
    let later = |failure| if from_input { Failure { kind: Kind::Deferred, ..failure } } else { failure };
    let context = Context::load(common).map_err(later)?;
    let from_input = match &arguments.place {
        Some(_) => from_input,
        None => context.settings.returns.inboxes.is_empty(),
    };
    if from_input {
        let read = input(&context, arguments.recipient.as_deref());
        read.map_err(|failure| Failure { kind: Kind::Deferred, ..failure })?.tell(common);
        return Ok(());
    }
    let store = context.store()?;
    let reader = reader(&context, &store)?;
    let mut tally = Tally::default();
    let mut failed = Ok(());
    for (name, inbox) in inboxes(&context, arguments.place.as_deref()) {
        let done = inbox.and_then(|inbox| {
            context.block_on(drain(&context, &reader, &inbox, &mut tally)).map_err(|e| unread(&name, e))
        });
        // The others are read all the same.
        failed = failed.and(done);
    }
    tally.tell(common);
    failed
}

/// Reads the inboxes that the configuration names, before something is sent. What cannot be read is told, and stops nothing.
pub(super) fn collect(common: &Common, context: &Context, store: &Store) -> Done {
    if context.settings.returns.inboxes.is_empty() {
        return Ok(());
    }
    let reader = reader(context, store)?;
    let mut tally = Tally::default();
    context.block_on(collect_all(context, &reader, &mut tally));
    if tally.any() || common.json {
        tally.tell(common);
    }
    Ok(())
}

/// As [`collect`], again and again.
pub(super) async fn watch(context: &Context, reader: Reader<crate::store::Store>) {
    let mut ticks = tokio::time::interval(context.settings.returns.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        collect_all(context, &reader, &mut Tally::default()).await;
    }
}

async fn collect_all(context: &Context, reader: &Reader<crate::store::Store>, tally: &mut Tally) {
    for (name, inbox) in inboxes(context, None) {
        let done = match inbox {
            Ok(inbox) => drain(context, reader, &inbox, tally).await.map_err(|e| unread(&name, e)),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = done {
            tracing::warn!(inbox = %name, because = %failure, "returned mail could not be read");
        }
    }
}

/// What is needed to read.
pub(super) fn reader(context: &Context, store: &Store) -> Result<Reader<crate::store::Store>, Failure> {
    let settings = &context.settings;
    let options = Options {
        keys: keys::links(context)?,
        path: settings.returns.path.clone(),
        patience: settings.returns.patience,
        digests: settings.digests.iter().map(|d| (d.slug.clone(), d.from.address.clone())).collect(),
    };
    Ok(Reader::new(store.clone(), options))
}

/// The place that the command line names, or the inboxes of the configuration, each with its name.
fn inboxes(context: &Context, place: Option<&Path>) -> Vec<(String, Result<Inbox, Failure>)> {
    let Some(place) = place else { return context.settings.returns.inboxes.clone() };
    let path = Context::here(place);
    let inbox = if path.is_file() { mbox(&path, &context.settings.returns.folder) } else { Inbox::Maildir(path) };
    vec![(place.display().to_string(), Ok(inbox))]
}

/// Whether an inbox can be read; how many mails wait in it, where that is known beforehand.
pub(super) async fn waiting(name: &str, inbox: Result<&Inbox, &Failure>) -> Result<Option<usize>, Failure> {
    let session = inbox.map_err(Clone::clone)?.open().await.map_err(|e| unread(name, Trouble::Inbox(e)))?;
    let waiting = session.waiting();
    session.close().await;
    Ok(waiting)
}

/// Why an inbox could not be read to its end.
enum Trouble {
    Inbox(InboxError),
    Failure(Failure),
}

impl From<InboxError> for Trouble {
    fn from(error: InboxError) -> Self {
        Trouble::Inbox(error)
    }
}

fn unread(name: &str, trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Failure(failure) => failure,
        Trouble::Inbox(InboxError::Server(error @ OpenError::Login { .. })) => failures::transport(&error).hint(
            "see the user in `returns: inbox:` and the password (PRESSRUN_IMAP_PASSWORD, or `returns: password_file:`)",
        ),
        Trouble::Inbox(InboxError::Server(error)) => {
            failures::transport(&error).hint("see `returns: inbox:`; nothing is lost: what was not filed is read again")
        }
        Trouble::Inbox(InboxError::NoMaildir(_, error)) => {
            Failure::new(Kind::Usage, format!("{name} is no Maildir, and no file of mails"))
                .because(error)
                .hint("a Maildir has the folders new, cur and tmp")
        }
        Trouble::Inbox(InboxError::File(path, error)) => failures::file("cannot read or move", &path, &error),
        Trouble::Inbox(error @ InboxError::Locked(_)) => {
            Failure::new(Kind::Unavailable, error.to_string()).hint("try again later; nothing is lost")
        }
    }
}

/// Reads an inbox to its end. A batch is filed, then what was not understood is kept aside, then the inbox is told; a crash in
/// between reads some mails again, which changes nothing.
async fn drain(
    context: &Context,
    reader: &Reader<crate::store::Store>,
    inbox: &Inbox,
    tally: &mut Tally,
) -> Result<(), Trouble> {
    let mut session = inbox.open().await?;
    loop {
        let items = session.next().await?;
        if items.is_empty() {
            session.close().await;
            return Ok(());
        }
        let (tickets, mails): (Vec<Item>, Vec<Incoming>) = items
            .into_iter()
            .map(|mut item| {
                let message = std::mem::take(&mut item.message);
                (item, Incoming { message, recipient: None })
            })
            .unzip();
        let read = file(context, reader, &mails, tally).await.map_err(Trouble::Failure)?;
        let done: Vec<_> = tickets.into_iter().zip(read).collect();
        session.done(&done).await?;
    }
}

/// Files mails; beside each whether it was kept aside.
async fn file(
    context: &Context,
    reader: &Reader<crate::store::Store>,
    mails: &[Incoming],
    tally: &mut Tally,
) -> Result<Vec<bool>, Failure> {
    let report = reader.read(mails, Utc::now()).await.map_err(failures::ledger)?;
    let folder = &context.settings.returns.folder;
    let mut kept = vec![];
    for (mail, read) in mails.iter().zip(&report.read) {
        kept.push(aside::keep(folder, &mail.message, *read)?);
    }
    let of = |which| kept.iter().filter(|kept| **kept == Some(which)).count();
    match (of(Kept::Untied), of(Kept::Full)) {
        (0, 0) => {}
        (mails, 0) => {
            tracing::warn!(
                mails,
                "returned mail that belongs to no mail of ours is kept in {}",
                context.shown(&folder.join("untied"))
            );
        }
        (_, mails) => {
            let untied = folder.join("untied");
            tracing::warn!(
                mails,
                "returned mail that belongs to no mail of ours is not kept: there is no more room in {}",
                context.shown(&untied)
            );
        }
    }
    tally.add(&report);
    context.returned.add(&report);
    Ok(kept.into_iter().map(|kept| kept == Some(Kept::Unreadable)).collect())
}

/// One mail from standard input.
fn input(context: &Context, recipient: Option<&str>) -> Result<Tally, Failure> {
    let failed = |e: std::io::Error| Failure::new(Kind::Unavailable, "cannot read standard input").because(e);
    let mut input = std::io::stdin().lock();
    let mut message = Vec::new();
    (&mut input).take(LARGEST).read_to_end(&mut message).map_err(failed)?;
    // A server that cannot write all of it would take that for a failure.
    std::io::copy(&mut input, &mut std::io::sink()).map_err(failed)?;
    let store = context.store()?;
    let reader = reader(context, &store)?;
    let mut tally = Tally::default();
    let mail = Incoming { message, recipient: recipient.map(str::to_owned) };
    context.block_on(file(context, &reader, &[mail], &mut tally))?;
    Ok(tally)
}
