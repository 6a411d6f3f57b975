//! Sends an edition's deliveries.
