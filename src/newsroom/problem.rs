//! What is wrong in the material, and where.

use serde::{Deserialize, Serialize};

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// As a person would name it: relative to the configuration's folder, or `standard input`.
    pub file: String,
    /// From 1; 0 where the whole file is meant.
    pub line: u32,
    /// In characters from 1; 0 where the whole line is meant.
    pub column: u32,
}

/// Something wrong in an article, a template, a list or the configuration. Never stops the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// How many characters of the line are meant; at least 1.
    pub span: u32,
    /// The line itself; empty where the whole file is meant.
    pub line: String,
    /// What is wrong: ``unknown section `polticis` ``.
    pub what: String,
    /// What to do: ``did you mean `politics`?``.
    pub help: Option<String>,
}
