//! `doctor:` as meant.

use std::net::{IpAddr, SocketAddr};

use super::super::{DoctorSettings, file};
use super::Check;

/// Where resolvers listen.
const DOMAIN: u16 = 53;

impl Check<'_, '_> {
    pub(super) fn doctor(&mut self, written: &file::Doctor) -> DoctorSettings {
        let resolver = written.resolver.as_deref().and_then(|text| {
            let text = text.trim();
            let address = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DOMAIN)));
            if address.is_err() {
                let help = "for instance 9.9.9.9, 127.0.0.1:5353 or [::1]:53";
                self.wrong("doctor.resolver", "this is no resolver's address", help);
            }
            address.ok()
        });
        let mut sends_from = Vec::new();
        for (i, text) in written.sends_from.iter().enumerate() {
            match text.trim().parse() {
                Ok(address) => sends_from.push(address),
                Err(_) => self.wrong(
                    &format!("doctor.sends_from.{i}"),
                    "this is no address",
                    "for instance 192.0.2.25 or 2001:db8::25",
                ),
            }
        }
        DoctorSettings { resolver, sends_from }
    }
}
