//! Subject, text and HTML from templates.
