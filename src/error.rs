//! What failed, because of what, and what to do.
//!
//! Edges have `thiserror` enums of their own with the variants that callers branch on; on their way to a
//! person they become a [`Failure`]. Problems in the material are values ([`crate::newsroom::Problem`]),
//! and fates of a mail are values too ([`crate::delivery::Outcome`]).

use std::fmt;

/// What sort of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Problems in articles, templates or lists; they have been listed.
    Material,
    /// The command line asks for something that is not there.
    Usage,
    /// The configuration cannot be used.
    Configuration,
    /// Something outside (relay, database, disk) is not available; trying again may help.
    Unavailable,
    /// A fault of this program.
    Bug,
    /// A mail server that waits for us must keep its mail, and try again, whatever is wrong.
    Deferred,
}

impl Kind {
    /// The process's exit code: 1, 2, 3, 4, or 70 and 75 (`EX_SOFTWARE` and `EX_TEMPFAIL` of sysexits).
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Material => 1,
            Kind::Usage => 2,
            Kind::Configuration => 3,
            Kind::Unavailable => 4,
            Kind::Bug => 70,
            Kind::Deferred => 75,
        }
    }
}

/// A failure told to a person: what, because of what, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What could not be done, in a short sentence without a full stop.
    pub what: String,
    /// The cause, as the thing that refused said it.
    pub because: Option<String>,
    /// What the person can do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Failure { kind, what: what.into(), because: None, hint: None }
    }

    /// The same, with its cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.because = Some(cause.to_string());
        self
    }

    /// The same, with what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(because) = &self.because {
            write!(f, "\n  because: {}", because.trim_end().replace('\n', "\n  "))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  to do: {}", hint.replace('\n', "\n  "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
