//! Readers at work in a real browser: with the real program behind it, and a real mail server behind that.

mod journey;
mod looks;
mod paper;
