//! What the tests share: a newsroom of their own, and the real program run in it.

pub mod room;
