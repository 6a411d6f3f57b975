//! Signs mails before they are sent, between an edition's approval and its first mail.
//!
//! An RSA signature costs more than all the rest of a mail. Made ahead, on all cores, it is only read when the mail is sent.
//! Nothing depends on it: it may be stopped at any moment, done again, or left out, and the same bytes are sent.

use rayon::prelude::*;
use std::sync::Arc;

use super::Stop;
use crate::delivery::{Signatures, Unsigned};
use crate::digest::EditionId;

/// Signatures kept in one transaction: a few tenths of a second's work, which is what a kill loses.
pub const PAGE: u32 = 1_000;

/// Signs what waits of an edition and has no signature. `sign` answers what is to be kept, or `None` to leave that mail to
/// who sends it. Ends after the page at hand when `stop` is set. Answers how many signatures were made.
///
/// # Errors
/// The ledger's.
pub async fn sign_ahead<S: Signatures>(
    signatures: &S,
    edition: EditionId,
    sign: impl Fn(&Unsigned) -> Option<Vec<u8>> + Send + Sync + 'static,
    stop: &Stop,
) -> Result<u64, S::Error> {
    let sign = Arc::new(sign);
    let mut made = 0;
    let mut last = None;
    while !stop.is_set() {
        let page = signatures.unsigned(edition, last.as_ref(), PAGE).await?;
        let Some(end) = page.last().cloned() else { break };
        let sign = Arc::clone(&sign);
        let signing = tokio::task::spawn_blocking(move || {
            page.par_iter().filter_map(|one| Some((one.id, sign(one)?))).collect::<Vec<_>>()
        });
        // A fault in signing is told by who sends: she signs what is not signed.
        let Ok(signed) = signing.await else { break };
        made += signed.len() as u64;
        signatures.keep(signed).await?;
        last = Some(end);
    }
    Ok(made)
}
