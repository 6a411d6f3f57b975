//! What a client sends: its form, its language, and where it comes from.

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, SocketAddr};
use url::form_urlencoded;

/// Bytes of a form; ours are far below.
pub const LARGEST_FORM: usize = 16 * 1024;
/// Fields of a form that are read.
const MOST_FIELDS: usize = 64;

/// The fields of a form, in order.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form as browsers send it without files. What is no form has no fields; `None` where it is too large or broke
    /// off.
    pub(super) async fn read(request: Request<Body>) -> Option<Form> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let urlencoded = kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
        let bytes = to_bytes(request.into_body(), LARGEST_FORM).await.ok()?;
        Some(if urlencoded { Form::parse(&bytes) } else { Form::default() })
    }

    /// Reads the part of an address after the question mark.
    pub(super) fn query(request: &Request<Body>) -> Form {
        Form::parse(request.uri().query().unwrap_or_default().as_bytes())
    }

    fn parse(bytes: &[u8]) -> Form {
        Form(form_urlencoded::parse(bytes).take(MOST_FIELDS).map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    /// The first field of this name; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// All fields of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The network that a client is counted by: /24 of IPv4, /48 of IPv6.
pub(super) fn network(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpNet::from(Ipv4Net::new_assert(v4, 24)).trunc(),
        IpAddr::V6(v6) => IpNet::from(Ipv6Net::new_assert(v6, 48)).trunc(),
    }
}

/// Where a request comes from. What `X-Forwarded-For` says is believed as far as it was written by proxies that we trust:
/// from the right, the first address that is none of theirs.
pub(super) fn client(request: &Request<Body>, trusted: &[IpNet]) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(at)| at.ip().to_canonical());
    forwarded(peer, request.headers(), trusted)
}

fn forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    let mut last = peer;
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // Somebody's nonsense: as far as that we know.
        let Some(address) = address_of(entry.trim()) else { return last };
        last = address.to_canonical();
        if !is_trusted(&last) {
            return last;
        }
    }
    last
}

/// The address in an entry, which some proxies write with the port.
fn address_of(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().ok().map(|at| at.ip());
    entry.trim_start_matches('[').trim_end_matches(']').parse().ok().or_else(with_port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn from(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        forwarded(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_proxies_that_we_trust_say_who_is_behind_them() {
        assert_eq!(from("198.51.100.7", &["203.0.113.9"]), "198.51.100.7");
        assert_eq!(from("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(from("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(from("10.0.0.1", &["1.1.1.1", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(from("10.0.0.1", &["203.0.113.9:51001"]), "203.0.113.9");
        assert_eq!(from("10.0.0.1", &["[2001:db8::7]:51001"]), "2001:db8::7");
        assert_eq!(from("::1", &["2001:db8:1:2::3"]), "2001:db8:1:2::3");
        assert_eq!(from("10.0.0.1", &["1.1.1.1, nonsense"]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn neighbours_share_a_network() {
        let of = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.200"), "192.0.2.0/24");
        assert_eq!(of("::ffff:192.0.2.200"), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1:2::3"), "2001:db8:1::/48");
    }
}
