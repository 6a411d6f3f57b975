//! The one gate through which text becomes a header.
