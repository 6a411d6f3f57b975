//! RFC 5005: which article stands in which document.
