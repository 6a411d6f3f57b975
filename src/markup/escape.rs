//! Escaping, and the characters that may stand in XML.
