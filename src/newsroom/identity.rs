//! How an article keeps its id.
