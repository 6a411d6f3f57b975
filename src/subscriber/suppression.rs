//! Addresses never to be mailed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Why an address must not be mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuppressionReason {
    /// The mailbox does not exist.
    Bounced,
    /// The reader pressed "spam".
    Complained,
    /// The reader asked to be erased.
    Erased,
    /// The operator decided it.
    Manual,
}

/// An address never to be mailed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// Why.
    pub reason: SuppressionReason,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The operator's words.
    pub note: String,
}
