//! `pressrun ledger move`: from a file to a server.

use crate::cli::context::Context;
use crate::cli::{Common, Done, failures, output};
use crate::config::{LedgerAddress, database};
use crate::error::{Failure, Kind};
use crate::store::Store;

/// Copies the configured ledger into the database at `to`.
pub(super) fn run(common: &Common, context: &Context, to: &str) -> Done {
    let wrong = |what: &str, help: &str| Failure::new(Kind::Usage, what).hint(help);
    let here = std::env::current_dir().unwrap_or_default();
    let to = database::parse(to, &here).map_err(|w| wrong(w.what, w.help))?;
    let LedgerAddress::Postgres(address) = &to else {
        return Err(wrong("a ledger moves to a server", "write --to postgres://USER@HOST:PORT/DATABASE"));
    };
    // Held until the end: no press sends from the one while the other is filled.
    let _alone = context.press_lock()?;
    let Store::Sqlite(from) = context.open(&context.settings.ledger)? else {
        return Err(wrong("the ledger is on a server already", "to move it to another, use pg_dump and pg_restore"));
    };
    let Store::Postgres(into) = context.open(&to)? else {
        return Err(Failure::new(Kind::Bug, "the server's ledger is a file"));
    };
    let told = address.to_string();
    let (copied, closed) = context.block_on(into.take_over(&from)).map_err(|e| failures::opening(&told, &e))?;
    closed.map_err(|e| {
        failures::ledger(e).hint("everything was copied, but the old ledger could not be marked: move its file away")
    })?;
    output::event(common, &serde_json::json!({ "event": "moved", "rows": copied }));
    output::line(common, "moved", format!("{} to {told}", output::count(copied, "row")));
    output::line(common, "", "now write that address under `ledger:` in the configuration");
    let keys = context.settings.root.join("var");
    if context.settings.cache.parent() != Some(&keys) {
        let told =
            format!("and put link.keys and erasure.key, which lie beside the old ledger, into {}", keys.display());
        output::line(common, "", told);
    }
    Ok(())
}
