//! How the daemon is reached: a Unix socket, or TCP where it listens there.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

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
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("this routectl does not speak TLS yet; name the daemon's Unix socket, or \
                        http:// to a listener on loopback"
                .into());
        }
        if let Some(authority) = text.strip_prefix("http://") {
            let port = authority.trim_end_matches('/').rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            return match port {
                Some(Ok(_)) => Ok(Self::Tcp(text.into())),
                _ => Err("expected http://HOST:PORT".into()),
            };
        }
        match text.strip_prefix("unix:").unwrap_or(text) {
            "" => Err("expected a path or http://HOST:PORT".into()),
            path => Ok(Self::Unix(path.into())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(uri) => uri.fmt(f),
        }
    }
}

/// Connects, or says which of the things that can be wrong is wrong.
pub(crate) async fn connect(target: &Target) -> Result<Channel, Failure> {
    let endpoint = endpoint(target).map_err(|error| unreachable(target, &*error))?;
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .http2_keep_alive_interval(PROBE)
        .keep_alive_timeout(PROBE_TIMEOUT)
        .user_agent(concat!("routectl/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| unreachable(target, &error))?
        .connect()
        .await
        .map_err(|error| unreachable(target, &error))
}

fn endpoint(target: &Target) -> Result<Endpoint, Box<dyn Error>> {
    let uri = match target {
        Target::Unix(path) => format!("unix://{}", std::path::absolute(path)?.display()),
        Target::Tcp(uri) => uri.clone(),
    };
    Ok(Endpoint::from_shared(uri)?)
}

fn unreachable(target: &Target, error: &(dyn Error + 'static)) -> Failure {
    let why = match io_error(error) {
        Some(error) => cure(target, error),
        None => format!("{error}; --socket takes a path or http://HOST:PORT"),
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
        (Target::Tcp(_), ErrorKind::ConnectionRefused) => {
            "connection refused; is routed running, and does `listen` in section [api] of its configuration \
             name this address?"
                .into()
        }
        (_, ErrorKind::TimedOut) => {
            "no answer in 5 seconds; is the host up and the port open in its firewall?".into()
        }
        (_, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            "who listens there hung up at once; is it routed, and does its log say why?".into()
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
    fn https_is_refused_in_words() {
        let error = "https://n1:7179".parse::<Target>().expect_err("no TLS");
        assert!(error.contains("does not speak TLS"), "{error}");
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
