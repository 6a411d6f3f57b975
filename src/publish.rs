//! Where feeds go.

// From a newsroom to a folder of feeds: the engine of `pressrun build`.
pub mod build;
// A folder: files replaced whole or not at all, and only when they change.
pub mod directory;
