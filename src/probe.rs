//! Looks at what stands around us: the DNS, and another clock. For `pressrun doctor`; nothing else asks.

// Another machine's clock.
pub mod clock;
// Questions to the DNS.
pub mod dns;
