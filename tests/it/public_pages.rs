//! The public pages over real sockets, with a real mail server behind them: who did not ask is not mailed, and who left is
//! not mailed again.

mod attack;
mod last_word;
mod life;
mod own_templates;
pub mod program;
mod returns;
mod send;
mod site;
