//! What the tests share: a newsroom of their own with the real program run in it, and a mail server that follows a script.

pub mod room;
pub mod smtp_server;
pub mod tls;
