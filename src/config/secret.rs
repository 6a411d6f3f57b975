//! Passwords and keys.
