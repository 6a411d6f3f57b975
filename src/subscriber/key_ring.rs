//! Which keys a ledger's links are signed with.

use std::collections::BTreeMap;
use std::future::Future;

/// Names of keys, by the numbers that stand in tokens. Nobody finds a key by its name.
pub type KeyNames = BTreeMap<u8, [u8; KEY_NAME]>;

/// Octets of a name.
pub const KEY_NAME: usize = 16;

/// What a ledger knows of the keys that sign its links: their names, never they themselves. So a machine that has others, or a
/// newsroom that has lost its own, hears of it before a reader's link leads nowhere.
pub trait KeyRing: Send + Sync + 'static {
    /// What the database said.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Writes down those of `ours` whose number is not taken, and answers all that are known then.
    fn key_names(&self, ours: KeyNames) -> impl Future<Output = Result<KeyNames, Self::Error>> + Send;
}
