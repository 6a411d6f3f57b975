//! A named part of the newsroom.

use serde::{Deserialize, Serialize};

/// A section: it has feeds, it may have digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Names the section in addresses and articles: `middle-east-outreach`.
    pub slug: String,
    /// Names it to people: `Middle-East Outreach`.
    pub title: String,
    /// One or two sentences.
    pub description: String,
    /// BCP 47, where it differs from the newsroom's.
    #[serde(default)]
    pub language: Option<String>,
}
