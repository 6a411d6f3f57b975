//! `publish:` as meant.

use std::path::Path;

use super::super::{PublishSettings, file};
use super::Check;
use crate::publish::Address;
use crate::publish::run::SETTLE;

impl Check<'_, '_> {
    pub(super) fn publish(&mut self, written: Vec<file::Publish>, feeds: &Path, root: &Path) -> Vec<PublishSettings> {
        let mut targets: Vec<PublishSettings> = Vec::new();
        for (i, target) in written.into_iter().enumerate() {
            let path = format!("publish.{i}");
            let Some(to) = target.to else {
                self.required(&format!("{path}.to"), "directory:FOLDER, s3://BUCKET/PREFIX, or in-place");
                continue;
            };
            let address = match to.parse() {
                Ok(Address::Folder(folder)) => {
                    let folder = root.join(folder);
                    // The feeds would be published with what was published before, and builds would clear it away.
                    if folder.starts_with(feeds) || feeds.starts_with(&folder) {
                        let help =
                            "name a folder beside it, or `in-place` where the feeds are served as they are built";
                        self.wrong(&format!("{path}.to"), "this is not apart from the folder of feeds", help);
                    }
                    Address::Folder(folder)
                }
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
