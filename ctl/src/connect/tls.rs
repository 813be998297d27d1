//! TLS: whom we trust, who we are, and what is said when either is refused.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Uri;

use super::Proofs;
use crate::cli::Cli;
use crate::failure::Failure;

/// How long the daemon is waited for to begin. It does so as soon as it has
/// looked at our certificate; a proxy in between may wait for us instead.
const GREETING: Duration = Duration::from_secs(2);

/// Makes connections with TLS to a daemon whose certificate is for the host.
#[derive(Clone)]
pub(super) struct Connector {
    host: String,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Connector {
    /// Reads the files.
    pub(super) fn new(host: &str, port: u16, proofs: &Proofs) -> Result<Self, Failure> {
        let ca = proofs.ca.as_deref().ok_or_else(|| usage(NO_CA))?;
        let mut roots = RootCertStore::empty();
        for authority in chain(ca)? {
            roots.add(authority).map_err(|error| faulty(ca, &error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::Faulty(error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match (proofs.cert.as_deref(), proofs.key.as_deref()) {
            (None, None) => config.with_no_client_auth(),
            (Some(cert), Some(key)) => config
                .with_client_auth_cert(chain(cert)?, private_key(key)?)
                .map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        faulty(key, "is not the key of the certificate (--cert)")
                    }
                    error if error.to_string().contains("UnsupportedCertVersion") => {
                        faulty(cert, "the certificate is of X.509 version 1; have it made with an extension, as extendedKeyUsage=clientAuth")
                    }
                    error => faulty(cert, &error.to_string()),
                })?,
            (Some(_), None) => {
                return Err(usage("--cert needs --key FILE (or ROUTED_KEY), the key of the certificate"));
            }
            (None, Some(_)) => {
                return Err(usage("--key needs --cert FILE (or ROUTED_CERT), the certificate of the key"));
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            usage(&format!("--socket: no certificate can be for {host:?}; name a host or an address"))
        })?;
        Ok(Self { host: host.to_owned(), port, name, config: Arc::new(config) })
    }

    /// A connection over which both ends have accepted each other.
    ///
    /// A server looks at a certificate after the client's part of the handshake
    /// is over (RFC 8446 §4.4.2): only what it says next shows that it does.
    async fn connect(self) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let mut stream = TlsConnector::from(self.config).connect(self.name, stream).await?;
        let mut first = [0; 64];
        let read = match tokio::time::timeout(GREETING, stream.read(&mut first)).await {
            Ok(read) => read?,
            Err(_) => 0,
        };
        let (reader, writer) = tokio::io::split(stream);
        Ok(tokio::io::join(io::Cursor::new(first).take(read as u64).chain(reader), writer))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connect = self.clone().connect();
        Box::pin(async { Ok(TokioIo::new(Box::new(connect.await?) as Box<dyn Stream>)) })
    }
}

/// What bytes go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

const NO_CA: &str =
    "https:// needs --ca FILE (or ROUTED_CA): the certificate of the authority that signed the daemon's";

fn usage(message: &str) -> Failure {
    Failure::Usage(Cli::command().error(ErrorKind::MissingRequiredArgument, message))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::file(path.display().to_string(), error))
}

/// The certificates of a file; one at least.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    found.ok().filter(|list| !list.is_empty()).ok_or_else(|| {
        faulty(path, "there is no certificate in it; a PEM file with BEGIN CERTIFICATE is expected")
    })
}

/// A key that can be used as it is.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| {
        faulty(
            path,
            "there is no key without a pass phrase in it; a PEM file with BEGIN PRIVATE KEY is expected, and \
             `openssl pkey -in FILE -out FILE` takes a pass phrase off",
        )
    })
}

fn faulty(path: &Path, what: &str) -> Failure {
    Failure::Faulty(format!("{}: {what}", path.display()))
}

/// What of TLS has gone wrong, and the cure; `None` where it is something else.
pub(super) fn complaint(error: &(dyn Error + 'static)) -> Option<String> {
    rustls_error(error).map(explain)
}

/// The error of TLS below the layers of the transport; one inside an error of
/// the system is not among that one's sources.
fn rustls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source()).find_map(
        |error| {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            error.downcast_ref().or_else(|| inner?.downcast_ref())
        },
    )
}

fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => of_daemon(error),
        rustls::Error::AlertReceived(alert) => of_ours(*alert),
        rustls::Error::InvalidMessage(_) => {
            "who listens there does not speak TLS; a daemon without TLS is reached by http://".to_owned()
        }
        rustls::Error::PeerIncompatible(_) => format!("{error}; TLS 1.2 or later is needed at both ends"),
        _ => format!("{error}; its log may say more"),
    }
}

/// What is wrong with the daemon's certificate.
fn of_daemon(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the daemon's certificate has expired; have a new one put into the file that `tls` in section [api] \
             of its configuration names, or set this host's clock"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the daemon's certificate is not valid yet; is this host's clock right?".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the daemon's certificate is not signed by the authority in --ca; name the right one, and do not \
             go on without"
                .to_owned()
        }
        CertificateError::NotValidForName => {
            "the daemon's certificate is for another name; name the daemon as its certificate does".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the daemon's certificate is not for {} but for {}; name the daemon as its certificate does",
            expected.to_str(),
            if presented.is_empty() { "nobody (it has no subjectAltName)".to_owned() } else { presented.join(", ") }
        ),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the daemon shows the certificate of an authority as its own; have one signed for it".to_owned()
        }
        error => format!("the daemon's certificate is not good: {error}"),
    }
}

/// What the daemon says of ours.
fn of_ours(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the daemon asks for a certificate; name yours with --cert and --key (ROUTED_CERT, ROUTED_KEY)".to_owned()
        }
        AlertDescription::CertificateExpired => {
            "your certificate (--cert) has expired; have a new one made, or have the daemon's clock set".to_owned()
        }
        AlertDescription::UnknownCA => {
            "the daemon does not know the authority that signed your certificate (--cert); `client_ca` of `tls` \
             in section [api] of its configuration names those that it knows"
                .to_owned()
        }
        AlertDescription::ProtocolVersion => "the daemon speaks no version of TLS that this routectl does".to_owned(),
        alert => format!("the daemon does not accept your certificate (--cert): {alert:?}; its log says why"),
    }
}
