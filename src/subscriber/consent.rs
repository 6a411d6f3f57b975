//! The record that somebody asked.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// When, from where, and to which words somebody agreed to be mailed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Where it comes from, in the operator's words: `sign-up sheet at the open day 2026`.
    pub source: String,
    /// When it was given; unknown in some lists.
    pub when: Option<DateTime<Utc>>,
}
