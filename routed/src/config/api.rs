//! `[api]`: where the API is served, and to whom.

mod credentials;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

pub use self::credentials::{Credentials, Ending, Fault, Life, Which};
use super::defaults;
use super::diagnostic::Findings;
use super::file::guard_key;
use super::reader::{Located, Section};

/// `[api]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Api {
    /// The Unix socket.
    pub socket: PathBuf,
    /// A TCP address; one off loopback has `tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// TLS on the TCP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// `tls` of `[api]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tls {
    /// The daemon's certificate and those between it and its authority, PEM.
    pub cert: PathBuf,
    /// The key of the certificate, PEM.
    pub key: PathBuf,
    /// The authorities of clients' certificates, PEM; `None`: clients are not
    /// asked for any, which goes on loopback only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// The names in certificates of clients that may change something; who has
    /// none of them may look. `None`: whoever has a certificate may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operators: Option<Vec<String>>,
    /// What the files say.
    #[serde(skip)]
    pub credentials: Credentials,
}

impl Api {
    /// What of it is read at start only: all but what TLS goes by.
    pub(super) fn fixed(&self) -> impl PartialEq + use<'_> {
        (&self.socket, self.listen, self.tls.is_some())
    }
}

/// The section, with its defaults.
pub(super) fn read(section: Option<Section<'_>>, findings: &mut Findings<'_>) -> Api {
    let mut api = Api { socket: PathBuf::from(defaults::SOCKET), listen: None, tls: None };
    let Some(mut section) = section else { return api };
    if let Some(socket) = section.get("socket", findings) {
        api.socket = socket;
    }
    let listen = section.located::<SocketAddr>("listen", findings);
    match section.section("tls", findings) {
        Some(tls) => api.tls = self::tls(tls, listen.as_ref(), findings),
        None => report_open(listen.as_ref(), findings),
    }
    api.listen = listen.map(|listen| listen.value);
    section.not_yet(&["metrics"], findings);
    section.finish(findings);
    api
}

/// The address, where other hosts reach it.
fn reachable(listen: Option<&Located<SocketAddr>>) -> Option<&Located<SocketAddr>> {
    listen.filter(|listen| !listen.value.ip().to_canonical().is_loopback())
}

fn report_open(listen: Option<&Located<SocketAddr>>, findings: &mut Findings<'_>) {
    if let Some(listen) = reachable(listen) {
        let message = format!(
            "api.listen: other hosts reach {}, so it needs `tls = {{ cert, key, client_ca }}`; \
             without TLS use 127.0.0.1:{} or the socket",
            listen.value,
            listen.value.port()
        );
        findings.error(&listen.span, message);
    }
}

fn tls(
    mut section: Section<'_>,
    listen: Option<&Located<SocketAddr>>,
    findings: &mut Findings<'_>,
) -> Option<Tls> {
    let span = section.span.clone();
    let cert = section.required::<PathBuf>("cert", findings);
    let key = section.required::<PathBuf>("key", findings);
    let client_ca = section.located::<PathBuf>("client_ca", findings);
    let operators = section.list::<String>("operators", findings);
    let asks = client_ca.is_some();
    section.finish(findings);

    if listen.is_none() {
        findings
            .warning(&span, "api.tls: there is no api.listen that it would be for; the socket has no TLS");
    }
    if let Some(listen) = reachable(listen).filter(|_| !asks) {
        let message = format!(
            "api.tls: other hosts reach {}, and without `client_ca` anybody there could change routes; \
             add client_ca = \"FILE\", the authority that signs the certificates of clients",
            listen.value
        );
        findings.error(&span, message);
    }
    for name in operators.iter().flatten().filter(|name| name.value.trim().is_empty()) {
        findings.error(&name.span, "api.tls.operators: a name must not be empty");
    }
    if let Some(first) = operators.iter().flatten().next().filter(|_| !asks) {
        let message = "api.tls.operators: who is one is told by certificates; add client_ca = \"FILE\", or \
                       remove the key";
        findings.error(&first.span, message);
    }
    let (cert, key) = (cert?, key?);
    guard_key(&key, findings);
    let ca = client_ca.as_ref().map(|file| file.value.as_path());
    let credentials = Credentials::read(&cert.value, &key.value, ca)
        .map_err(|fault| {
            let file = match (fault.which, &client_ca) {
                (Which::Key, _) => &key,
                (Which::ClientCa, Some(file)) => file,
                (Which::Cert | Which::ClientCa, _) => &cert,
            };
            findings.error(&file.span, format!("api.tls.{fault}"));
        })
        .ok()?;
    let ending = credentials.life.and_then(|life| life.ending(jiff::Timestamp::now()));
    if let Some(Ending::Past(end)) = ending {
        let message = format!(
            "api.tls.cert: {}: the certificate is past its end, {end}, and clients will refuse it; put a new \
             one there",
            cert.value.display()
        );
        findings.warning(&cert.span, message);
    }
    Some(Tls {
        cert: cert.value,
        key: key.value,
        client_ca: client_ca.map(|file| file.value),
        operators: operators.map(super::file::values),
        credentials,
    })
}
