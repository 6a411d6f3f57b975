//! It went wrong: now what?
