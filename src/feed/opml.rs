//! OPML 2.0.
