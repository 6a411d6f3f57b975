//! `publish:` and `serve:` as meant.

use std::net::SocketAddr;
use std::path::Path;

use super::super::{PublishSettings, ServeSettings, file};
use super::Check;
use crate::publish::Address;
use crate::publish::run::SETTLE;

/// Where `pressrun serve` listens unless told otherwise: only a proxy on this machine reaches it.
const BIND: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

impl Check<'_, '_> {
    pub(super) fn serve(&mut self, written: &file::Serve) -> ServeSettings {
        let default = SocketAddr::from(BIND);
        let bind = written.bind.as_deref().map_or(default, |text| {
            text.parse().unwrap_or_else(|_| {
                let hint = "for instance 127.0.0.1:8080, or [::]:8080 for every address of this machine";
                self.wrong("serve.bind", "this is not an address with a port", hint);
                default
            })
        });
        ServeSettings { bind }
    }

    pub(super) fn publish(&mut self, written: Vec<file::Publish>, root: &Path) -> Vec<PublishSettings> {
        let mut targets: Vec<PublishSettings> = Vec::new();
        for (i, target) in written.into_iter().enumerate() {
            let path = format!("publish.{i}");
            let Some(to) = target.to else {
                self.required(&format!("{path}.to"), "directory:FOLDER, s3://BUCKET/PREFIX, or in-place");
                continue;
            };
            let address = match to.parse() {
                Ok(Address::Folder(folder)) => Address::Folder(root.join(folder)),
                Ok(address) => address,
                Err(error) => {
                    self.wrong(&format!("{path}.to"), "this is no target", &format!("{error}"));
                    continue;
                }
            };
            if targets.iter().any(|other| other.to == to) {
                self.wrong(&format!("{path}.to"), "this target is named twice", "one of them is enough");
            }
            let bucket = matches!(address, Address::Bucket { .. });
            if !bucket && (target.endpoint.is_some() || target.region.is_some()) {
                self.wrong(&path, "`endpoint` and `region` are for buckets", "take them away");
            }
            let endpoint = target.endpoint.and_then(|text| self.whole_url(&format!("{path}.endpoint"), &text));
            let settle = self.duration(&format!("{path}.settle"), target.settle.as_deref(), SETTLE);
            targets.push(PublishSettings { to, address, endpoint, region: target.region, settle });
        }
        targets
    }
}
