//! How the daemon is reached: a Unix socket, or TCP where it listens there,
//! with TLS from other hosts.

mod tls;

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;

/// A local daemon answers at once; a remote one within a few round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Until an answer begins. The slowest requests wait for a disk or for the
/// kernel to take a large ruleset: seconds, not minutes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a connection is probed while an answer is awaited, and how soon
/// a daemon that runs replies: one that hangs is found out in seconds.
const PROBE: Duration = Duration::from_secs(2);
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// What `--socket` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A Unix socket.
    Unix(PathBuf),
    /// `http://HOST:PORT`.
    Tcp(String),
    /// `https://HOST:PORT`.
    Tls {
        /// All of it.
        uri: String,
        /// The name or address that the daemon's certificate must be for.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What proves to both ends who is at the other one, for `https://`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Proofs {
    /// For https://: the authority that signed the daemon's certificate (PEM)
    #[arg(long, global = true, env = "ROUTED_CA", hide_env_values = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// For https://: your certificate (PEM)
    #[arg(long, global = true, env = "ROUTED_CERT", hide_env_values = true, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// For https://: the key of your certificate (PEM)
    #[arg(long, global = true, env = "ROUTED_KEY", hide_env_values = true, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(authority) = text.strip_prefix("https://") {
            let (host, port) = parts_of(authority).ok_or("expected https://HOST:PORT")?;
            return Ok(Self::Tls { uri: text.into(), host: host.into(), port });
        }
        if let Some(authority) = text.strip_prefix("http://") {
            parts_of(authority).ok_or("expected http://HOST:PORT")?;
            return Ok(Self::Tcp(text.into()));
        }
        match text.strip_prefix("unix:").unwrap_or(text) {
            "" => Err("expected a path or http(s)://HOST:PORT".into()),
            path => Ok(Self::Unix(path.into())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(uri) | Self::Tls { uri, .. } => uri.fmt(f),
        }
    }
}

/// The two parts of `HOST:PORT`; `None` where it is not of that form.
fn parts_of(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.trim_end_matches('/').rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some((host, port))
}

/// Connects, or says which of the things that can be wrong is wrong.
pub(crate) async fn connect(target: &Target, proofs: &Proofs) -> Result<Channel, Failure> {
    let endpoint = endpoint(target).map_err(|error| unreachable(target, &*error))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .http2_keep_alive_interval(PROBE)
        .keep_alive_timeout(PROBE_TIMEOUT)
        .user_agent(concat!("routectl/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| unreachable(target, &error))?;
    let connected = match target {
        Target::Tls { host, port, .. } => {
            endpoint.connect_with_connector(tls::Connector::new(host, *port, proofs)?).await
        }
        Target::Unix(_) | Target::Tcp(_) => endpoint.connect().await,
    };
    connected.map_err(|error| unreachable(target, &error))
}

fn endpoint(target: &Target) -> Result<Endpoint, Box<dyn Error>> {
    let uri = match target {
        Target::Unix(path) => format!("unix://{}", std::path::absolute(path)?.display()),
        Target::Tcp(uri) | Target::Tls { uri, .. } => uri.clone(),
    };
    Ok(match uri.strip_prefix("https:") {
        // Below this transport there is TLS of ours, of which it knows nothing.
        Some(rest) => Endpoint::from_shared(format!("http:{rest}"))?.origin(uri.parse()?),
        None => Endpoint::from_shared(uri)?,
    })
}

fn unreachable(target: &Target, error: &(dyn Error + 'static)) -> Failure {
    let why = match (tls::complaint(error), io_error(error)) {
        (Some(complaint), _) => complaint,
        (None, Some(error)) => cure(target, error),
        (None, None) => format!("{error}; --socket takes a path or http(s)://HOST:PORT"),
    };
    Failure::Unreachable(format!("cannot reach routed at {target}: {why}"))
}

/// The operating system's error below the layers of the transport.
fn io_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
        .find_map(|error| error.downcast_ref())
}

fn cure(target: &Target, error: &io::Error) -> String {
    match (target, error.kind()) {
        (Target::Unix(_), ErrorKind::NotFound) => {
            "the socket does not exist; is routed running on this node? start it, or name its socket with \
             --socket or ROUTED_SOCKET"
                .into()
        }
        (Target::Unix(_), ErrorKind::PermissionDenied) => {
            "permission denied; run routectl as root or as a member of the socket's group".into()
        }
        (Target::Unix(_), ErrorKind::ConnectionRefused) => {
            "nobody listens on the socket; routed has stopped and left it behind: start routed and look at \
             its log"
                .into()
        }
        (Target::Tcp(_) | Target::Tls { .. }, ErrorKind::ConnectionRefused) => {
            "connection refused; is routed running, and does `listen` in section [api] of its configuration \
             name this address?"
                .into()
        }
        (_, ErrorKind::TimedOut) => {
            "no answer in 5 seconds; is the host up and the port open in its firewall?".into()
        }
        (_, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            "who listens there hung up at once; is it routed, does it want https://, and does its log say why?"
                .into()
        }
        _ => format!("{error}; is routed running there?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_path_or_a_uri_with_a_port() {
        assert_eq!("/run/routed.sock".parse(), Ok(Target::Unix("/run/routed.sock".into())));
        assert_eq!("unix:/run/routed.sock".parse(), Ok(Target::Unix("/run/routed.sock".into())));
        assert_eq!("http://[::1]:7179".parse(), Ok(Target::Tcp("http://[::1]:7179".into())));
        assert!("http://localhost".parse::<Target>().is_err());
        assert!("".parse::<Target>().is_err());
    }

    #[test]
    fn the_host_of_https_is_what_the_certificate_must_be_for() {
        for (uri, expected) in [
            ("https://n1:7179", Some("n1")),
            ("https://192.0.2.1:7179/", Some("192.0.2.1")),
            ("https://[2001:db8::1]:7179", Some("2001:db8::1")),
            ("https://n1", None),
            ("https://:7179", None),
            ("https://n1:port", None),
        ] {
            let host = match uri.parse() {
                Ok(Target::Tls { host, .. }) => Some(host),
                Ok(other) => panic!("{other:?}"),
                Err(_) => None,
            };
            assert_eq!(host.as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn each_way_of_not_reaching_the_daemon_has_its_own_cure() {
        let unix = Target::Unix("/run/routed/routed.sock".into());
        let tcp = Target::Tcp("http://127.0.0.1:7179".into());
        let kinds = [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::ConnectionRefused];
        let mut cures: Vec<_> = kinds.iter().map(|kind| cure(&unix, &(*kind).into())).collect();
        cures.push(cure(&tcp, &ErrorKind::ConnectionRefused.into()));
        cures.push(cure(&tcp, &ErrorKind::TimedOut.into()));
        cures.push(cure(&tcp, &ErrorKind::ConnectionReset.into()));
        cures.sort();
        cures.dedup();
        assert_eq!(cures.len(), 6, "{cures:#?}");
    }
}
