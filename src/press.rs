//! The engine that seals and sends.

// Sends an edition's deliveries.
pub mod deliver;
// One press at a time on a ledger.
pub mod lock;
// What it counts.
pub mod meter;
// Reads what comes back, and files it.
pub mod returns;
// Makes editions: chooses what is new, renders it, writes it to the ledger.
pub mod seal;
// Signs mails before they are sent.
pub mod sign_ahead;
// Ending in good order.
pub mod stop;

pub use deliver::{Job, deliver};
pub use lock::{LockError, PressLock, lock};
pub use meter::Meter;
pub use sign_ahead::sign_ahead;
pub use stop::Stop;

use crate::delivery::ledger::UncertainPolicy;
use crate::delivery::warm_up::WarmUp;
use crate::delivery::{pace, retry};
use std::time::Duration;

/// How the press works, as the configuration says.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections at once.
    pub connections: u16,
    /// What to do with deliveries that may have gone out and may have not.
    pub uncertain: UncertainPolicy,
    /// How fast mails may go.
    pub limits: pace::Limits,
    /// How a new sender grows.
    pub warm_up: Option<WarmUp>,
    /// When to try again.
    pub retry: retry::Policy,
    /// How long a claim holds without a sign of life. A press that is alive gives several in that time, however long it waits
    /// for a relay's answer.
    pub lease: Duration,
    /// How long a `run` waits for deferred deliveries that become due, before it leaves them to the next `run`.
    pub linger: Duration,
}
