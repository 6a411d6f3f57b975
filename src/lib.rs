//! Pressrun: from a folder of articles to feeds and a delivered digest.
//!
//! The modules in reading order. **A module names only modules above it**; the test
//! `tests/it/house.rs` holds that order. Data goes one way:
//! source → newsroom → feed → publish, and newsroom → digest → mail → transport, with the ledger beside.

// Ground: knows nothing of newsrooms.
// What failed, because of what, and what to do; the kinds and their exit codes.
pub mod error;
// Text in its forms: Markdown, sanitised HTML, absolute addresses, plain text, characters that may be written.
pub mod markup;

// Nouns.
// Everything published: articles, sections, and the problems found in the material.
pub mod newsroom;
// Who asked for mail: addresses, subscriptions, consent, suppressions, tokens.
pub mod subscriber;

// Transforms: values in, values out; no disk, no network, no clock.
// A section as machines read it: RSS, Atom, JSON Feed, their archives, OPML, and the page for people.
pub mod feed;
// A standing newsletter and its editions: what is new, when it is due, how it looks.
pub mod digest;
// Finished bytes in an envelope.
pub mod mail;
// What became of each edition × subscriber: states, verdicts, retries, and the ledger's contract.
pub mod delivery;

// What tells an unchanged file from a changed one without reading it.
pub mod stamp;

// Edges: the only places with disk, network or clock. They never import each other.
// Where articles come from.
pub mod source;
// Where feeds go.
pub mod publish;
// Where mails go.
pub mod transport;
// What stands around us: the DNS, another clock.
pub mod probe;
// The ledger's databases; the only SQL.
pub mod store;

// Engines.
// Builds what changed, and remembers the rest.
pub mod incremental;
// Seals, sends and rescues.
pub mod press;
// Answers HTTP: the feeds as they were built, and what stands beside them.
pub mod web;

// Entrance.
// The configuration as written, and as meant.
pub mod config;
// One file a command.
pub mod cli;
