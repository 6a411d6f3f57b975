//! Reading and writing lists of subscribers.
