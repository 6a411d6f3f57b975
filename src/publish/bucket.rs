//! An S3-compatible bucket as a target. Credentials come from the environment only (`AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, and what else the AWS tools read).

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as ObjectPath;
use object_store::{Attribute, Attributes, BackoffConfig, ClientOptions, ObjectStore as _, PutOptions, RetryConfig};
use std::collections::BTreeMap;
use std::time::Duration;
use url::{Host, Url};

use super::PublishError;
use crate::feed::media::Media;

/// How long a store is waited for, and how often it is asked again when it is busy or cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// One request may take so long.
    pub request: Duration,
    /// So often a request is sent again.
    pub tries: usize,
    /// The wait before the second time; it doubles.
    pub first_wait: Duration,
    /// Up to this.
    pub longest_wait: Duration,
    /// All the times of one request together.
    pub all: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            request: Duration::from_mins(1),
            tries: 8,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(15),
            all: Duration::from_mins(2),
        }
    }
}

/// Which bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its name.
    pub bucket: String,
    /// What object names begin with, without slashes at the ends; may be empty.
    pub prefix: String,
    /// The store's address if it is not Amazon's. Plain `http` only on this machine.
    pub endpoint: Option<Url>,
    /// The region; `AWS_REGION` if `None`.
    pub region: Option<String>,
    /// How long it is waited for.
    pub patience: Patience,
}

impl Options {
    /// The name in records and messages.
    pub fn name(&self) -> String {
        let at = self.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        format!("s3://{}/{}{at}", self.bucket, self.prefix)
    }
}

/// Why a bucket cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Secrets would go over the network in the clear.
    #[error("{0} is not https, and not on this machine")]
    Plain(Url),
    /// The options or the environment are not enough.
    #[error("{0}")]
    Unusable(#[from] object_store::Error),
}

/// A bucket to publish to.
#[derive(Debug)]
pub struct Bucket {
    store: AmazonS3,
    prefix: ObjectPath,
}

/// What a listing says of an object: enough to know whether it is ours.
pub(super) struct Listed {
    pub(super) size: u64,
    /// With the usual stores the MD5 of the bytes, in quotation marks.
    pub(super) etag: Option<String>,
}

impl Bucket {
    /// Reads the credentials from the environment's variables; asks the store nothing.
    pub fn open(options: &Options, environment: impl Iterator<Item = (String, String)>) -> Result<Bucket, OpenError> {
        let mut builder = AmazonS3Builder::new();
        for (name, value) in environment {
            if name.starts_with("AWS_")
                && let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
            {
                builder = builder.with_config(key, value);
            }
        }
        builder = builder.with_bucket_name(&options.bucket);
        // Whatever the environment says, the configuration decides where credentials are sent.
        let mut client = ClientOptions::new().with_timeout(options.patience.request);
        if let Some(endpoint) = &options.endpoint {
            let here = match endpoint.host() {
                Some(Host::Domain(name)) => name == "localhost",
                Some(Host::Ipv4(ip)) => ip.is_loopback(),
                Some(Host::Ipv6(ip)) => ip.is_loopback(),
                None => false,
            };
            if endpoint.scheme() != "https" && !here {
                return Err(OpenError::Plain(endpoint.clone()));
            }
            client = client.with_allow_http(here);
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        if let Some(region) = &options.region {
            builder = builder.with_region(region);
        } else if builder.get_config_value(&AmazonS3ConfigKey::Region).is_none() {
            builder = builder.with_region("us-east-1");
        }
        let Patience { tries, first_wait, longest_wait, all, .. } = options.patience;
        let retry = RetryConfig {
            backoff: BackoffConfig { init_backoff: first_wait, max_backoff: longest_wait, base: 2.0 },
            max_retries: tries,
            retry_timeout: all,
        };
        let store = builder.with_client_options(client).with_retry(retry).build()?;
        let prefix = ObjectPath::parse(&options.prefix).map_err(object_store::Error::from)?;
        Ok(Bucket { store, prefix })
    }

    fn object(&self, path: &str) -> Result<ObjectPath, PublishError> {
        let full = if self.prefix.as_ref().is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        ObjectPath::parse(full).map_err(|source| refused(path, source))
    }

    /// Puts an object there, whole or not at all: one request.
    pub(super) async fn put(&self, path: &str, bytes: Bytes, media: &Media) -> Result<(), PublishError> {
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, media.content_type),
            (Attribute::CacheControl, media.cache_control()),
        ]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.store.put_opts(&self.object(path)?, bytes.into(), options).await;
        put.map(|_| ()).map_err(|source| refused(path, source))
    }

    /// Removes these objects, up to a thousand in a request. That one is not there is fine.
    pub(super) async fn remove(&self, paths: &[String]) -> Result<(), PublishError> {
        let objects: Vec<_> = paths.iter().map(|path| self.object(path)).collect::<Result<_, _>>()?;
        let removed = self.store.delete_stream(stream::iter(objects.into_iter().map(Ok)).boxed());
        let missing = |error: &object_store::Error| matches!(error, object_store::Error::NotFound { .. });
        removed
            .filter(|result| std::future::ready(!result.as_ref().is_err_and(missing)))
            .try_for_each(|_| std::future::ready(Ok(())))
            .await
            .map_err(|source| refused("", source))
    }

    /// Everything below the prefix: one request for each thousand objects.
    pub(super) async fn list(&self) -> Result<BTreeMap<String, Listed>, PublishError> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let cut = prefix.map_or(0, |prefix| prefix.as_ref().len() + 1);
        let objects = self.store.list(prefix).map_ok(|meta| {
            let path = meta.location.as_ref().get(cut..).unwrap_or_default().to_owned();
            (path, Listed { size: meta.size, etag: meta.e_tag })
        });
        objects.try_collect().await.map_err(|source| refused("", source))
    }
}

fn refused(path: &str, source: impl std::error::Error + Send + Sync + 'static) -> PublishError {
    PublishError::Refused { path: path.to_owned(), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(endpoint: &str) -> Result<Bucket, OpenError> {
        let endpoint = Url::parse(endpoint).ok();
        let options = Options {
            bucket: "b".to_owned(),
            prefix: "a/b".to_owned(),
            endpoint,
            region: None,
            patience: Patience::default(),
        };
        let environment =
            [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_ALLOW_HTTP", "true")];
        Bucket::open(&options, environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter())
    }

    #[test]
    fn credentials_leave_this_machine_only_encrypted() {
        assert!(matches!(open("http://store.example/"), Err(OpenError::Plain(_))));
        assert!(matches!(open("http://10.0.0.1:9000/"), Err(OpenError::Plain(_))));
        for fine in ["http://127.0.0.1:9000/", "http://localhost:9000", "http://[::1]:9000", "https://store.example"] {
            assert!(open(fine).is_ok(), "{fine}");
        }
    }
}
