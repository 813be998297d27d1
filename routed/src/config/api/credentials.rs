//! Certificates and keys: from files to what the API's server shows and asks for.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::Secret;
use crate::config::file::read_file;

/// What the server shows clients, and what it asks of them.
#[derive(Clone)]
pub struct Credentials {
    /// For connections that come from now on: TLS 1.2 and later, HTTP/2.
    pub server: Arc<ServerConfig>,
    /// The end of the daemon's own certificate.
    not_after: Option<Timestamp>,
    /// What the files held, to see whether others differ.
    files: [Secret; 3],
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// The key of the configuration whose file is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// `cert`.
    Cert,
    /// `key`.
    Key,
    /// `client_ca`.
    ClientCa,
}

/// What is wrong with a file, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub which: Which,
    /// The file's name and what is wrong with it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self.which {
            Which::Cert => "cert",
            Which::Key => "key",
            Which::ClientCa => "client_ca",
        };
        write!(f, "{key}: {}", self.message)
    }
}

impl Credentials {
    /// Reads the files, and finds out whether they go together.
    pub fn read(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Self, Fault> {
        let of = |which: Which, path: &Path| read_file(path).map_err(|message| Fault { which, message });
        let files = [
            of(Which::Cert, cert)?,
            of(Which::Key, key)?,
            client_ca.map_or(Ok(Vec::new()), |path| of(Which::ClientCa, path))?,
        ];
        let chain = certificates(Which::Cert, cert, &files[0])?;
        let not_after = chain.first().and_then(end_of);
        let private = private_key(key, &files[1])?;
        let server = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(Which::Cert, cert, error))?;
        let server = match client_ca {
            Some(path) => server.with_client_cert_verifier(verifier(path, &files[2])?),
            None => server.with_no_client_auth(),
        };
        let mut server = server.with_single_cert(chain, private).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                fault(Which::Key, key, format!("is not the key of the certificate in {}", cert.display()))
            }
            error if error.to_string().contains("UnsupportedCertVersion") => fault(
                Which::Cert,
                cert,
                "the certificate is of X.509 version 1, which has no alternative names; docs/api.md shows how to \
                 make one that does",
            ),
            error => fault(Which::Cert, cert, error),
        })?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { server: Arc::new(server), not_after, files: files.map(Secret::new) })
    }

    /// When the daemon's own certificate ended, if it has.
    pub fn expired(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_after.filter(|end| *end < now)
    }
}

fn fault(which: Which, path: &Path, what: impl fmt::Display) -> Fault {
    Fault { which, message: format!("{}: {what}", path.display()) }
}

/// The certificates of a file; one at least.
fn certificates(which: Which, path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(list) if list.is_empty() => Err(fault(
            which,
            path,
            "there is no certificate in it; a PEM file with BEGIN CERTIFICATE is expected",
        )),
        Ok(list) => Ok(list),
        Err(error) => Err(fault(which, path, format!("{error}; a PEM file is expected"))),
    }
}

fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        let encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
        match error {
            _ if encrypted => fault(
                Which::Key,
                path,
                "the key has a pass phrase and nobody is there to type it; `openssl pkey -in FILE -out FILE` \
                 takes it off",
            ),
            PemError::NoItemsFound => fault(
                Which::Key,
                path,
                "there is no key in it; a PEM file with BEGIN PRIVATE KEY, RSA or EC is expected",
            ),
            error => fault(Which::Key, path, format!("{error}; a PEM file is expected")),
        }
    })
}

/// Asks clients for a certificate that one of the authorities has signed.
fn verifier(path: &Path, text: &[u8]) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, Fault> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(Which::ClientCa, path, text)? {
        roots.add(authority).map_err(|error| fault(Which::ClientCa, path, error))?;
    }
    let provider = Arc::new(crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| fault(Which::ClientCa, path, error))
}

/// The end of a certificate; `None` where it does not say so in a way that can be read.
fn end_of(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}
