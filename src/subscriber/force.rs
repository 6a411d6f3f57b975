//! What an operator may overrule, and what nobody may.

use super::SuppressionReason;

/// Characters of a reason, at most.
pub const MAX_REASON: usize = 500;

/// That a list lifts suppressions, and why.
///
/// What a machine or the operator has said may be wrong: a mailbox was mended, a note was a mistake. What a person has said is
/// not the operator's to take back. So a complaint has to be named, and an erasure and a leaving are not in here at all: only
/// the reader can come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Force {
    kinds: Vec<SuppressionReason>,
    reason: String,
}

/// Why somebody cannot be forced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForceError {
    /// There are no words.
    #[error("it needs a reason")]
    NoReason,
    /// There are too many.
    #[error("the reason is longer than {MAX_REASON} characters")]
    LongReason,
    /// Of an erasure.
    #[error("who was erased comes back by herself or not at all")]
    Erased,
}

impl Force {
    /// Lifts suppressions of these kinds; without any: those that no reader has asked for, by a bounce or by hand.
    ///
    /// # Errors
    /// [`ForceError`].
    pub fn new(kinds: &[SuppressionReason], reason: &str) -> Result<Force, ForceError> {
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        if reason.is_empty() {
            return Err(ForceError::NoReason);
        }
        if reason.chars().count() > MAX_REASON {
            return Err(ForceError::LongReason);
        }
        if kinds.contains(&SuppressionReason::Erased) {
            return Err(ForceError::Erased);
        }
        let usual = [SuppressionReason::Bounced, SuppressionReason::Manual];
        let kinds = if kinds.is_empty() { usual.to_vec() } else { kinds.to_vec() };
        Ok(Force { kinds, reason })
    }

    /// Whether it lifts a suppression of this kind.
    pub fn lifts(&self, kind: SuppressionReason) -> bool {
        self.kinds.contains(&kind)
    }

    /// The operator's words, on one line.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use SuppressionReason::{Bounced, Complained, Erased, Manual};

    #[test]
    fn a_complaint_has_to_be_named_and_an_erasure_is_never_lifted() {
        let force = |kinds: &[SuppressionReason]| Force::new(kinds, "mailbox mended");
        let usual = force(&[]).unwrap();
        assert_eq!([Bounced, Manual, Complained, Erased].map(|kind| usual.lifts(kind)), [true, true, false, false]);
        assert_eq!([Bounced, Complained].map(|kind| force(&[Complained]).unwrap().lifts(kind)), [false, true]);
        assert_eq!(force(&[Complained, Erased]), Err(ForceError::Erased));
    }

    #[test]
    fn nothing_is_forced_without_a_reason_of_a_length_that_is_read() {
        assert_eq!(Force::new(&[], " \n "), Err(ForceError::NoReason));
        assert_eq!(Force::new(&[], " she\n wrote ").unwrap().reason(), "she wrote");
        assert!(Force::new(&[], &"ü".repeat(MAX_REASON)).is_ok());
        assert_eq!(Force::new(&[], &"ü".repeat(MAX_REASON + 1)), Err(ForceError::LongReason));
    }
}
