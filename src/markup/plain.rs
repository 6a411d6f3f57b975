//! HTML to plain text, for mails.
