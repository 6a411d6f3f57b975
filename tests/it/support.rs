//! What the tests share: a newsroom of their own with the real program run in it, a mail server that follows a script and a
//! real one, a PostgreSQL server, and a browser.

pub mod browser;
pub mod dovecot;
pub mod front;
pub mod name_server;
pub mod postfix;
pub mod postgres;
pub mod room;
pub mod serving;
pub mod smtp_server;
pub mod tls;
