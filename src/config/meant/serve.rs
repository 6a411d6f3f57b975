//! `serve:` as meant.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use super::Check;
use super::file;
use crate::config::ServeSettings;
use crate::subscriber::request::Terms;
use crate::web::public::Brakes;

const BIND: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// More would be no limit.
const MOST: usize = 1_000_000;

impl Check<'_, '_> {
    pub(super) fn serve(&mut self, written: &file::Serve) -> ServeSettings {
        let bind = written.bind.as_deref().map(|text| {
            text.trim().parse().unwrap_or_else(|_| {
                let help = "an address and a port, for instance 127.0.0.1:8080 or [::]:8080";
                self.wrong("serve.bind", "this is no address to listen on", help);
                BIND
            })
        });
        let mut trusted = Vec::new();
        for (i, text) in written.trusted_proxies.iter().enumerate() {
            let text = text.trim();
            match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => trusted.push(network),
                Err(_) => self.wrong(
                    &format!("serve.trusted_proxies.{i}"),
                    "this is neither an address nor a network",
                    "for instance 127.0.0.1 or 10.0.0.0/8",
                ),
            }
        }
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        ServeSettings {
            bind: bind.unwrap_or(BIND),
            press: written.press.unwrap_or(true),
            trusted,
            terms: Terms {
                every: self.positive("serve.one_letter_in", written.one_letter_in.as_deref(), hours(1)),
                within: self.positive("serve.confirm_within", written.confirm_within.as_deref(), hours(7 * 24)),
            },
            brakes: Brakes {
                per_network: self.limit("serve.per_network", written.per_network, 20),
                per_domain: self.limit("serve.per_domain", written.per_domain, 300),
                in_all: self.limit("serve.in_all", written.in_all, 2_000),
                fill_time: self.duration("serve.fill_time", written.fill_time.as_deref(), Duration::from_secs(2)),
            },
        }
    }

    fn limit(&mut self, path: &str, written: Option<u32>, usual: u32) -> NonZeroU32 {
        let number = written.unwrap_or(usual);
        self.between(path, number as usize, 1, MOST);
        NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
    }
}
