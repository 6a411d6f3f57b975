//! Which servers are believed to be who they say.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Tls;

/// The certificates that are to be trusted cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} holds no certificate that can be read: {cause}", file.display())]
pub struct TrustError {
    /// The file of [`super::Options::trust`].
    pub file: PathBuf,
    /// Why.
    pub cause: String,
}

/// TLS 1.2 or 1.3, trusting the system's authorities and those in `file`. A system without authorities is told only where
/// TLS is needed.
pub(super) fn client(file: Option<&Path>) -> Result<Tls, TrustError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (own, dates) = match file {
        Some(file) => read(file, &provider)?,
        None => (vec![], None),
    };
    Ok(config(own, dates, provider).map(Arc::new).map_err(|e| format!("no certificates to trust: {e}")))
}

fn config(own: Own, dates: Dates, provider: Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let system = rustls_platform_verifier::Verifier::new_with_extra_roots(own.clone(), provider.clone())?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust { system, own, dates }))
        .with_no_client_auth())
}

type Own = Vec<CertificateDer<'static>>;
type Dates = Option<Arc<WebPkiServerVerifier>>;

/// The operator's own certificates, and what checks their dates.
fn read(file: &Path, provider: &Arc<CryptoProvider>) -> Result<(Own, Dates), TrustError> {
    let fail = |cause: String| TrustError { file: file.to_owned(), cause };
    let (mut own, mut roots) = (vec![], RootCertStore::empty());
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| fail(e.to_string()))? {
        let certificate = certificate.map_err(|e| fail(e.to_string()))?;
        roots.add(certificate.clone()).map_err(|e| fail(e.to_string()))?;
        own.push(certificate);
    }
    let dates = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
    Ok((own, Some(dates.map_err(|_| fail("it has no certificate in it".to_owned()))?)))
}

/// The system's trust, and certificates of the operator's own: authorities, or a server's very certificate.
#[derive(Debug)]
struct Trust {
    system: rustls_platform_verifier::Verifier,
    own: Own,
    dates: Dates,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (Some(dates), true) = (&self.dates, self.own.contains(certificate)) else {
            return self.system.verify_server_cert(certificate, between, name, ocsp, now);
        };
        // The operator trusts this very certificate, so its signature says nothing more; its dates and names still count.
        // A self-signed one is mostly marked as an authority, and then refused as a server's: all but the dates, which are
        // looked at first, is what that refusal may be.
        if let Err(Error::InvalidCertificate(
            error @ (CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
            | CertificateError::BadEncoding),
        )) = dates.verify_server_cert(certificate, &[], name, ocsp, now)
        {
            return Err(Error::InvalidCertificate(error));
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}
