//! What the program does, seen from outside: one file a behaviour.
//!
//! Everything here is real: real files, the real binary, real readers of feeds and mails. A test that needs a tool
//! which is missing fails when `PRESSRUN_TESTS_COMPLETE=1` is set (as `scripts/test` does); it never passes by not looking.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod broken_lists;
mod broken_material;
mod broken_templates;
mod browser;
mod conformance;
mod crash;
mod crowd;
mod dkim;
mod doctor;
mod editors;
mod errors;
mod express;
mod feeds;
mod feeds_in_detail;
mod feeds_online;
mod feeds_read_back;
mod feeds_survive;
mod house;
mod imports;
mod incremental;
mod lists_into_the_ledger;
mod main_job;
mod operating;
mod moving;
mod postfix;
mod press;
mod press_beside_pages;
mod public_pages;
mod publish;
mod published_addresses;
mod readers_over_http;
mod reading_articles;
mod restored_ledger;
mod returned;
mod returns;
mod schedule;
mod serve;
mod several_editions;
mod several_machines;
mod signed_mails;
mod silent_logs;
mod smtp;
mod support;
mod two_at_once;
mod unfriendly;
mod watching;
mod websub;
mod wire;
