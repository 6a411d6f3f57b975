//! What the program does, seen from outside: one file a behaviour.
//!
//! Everything here is real: real files, the real binary, real readers of feeds and mails. A test that needs a tool
//! which is missing fails when `PRESSRUN_TESTS_COMPLETE=1` is set (as `scripts/test` does); it never passes by not looking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;
mod publish;
mod readers_over_http;
mod serve;
mod websub;
mod wire;
