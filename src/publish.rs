//! Where feeds go.

/// A folder: files replaced whole or not at all, and only when they change.
pub mod directory;
