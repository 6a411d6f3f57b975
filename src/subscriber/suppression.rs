//! Addresses never to be mailed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Why an address must not be mailed; from the mildest to the strictest, which takes the place of a milder one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuppressionReason {
    /// The mailbox does not exist.
    Bounced,
    /// The operator decided it.
    Manual,
    /// The reader pressed "spam".
    Complained,
    /// The reader asked to be erased.
    Erased,
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

/// A suppression that an operator has lifted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lifted {
    /// What was lifted.
    #[serde(flatten)]
    pub suppression: Suppression,
    /// When.
    pub lifted: DateTime<Utc>,
    /// Why, in the operator's words.
    pub because: String,
}
