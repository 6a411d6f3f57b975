//! Questions to the DNS, through hickory: without the system's own files of hosts, for the world has not got them either.

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use std::net::SocketAddr;
use std::time::Duration;

use crate::mail::posture::{Answer, Kind, Question};

/// One try may take so long, and there are so many.
const PATIENCE: Duration = Duration::from_secs(3);
const TRIES: usize = 2;

/// Asks a resolver.
#[derive(Debug)]
pub struct Dns(TokioResolver);

impl Dns {
    /// Asks the resolver at this address, or those that the system is configured with.
    ///
    /// # Errors
    /// In words: the system names none.
    pub fn new(resolver: Option<SocketAddr>) -> Result<Dns, String> {
        let builder = match resolver {
            Some(at) => {
                let mut server = NameServerConfig::udp_and_tcp(at.ip());
                for connection in &mut server.connections {
                    connection.port = at.port();
                }
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                Ok(Resolver::builder_with_config(config, TokioRuntimeProvider::default()))
            }
            None => Resolver::builder_tokio(),
        };
        let mut builder = builder.map_err(|error| error.to_string())?;
        let options = builder.options_mut();
        options.timeout = PATIENCE;
        options.attempts = TRIES;
        options.use_hosts_file = ResolveHosts::Never;
        builder.build().map(Dns).map_err(|error| error.to_string())
    }

    /// Asks.
    pub async fn ask(&self, question: &Question) -> Answer {
        match question.kind {
            Kind::Txt => self.records(&question.name, RecordType::TXT).await,
            Kind::Mx => self.records(&question.name, RecordType::MX).await,
            Kind::Ptr => self.records(&question.name, RecordType::PTR).await,
            Kind::Address => {
                let four = self.records(&question.name, RecordType::A).await;
                let six = self.records(&question.name, RecordType::AAAA).await;
                match (four, six) {
                    (Answer::Found(mut all), Answer::Found(more)) => {
                        all.extend(more);
                        Answer::Found(all)
                    }
                    // What is known counts: some servers of names do not answer for a family that they have nothing of.
                    (Answer::Found(one), Answer::Failed(_)) | (Answer::Failed(_), Answer::Found(one)) => {
                        Answer::Found(one)
                    }
                    (Answer::Failed(because), _) | (_, Answer::Failed(because)) => Answer::Failed(because),
                    (Answer::Nothing, other) | (other, Answer::Nothing) => other,
                }
            }
        }
    }

    async fn records(&self, name: &str, kind: RecordType) -> Answer {
        // With the final dot, no local domain is tried behind it.
        let found = match self.0.lookup(format!("{name}."), kind).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Answer::Nothing,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        let mut records: Vec<(u16, String)> = Vec::new();
        for record in found.answers() {
            let host = |name: &dyn ToString| match name.to_string().trim_end_matches('.') {
                "" => ".".to_owned(),
                host => host.to_owned(),
            };
            match &record.data {
                RData::TXT(text) => {
                    let bytes: Vec<u8> = text.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
                    records.push((0, String::from_utf8_lossy(&bytes).into_owned()));
                }
                RData::MX(mx) => records.push((mx.preference, host(&mx.exchange))),
                RData::PTR(name) => records.push((0, host(&name.0))),
                RData::A(address) => records.push((0, address.0.to_string())),
                RData::AAAA(address) => records.push((0, address.0.to_string())),
                // A name's other name stands beside what it leads to.
                _ => {}
            }
        }
        records.sort_by_key(|(preference, _)| *preference);
        if records.is_empty() {
            Answer::Nothing
        } else {
            Answer::Found(records.into_iter().map(|(_, text)| text).collect())
        }
    }
}
