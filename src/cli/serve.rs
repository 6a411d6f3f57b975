//! `pressrun serve`: the feeds over HTTP, until the process is told to stop.

use std::net::SocketAddr;

use super::context::Context;
use super::{Common, Done, output};
use crate::error::{Failure, Kind};
use crate::web;

/// Arguments of `pressrun serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen, instead of where the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,
}

/// Serves.
pub(crate) fn run(common: &Common, arguments: &Arguments) -> Done {
    let context = Context::load(common)?;
    let settings = &context.settings;
    let bind = arguments.bind.unwrap_or(settings.serve.bind);
    let mut options = web::Options::new(settings.feeds.clone(), settings.masthead.feeds_url.clone());
    options.hubs.clone_from(&settings.feed.hubs);
    context.block_on(async {
        let listener = web::bind(bind).await.map_err(|error| {
            Failure::new(Kind::Unavailable, format!("cannot listen on {bind}"))
                .because(error)
                .hint("another program may be there already; --bind names another address")
        })?;
        let at = listener.local_addr().unwrap_or(bind);
        output::line(common, "serve", format!("{} on http://{at}{}", context.shown(&settings.feeds), options.public.path()));
        output::event(common, &serde_json::json!({ "event": "serving", "address": at.to_string() }));
        web::serve(listener, options, axum::Router::new(), told_to_stop()).await;
        Ok(())
    })
}

/// Ready when the process is asked to end: by Ctrl-C, or by the system (SIGTERM).
async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
