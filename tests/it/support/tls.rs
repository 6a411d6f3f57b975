//! Certificates for one test, made by `openssl` as operators make theirs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A self-signed certificate for `name` (`IP:…` or `DNS:…`), and the server's side of it.
pub fn certificate(folder: &Path, name: &str, expired: bool) -> (PathBuf, TlsAcceptor) {
    let (key, pem) = (folder.join("key.pem"), folder.join("cert.pem"));
    run(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        &text(&key),
        "-out",
        &text(&pem),
        "-days",
        "30",
        "-subj",
        "/CN=test",
        "-addext",
        &format!("subjectAltName={name}"),
    ]);
    if expired {
        let (old, key) = (text(&pem), text(&key));
        run(&["x509", "-in", &old, "-signkey", &key, "-days", "-1", "-copy_extensions", "copy", "-out", &old]);
    }
    (pem.clone(), acceptor(&pem, &key))
}

/// An authority, and the server's side of a certificate for 127.0.0.1 that it signed.
pub fn certificate_of_authority(folder: &Path) -> (PathBuf, TlsAcceptor) {
    let (authority, _) = certificate(folder, "DNS:authority.example", false);
    let (key, request, pem) = (folder.join("leaf.key"), folder.join("leaf.csr"), folder.join("leaf.pem"));
    let names = folder.join("names");
    std::fs::write(&names, "subjectAltName=IP:127.0.0.1").unwrap();
    run(&[
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        &text(&key),
        "-out",
        &text(&request),
        "-subj",
        "/CN=leaf",
    ]);
    run(&[
        "x509",
        "-req",
        "-in",
        &text(&request),
        "-CA",
        &text(&authority),
        "-CAkey",
        &text(&folder.join("key.pem")),
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        &text(&names),
        "-out",
        &text(&pem),
    ]);
    (authority, acceptor(&pem, &key))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn acceptor(pem: &Path, key: &Path) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            CertificateDer::pem_file_iter(pem).unwrap().map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
