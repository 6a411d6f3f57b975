//! Text in its forms. Pure: strings in, strings out.

/// Escaping, and the characters that may stand in XML.
pub mod escape;
/// Markdown and plain text to HTML.
pub mod markdown;
/// HTML to plain text, for mails.
pub mod plain;
/// Makes HTML from strangers safe to show, and its links absolute.
pub mod sanitize;
