//! From a sealed edition and a reader to the bytes on the wire.
