//! Where feeds go.

/// From a newsroom to a folder of feeds: the engine of `pressrun build`.
pub mod build;
/// A folder: files replaced whole or not at all, and only when they change.
pub mod directory;
/// Reads feeds as a feed reader does, and holds them against the articles.
pub mod readback;
