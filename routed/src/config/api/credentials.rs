//! Certificates and keys: from files to what the API's server shows and asks for.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
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
    /// That of the daemon's own certificate; `None` where it cannot be read.
    pub life: Option<Life>,
    /// What the files held, to see whether others differ.
    files: [Secret; 3],
    /// The files when they were looked at last.
    seen: [Option<Stamp>; 3],
}

/// Changes when a file does: number, size, and when it was changed last.
type Stamp = (u64, u64, i64, i64);

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    from: Timestamp,
    until: Timestamp,
}

/// How a certificate stands to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is in the last tenth of its life, or in the last two weeks of a long one.
    Near(Timestamp),
    /// It is over.
    Past(Timestamp),
}

/// So long before its end a certificate that lives long is near it.
const NEAR: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Life {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let moment = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        let validity = certificate.validity();
        Some(Self { from: moment(validity.not_before)?, until: moment(validity.not_after)? })
    }

    /// The end, when it is near or past.
    pub fn ending(self, now: Timestamp) -> Option<Ending> {
        let near = NEAR.min(self.until.duration_since(self.from) / 10);
        match self.until.duration_since(now) {
            left if left.is_negative() => Some(Ending::Past(self.until)),
            left if left < near => Some(Ending::Near(self.until)),
            _ => None,
        }
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("life", &self.life).finish_non_exhaustive()
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
        // Before they are read: what changes meanwhile is noticed.
        let seen = stamps([Some(cert), Some(key), client_ca]);
        let of = |which: Which, path: &Path| read_file(path).map_err(|message| Fault { which, message });
        let files = [
            of(Which::Cert, cert)?,
            of(Which::Key, key)?,
            client_ca.map_or(Ok(Vec::new()), |path| of(Which::ClientCa, path))?,
        ];
        let chain = certificates(Which::Cert, cert, &files[0])?;
        let life = chain.first().and_then(Life::of);
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
        Ok(Self { server: Arc::new(server), life, files: files.map(Secret::new), seen })
    }

    /// True where the files were looked at as long ago as for the other.
    pub(crate) fn is_as_old_as(&self, other: &Self) -> bool {
        self.seen == other.seen && self == other
    }
}

impl super::Tls {
    /// What the files say now, where they have changed since they were looked
    /// at last; where they do not do, what they said before, and why.
    pub(crate) fn renewed(&self) -> Option<(Credentials, Option<Fault>)> {
        let client_ca = self.client_ca.as_deref();
        let seen = stamps([Some(&self.cert), Some(&self.key), client_ca]);
        if seen == self.credentials.seen {
            return None;
        }
        Some(match Credentials::read(&self.cert, &self.key, client_ca) {
            Ok(credentials) => (credentials, None),
            Err(fault) => (Credentials { seen, ..self.credentials.clone() }, Some(fault)),
        })
    }
}

/// Files that are not there, and those that nobody named, have none.
fn stamps(files: [Option<&Path>; 3]) -> [Option<Stamp>; 3] {
    files.map(|path| {
        let found = std::fs::metadata(path?).ok()?;
        Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    })
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
