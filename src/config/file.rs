//! As written.
