//! `pressrun serve`: the feeds and the public pages over HTTP, and the press beside them, until the process is told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::context::Context;
use super::standby::Standby;
use super::{Common, Done, failures, keys, mailing, output, returns};
use crate::config::signing;
use crate::digest::render::TemplateFile;
use crate::error::{Failure, Kind};
use crate::press::Stop;
use crate::store::Store;
use crate::web;
use crate::web::public::{self, Own, Public};

/// Arguments of `pressrun serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen, instead of where the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,
    /// Serve only: leave sealing and sending to `pressrun run`
    #[arg(long)]
    no_press: bool,
}

/// Serves.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let settings = &context.settings;
    let bind = arguments.bind.unwrap_or(settings.serve.bind);
    let mut options = web::Options::new(settings.feeds.clone(), settings.masthead.feeds_url.clone());
    options.hubs.clone_from(&settings.feed.hubs);
    let public = pages(common, &context)?;
    options.counters.push(public.metrics());
    options.counters.push(context.returned.handle());
    let reader = returns::reader(&context, &context.store()?)?;
    let press = settings.serve.press && !arguments.no_press;
    if press {
        options.counters.push(context.meter.handle());
    }
    let transport = Arc::new(mailing::transport(&context)?);
    let stop = context.stop()?;
    let sending = press.then(|| context.beside_to_send()).transpose()?;
    let standby = sending.as_ref().map(|context| Ok(Standby::new(common, context, context.store()?, stop.clone())));
    let standby = standby.transpose()?;
    let listener = context.block_on(async {
        let listener = web::bind(bind).await.map_err(|error| {
            Failure::new(Kind::Unavailable, format!("cannot listen on {bind}"))
                .because(error)
                .hint("another program may be there already; --bind names another address")
        })?;
        let at = listener.local_addr().unwrap_or(bind);
        let told = format!(
            "http://{at}{} for the pages, http://{at}{} for {}",
            settings.public.url.path(),
            options.public.path(),
            context.shown(&settings.feeds)
        );
        output::line(common, "serve", told);
        output::event(common, &serde_json::json!({ "event": "serving", "address": at.to_string() }));
        Ok::<_, Failure>(listener)
    })?;
    std::thread::scope(|scope| {
        let standby = standby.map(|standby| {
            let stop = stop.clone();
            scope.spawn(move || {
                // However it ends, the pages end with it: a press that has gone unnoticed would be missed.
                let _ends = Ends(stop);
                standby.attend();
            })
        });
        let router = public.router();
        context.block_on(async {
            tokio::select! {
                () = web::serve(listener, options, router, stop.wait()) => {}
                () = public.post(transport) => {}
                () = returns::watch(&context, reader), if !settings.returns.inboxes.is_empty() => {}
            }
        });
        stop.set();
        // It finishes what is on the wire.
        match standby.map(std::thread::ScopedJoinHandle::join) {
            Some(Err(_)) => Err(Failure::new(Kind::Bug, "the press has stopped")),
            _ => Ok(()),
        }
    })
}

/// Sets it at the end.
struct Ends(Stop);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// The public pages, with the newsroom's own files in place of the embedded ones.
fn pages(common: &Common, context: &Context) -> Result<Arc<Public<Store>>, Failure> {
    let settings = &context.settings;
    let options = public::Options {
        digests: settings.digests.clone(),
        paper: settings.masthead.title.clone(),
        home: settings.masthead.url.clone(),
        public: settings.public.url.clone(),
        language: settings.masthead.language.clone(),
        keys: keys::links(context)?,
        return_path: settings.public.return_path.clone(),
        own_return_path: settings.returns.path.clone(),
        signer: signing::signer(&settings.dkim)?,
        terms: settings.serve.terms,
        brakes: settings.serve.brakes,
        trusted: settings.serve.trusted.clone(),
        own: own(context)?,
    };
    Public::new(options, context.store()?).map_err(|problems| {
        output::problems(common, &problems);
        output::found(problems.len(), Kind::Material)
            .hint("mend the file in the folder of templates, or take it away: then the embedded one is used")
    })
}

/// The newsroom's own files, as they stand there.
pub(super) fn own(context: &Context) -> Result<Own, Failure> {
    let templates = &context.settings.templates;
    let read = |path: &Path| match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(TemplateFile { file: context.shown(path), text })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failures::file("cannot read", path, &error)),
    };
    let mut own = Own { style: read(&templates.join("page/style.css"))?.map(|file| file.text), ..Own::default() };
    let (pages, letters) = public::files();
    for name in pages {
        let text = read(&templates.join(format!("page/{name}.html.hbs")))?;
        own.pages.extend(text.map(|file| (name.to_owned(), file)));
    }
    for name in letters {
        let text = read(&templates.join("confirm").join(name))?;
        own.letters.extend(text.map(|file| (name.to_owned(), file)));
    }
    let folder = templates.join("languages");
    let mut files: Vec<_> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => vec![],
        Err(error) => return Err(failures::file("cannot read", &folder, &error)),
    };
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "yaml")) {
        let tag = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        own.languages.extend(read(file)?.map(|file| (tag, file)));
    }
    Ok(own)
}
