//! Where articles come from.

/// A folder of files.
pub mod directory;
/// JSON Lines, from a file or standard input.
pub mod stream;
