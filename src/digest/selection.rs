//! Which pieces an edition carries.
