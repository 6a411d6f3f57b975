//! `pressrun preview DIGEST`.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::mailing::{NOBODY, Writer};
use super::material::Articles;
use super::send;
use super::{Common, Done, failures, output};
use crate::error::{Failure, Kind};

/// Arguments of `pressrun preview`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The digest's slug
    digest: String,
    /// Open the HTML part in the browser
    #[arg(long)]
    open: bool,
    /// Write the files into this folder
    #[arg(long, value_name = "FOLDER", default_value = "var/preview")]
    to: PathBuf,
    #[command(flatten)]
    articles: Articles,
}

/// Writes the next edition as HTML, text and `.eml`; the ledger stays as it is.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let digest = context.digest(&arguments.digest)?;
    let store = context.store()?;
    let folder = context.settings.root.join(&arguments.to);
    let Some((number, sealed)) = send::next(common, &context, &store, digest, &arguments.articles)? else {
        output::line(common, "preview", format!("nothing new for {}", digest.title));
        return Ok(());
    };
    let reader = digest.from.address.clone();
    let writer = Writer::new(&context, digest, number, &sealed)?;
    let mail = writer.mail(NOBODY, &reader, "", None, None)?;
    let (html, text) = writer.texts(&sealed, NOBODY, &reader, "")?;
    let name = |ending: &str| folder.join(format!("{}-{number}.{ending}", digest.slug));
    write(&name("html"), html.as_bytes())?;
    write(&name("txt"), text.as_bytes())?;
    write(&name("eml"), &mail.message.to_vec())?;
    output::line(common, "preview", format!("{} no. {number}: “{}”", digest.title, sealed.subject));
    if sealed.shortened {
        output::line(common, "", "the full texts were too long for one mail: it carries summaries with “read on”");
    }
    for ending in ["html", "txt", "eml"] {
        output::line(common, "", context.shown(&name(ending)));
    }
    output::event(
        common,
        &serde_json::json!({ "event": "preview", "digest": digest.slug, "number": number, "html": name("html"), "text": name("txt"), "eml": name("eml") }),
    );
    if arguments.open { open(&name("html")) } else { Ok(()) }
}

fn write(path: &Path, bytes: &[u8]) -> Done {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| failures::file("cannot make the folder", folder, &e))?;
    }
    std::fs::write(path, bytes).map_err(|e| failures::file("cannot write", path, &e))
}

/// Asks the desktop to show a file.
fn open(path: &Path) -> Done {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    match std::process::Command::new(program).arg(path).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Failure::new(Kind::Unavailable, "the browser did not open").because(format!("{program}: {status}")))
        }
        Err(error) => Err(Failure::new(Kind::Unavailable, "the browser did not open")
            .because(format!("{program}: {error}"))
            .hint("open the file by hand")),
    }
}
