//! `pressrun edition …`: the editor's commands.

use chrono::Utc;
use clap::Subcommand;

use super::context::{Context, Store};
use super::material::{Articles, Material};
use super::{Common, Done, failures, mailing, output, subscribers};
use crate::config::signing;
use crate::digest::edition::{Choice, Edits};
use crate::digest::{Edition, EditionId, EditionPiece, EditionState, Editions};
use crate::error::{Failure, Kind};
use crate::press::seal;

/// Arguments of `pressrun edition`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List editions, newest first
    List {
        /// Only of this digest
        digest: Option<String>,
    },
    /// Show an edition: its pieces, and how its deliveries stand
    Show {
        /// The number in the list's first column
        edition: i64,
        /// Print the text part as readers get it
        #[arg(long)]
        text: bool,
    },
    /// Make a draft of what is new
    New {
        /// The digest's slug
        digest: String,
        #[command(flatten)]
        articles: Articles,
    },
    /// Change a draft, and render it anew from the articles as they are now
    Edit(Edit),
    /// Let an edition go out: fixes its bytes and writes one delivery for each confirmed subscriber
    Approve {
        /// The number in the list's first column
        edition: i64,
    },
    /// Take an edition back: who has not got it will not get it
    Withdraw {
        /// The number in the list's first column
        edition: i64,
    },
}

#[derive(Debug, clap::Args)]
struct Edit {
    /// The number in the list's first column
    edition: i64,
    /// Another subject; empty: the digest's pattern again
    #[arg(long)]
    subject: Option<String>,
    /// Another line after the subject; empty: the digest's pattern again
    #[arg(long)]
    preheader: Option<String>,
    /// Markdown before the pieces; `@FILE` reads it from a file; empty: none
    #[arg(long, value_name = "MARKDOWN")]
    introduction: Option<String>,
    /// The order of the pieces, by their numbers in `edition show`: 3,1,2
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    order: Vec<usize>,
    /// Leave these pieces out; they are offered again with the next edition
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    leave_out: Vec<usize>,
    /// Leave these pieces out for good
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    never: Vec<usize>,
    /// Take these pieces in again
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    take_in: Vec<usize>,
    #[command(flatten)]
    articles: Articles,
}

/// The editor's commands.
pub(crate) fn run(common: &Common, arguments: Arguments) -> Done {
    let context = Context::load(common)?;
    let store = context.store()?;
    match arguments.action {
        Action::List { digest } => list(common, &context, &store, digest.as_deref()),
        Action::Show { edition, text } => show(common, &context, &store, edition, text),
        Action::New { digest, articles } => new(common, &context, &store, &digest, &articles),
        Action::Edit(edit) => change(common, &context, &store, edit),
        Action::Approve { edition } => approve(common, &context, &store, edition),
        Action::Withdraw { edition } => withdraw(common, &context, &store, edition),
    }
}

fn list(common: &Common, context: &Context, store: &Store, digest: Option<&str>) -> Done {
    if let Some(slug) = digest {
        context.digest(slug)?;
    }
    let editions = context.block_on(async { store.editions(digest).await }).map_err(failures::ledger)?;
    for edition in &editions {
        let line = serde_json::json!({ "event": "edition", "edition": edition.id, "digest": edition.digest, "number": edition.number,
            "state": edition.state, "made": edition.made, "subject": edition.sealed.subject });
        output::event(common, &line);
    }
    if !common.json {
        if editions.is_empty() {
            output::text("no editions yet: pressrun run, or pressrun edition new DIGEST");
        }
        for e in &editions {
            let made = e.made.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M");
            output::text(format!(
                "{:>4}  {:<24} no. {:<4} {:<10} {made}  {}",
                e.id.0,
                e.digest,
                e.number,
                seal::state_name(e.state),
                e.sealed.subject
            ));
        }
    }
    Ok(())
}

fn show(common: &Common, context: &Context, store: &Store, id: i64, text: bool) -> Done {
    let edition = context.edition(store, id)?;
    let counts = context.counts(store, edition.id)?;
    output::event(
        common,
        &serde_json::json!({ "event": "edition", "edition": edition.id, "digest": edition.digest, "number": edition.number,
        "state": edition.state, "made": edition.made, "approved": edition.approved, "subject": edition.sealed.subject,
        "preheader": edition.sealed.preheader, "shortened": edition.sealed.shortened, "seal": edition.seal,
        "pieces": edition.pieces, "edits": edition.edits, "deliveries": counts }),
    );
    if common.json {
        return Ok(());
    }
    if text {
        output::text(&edition.sealed.text);
        return Ok(());
    }
    output::text(format!(
        "edition {}: {} no. {}, {}",
        edition.id.0,
        edition.digest,
        edition.number,
        seal::state_name(edition.state)
    ));
    output::text(format!("  subject    {}", edition.sealed.subject));
    output::text(format!("  preheader  {}", edition.sealed.preheader));
    if let Some(introduction) = &edition.edits.introduction {
        output::text(format!("  before     {}", introduction.lines().next().unwrap_or_default()));
    }
    if edition.sealed.shortened {
        output::text("  shortened  summaries with “read on”, for the full texts are too long for one mail");
    }
    for (n, piece) in edition.pieces.iter().enumerate() {
        let choice = match piece.choice {
            Choice::Carried => "",
            Choice::Later => "  (left out, offered again)",
            Choice::Never => "  (left out for good)",
            Choice::Passed => continue,
        };
        output::text(format!("  {:>2}. {}{choice}", n + 1, piece.title));
    }
    if edition.state == EditionState::Draft {
        output::text(format!("to let it go out: pressrun edition approve {}", edition.id.0));
    } else {
        output::text(format!("  deliveries {}", output::counts(&counts)));
    }
    Ok(())
}

fn new(common: &Common, context: &Context, store: &Store, slug: &str, articles: &Articles) -> Done {
    let digest = context.digest(slug)?;
    if let Some(draft) = context.draft(store, digest)? {
        return Err(Failure::new(Kind::Usage, format!("{} has a draft already: edition {}", digest.title, draft.id.0))
            .hint(format!("approve it, or withdraw it first: pressrun edition withdraw {}", draft.id.0)));
    }
    let material = Material::read(common, context, articles)?;
    let templates = context.templates_or_fail(common, digest)?;
    let desk = material.desk(context, store, digest, &templates);
    let Some(edition) = context.block_on(desk.draft(Utc::now())).map_err(|e| failures::seal(common, e))? else {
        output::line(common, "edition", format!("nothing new for {}", digest.title));
        return Ok(());
    };
    show(common, context, store, edition.id.0, false)
}

fn change(common: &Common, context: &Context, store: &Store, edit: Edit) -> Done {
    let edition = context.edition(store, edit.edition)?;
    let digest = context.digest(&edition.digest)?;
    let material = Material::read(common, context, &edit.articles)?;
    let templates = context.templates_or_fail(common, digest)?;
    let pieces = rearranged(&edition, &edit)?;
    let old = edition.edits.clone();
    let edits = Edits {
        subject: changed(edit.subject, old.subject),
        preheader: changed(edit.preheader, old.preheader),
        introduction: changed(edit.introduction.map(from_file).transpose()?, old.introduction),
    };
    let desk = material.desk(context, store, digest, &templates);
    context.block_on(desk.revise(&edition, pieces, edits, Utc::now())).map_err(|e| failures::seal(common, e))?;
    show(common, context, store, edition.id.0, false)
}

/// An absent option changes nothing, an empty one takes the old value away.
fn changed(new: Option<String>, old: Option<String>) -> Option<String> {
    match new {
        None => old,
        Some(text) if text.trim().is_empty() => None,
        Some(text) => Some(text),
    }
}

fn from_file(text: String) -> Result<String, Failure> {
    match text.strip_prefix('@') {
        None => Ok(text),
        Some(path) => std::fs::read_to_string(path).map_err(|e| failures::file("cannot read", path.as_ref(), &e)),
    }
}

/// The pieces in the order and with the choices that the editor asks for.
fn rearranged(edition: &Edition, edit: &Edit) -> Result<Vec<EditionPiece>, Failure> {
    let mut pieces = edition.pieces.clone();
    let shown = pieces.iter().filter(|piece| piece.choice != Choice::Passed).count();
    let check = |n: usize| match shown {
        0 => Err(Failure::new(Kind::Usage, "the edition has no pieces")),
        len if n == 0 || n > len => Err(Failure::new(Kind::Usage, format!("the edition has no piece {n}"))
            .hint(format!("the pieces are numbered 1 to {len}: pressrun edition show {}", edition.id.0))),
        _ => Ok(n - 1),
    };
    let order: Vec<usize> = edit.order.iter().map(|n| check(*n)).collect::<Result<_, _>>()?;
    let choices: Vec<(usize, Choice)> =
        [(&edit.leave_out, Choice::Later), (&edit.never, Choice::Never), (&edit.take_in, Choice::Carried)]
            .into_iter()
            .flat_map(|(numbers, choice)| numbers.iter().map(move |n| (*n, choice)))
            .map(|(n, choice)| Ok((check(n)?, choice)))
            .collect::<Result<_, Failure>>()?;
    for (at, choice) in choices {
        pieces[at].choice = choice;
    }
    let mut sorted: Vec<EditionPiece> = Vec::with_capacity(pieces.len());
    for at in order.iter().copied().chain(0..pieces.len()) {
        if !sorted.iter().any(|p| p.id == pieces[at].id) {
            sorted.push(pieces[at].clone());
        }
    }
    Ok(sorted)
}

fn approve(common: &Common, context: &Context, store: &Store, id: i64) -> Done {
    let edition = context.edition(store, id)?;
    // An edition whose mails cannot be signed shall not wait for its day to say so.
    signing::signer(&context.settings.dkim)?;
    subscribers::sync(common, context, store)?;
    let deliveries =
        context.block_on(seal::approve(store.as_ref(), &edition, Utc::now())).map_err(|e| failures::seal(common, e))?;
    output::event(
        common,
        &serde_json::json!({ "event": "approved", "edition": EditionId(id), "deliveries": deliveries }),
    );
    let told = output::count(deliveries, "delivery").replace("deliverys", "deliveries");
    output::line(
        common,
        "approved",
        format!("{} no. {}: {told}. To send now: pressrun send {}", edition.digest, edition.number, edition.digest),
    );
    let approved = context.edition(store, id)?;
    seal::verify(&approved).map_err(|e| failures::seal(common, e))?;
    mailing::prepare(common, context, store, &approved, context.digest(&approved.digest)?)
}

fn withdraw(common: &Common, context: &Context, store: &Store, id: i64) -> Done {
    let edition = context.edition(store, id)?;
    let withdrawn = context.block_on(store.withdraw(edition.id, Utc::now())).map_err(failures::ledger)?;
    match withdrawn {
        Some(n) => {
            output::event(common, &serde_json::json!({ "event": "withdrawn", "edition": edition.id, "deliveries": n }));
            output::line(
                common,
                "withdrawn",
                format!("{} no. {}: {} readers will not get it", edition.digest, edition.number, output::grouped(n)),
            );
            Ok(())
        }
        None => Err(Failure::new(
            Kind::Usage,
            format!("edition {id} cannot be withdrawn: it is {}", seal::state_name(edition.state)),
        )),
    }
}
