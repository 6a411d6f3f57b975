//! Text in its forms. Pure: strings in, strings out.

// Addresses: absolute, of a harmless kind, written strictly.
pub mod absolute;
// Escaping, and the characters that may stand in XML.
pub mod escape;
// Markdown and plain text to HTML.
pub mod markdown;
// How deep HTML may be nested.
pub mod nesting;
// HTML to plain text, for mails.
pub mod plain;
// Text as it travels in a mail.
pub mod quoted_printable;
// Makes HTML from strangers safe to show, and its links absolute.
pub mod sanitize;

#[cfg(test)]
mod hostile;
