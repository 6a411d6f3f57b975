//! Where feeds go: into the local folder, and from there to where the readers are.

/// An S3-compatible bucket.
pub mod bucket;
/// A folder: files replaced whole or not at all, and only when they change.
pub mod directory;
/// Another folder: what differs is copied, whole or not at all.
pub mod folder;
/// The record of what lies at a target.
pub mod manifest;
/// What is to be sent, in which order, and what is to go.
pub mod plan;
/// A whole publication: survey, plan, send, record, announce.
pub mod run;
/// WebSub: telling hubs what has changed.
pub mod websub;
