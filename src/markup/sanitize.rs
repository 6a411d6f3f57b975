//! Makes HTML from strangers safe to show, and its links absolute.
