//! How fast mails may go, as meant: the limits of `press:`.

use std::num::{NonZeroU16, NonZeroU32};

use super::Check;
use super::file;
use super::values::is_domain;
use crate::delivery::pace::{Destination, Limit, Limits};
use crate::delivery::warm_up::WarmUp;
use crate::newsroom::plausible::line_of;

/// Where a sender is not new any more, if nothing else is said: what Gmail calls bulk, and a little.
const UNTIL: u32 = 20_000;
const START: u32 = 200;
const FACTOR: f64 = 2.0;

impl Check<'_, '_> {
    pub(super) fn limits(&mut self, written: &file::Press) -> Limits {
        let per_minute = self.per_minute("press.per_minute", written.per_minute);
        let usual = written.per_destination.as_ref().map_or(Limit::default(), |rates| Limit {
            per_minute: self.per_minute("press.per_destination.per_minute", rates.per_minute),
            connections: self.connections("press.per_destination.connections", rates.connections),
        });
        let mut named: Vec<Destination> = vec![];
        for (i, destination) in written.destinations.iter().enumerate() {
            let path = format!("press.destinations.{i}");
            let mut domains: Vec<String> = vec![];
            for domain in &destination.domains {
                let ascii = idna::domain_to_ascii(domain.trim()).unwrap_or_default();
                if !is_domain(&ascii) {
                    let what = format!("`{}` is not a domain", line_of(domain));
                    self.wrong(&format!("{path}.domains"), &what, "what stands after the @, for instance gmail.com");
                } else if named.iter().any(|other| other.domains.contains(&ascii)) || domains.contains(&ascii) {
                    let what = format!("the domain `{ascii}` stands here a second time");
                    self.wrong(&format!("{path}.domains"), &what, "each domain has one limit");
                }
                domains.push(ascii);
            }
            if domains.is_empty() {
                self.required(&format!("{path}.domains"), "what stands after the @, for instance [gmail.com]");
            }
            if destination.per_minute.is_none() && destination.connections.is_none() {
                self.wrong(&path, "it has no limit", "add `per_minute:`, `connections:`, or both");
            }
            let limit = Limit {
                per_minute: self.per_minute(&format!("{path}.per_minute"), destination.per_minute),
                connections: self.connections(&format!("{path}.connections"), destination.connections),
            };
            named.push(Destination { domains, limit });
        }
        Limits { per_minute, usual, named }
    }

    pub(super) fn warm_up(&mut self, written: Option<&file::WarmUp>) -> Option<WarmUp> {
        let written = written?;
        let factor = written.factor.unwrap_or(FACTOR);
        if !(1.1..=10.0).contains(&factor) {
            self.wrong("press.warm_up.factor", "from 1.1 to 10", "each day at most so many times the best day before");
        }
        let start = self.per_minute("press.warm_up.start", written.start.or(Some(START)))?;
        let until = self.per_minute("press.warm_up.until", written.until.or(Some(UNTIL)))?;
        if until <= start {
            self.wrong("press.warm_up", "`until` is not more than `start`", "leave the whole part out for no ceiling");
        }
        Some(WarmUp { start, factor, until })
    }

    fn per_minute(&mut self, path: &str, written: Option<u32>) -> Option<NonZeroU32> {
        if written == Some(0) {
            self.wrong(path, "nothing would ever go", "leave it out for no limit");
        }
        NonZeroU32::new(written?)
    }

    fn connections(&mut self, path: &str, written: Option<u16>) -> Option<NonZeroU16> {
        self.per_minute(path, written.map(u32::from)).and_then(|n| NonZeroU16::try_from(n).ok())
    }
}
