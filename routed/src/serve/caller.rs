//! Who is at the other end of a connection, and what that lets them do.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::Problem;
use api::problem::Kind;
use rustls::pki_types::CertificateDer;
use tokio::net::unix::UCred;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A process of this host that may open the socket.
    Process {
        /// Its user.
        uid: u32,
        /// Its number, where the kernel knows one.
        pid: Option<i32>,
    },
    /// Anybody on this host, over TCP without a certificate.
    Local(SocketAddr),
    /// The owner of a certificate that an authority of ours has signed.
    Certified {
        /// The common name, then the alternative names.
        names: Arc<[String]>,
        /// Where from.
        address: SocketAddr,
    },
    /// A connection that tells nothing.
    Unknown,
}

impl Caller {
    /// The process at the other end of a Unix socket.
    pub(super) fn process(peer: UCred) -> Self {
        Self::Process { uid: peer.uid(), pid: peer.pid() }
    }

    /// Who showed a certificate, or who was not asked for one.
    pub(super) fn over_tls(shown: Option<&[CertificateDer<'_>]>, address: SocketAddr) -> Self {
        match shown.and_then(<[_]>::first) {
            Some(certificate) => Self::Certified { names: names(certificate).into(), address },
            None => Self::Local(address),
        }
    }

    /// Whether calls that change something are for this caller; `operators`
    /// are the names in certificates for which they are, `None`: all.
    pub(super) fn may_change(&self, operators: Option<&[String]>) -> Result<(), Problem> {
        let names = match self {
            Self::Process { .. } | Self::Local(_) => return Ok(()),
            Self::Certified { names, .. } => names,
            Self::Unknown => {
                return Err(Problem::new(Kind::Denied, "this connection", "does not say who calls")
                    .hint("use the socket of the daemon"));
            }
        };
        let Some(operators) = operators else { return Ok(()) };
        if names.iter().any(|name| operators.contains(name)) {
            return Ok(());
        }
        let denied = |object: String| Problem::new(Kind::Denied, object, "may look, and change nothing");
        Err(match names.first() {
            Some(name) => denied(format!("certificate {name}")).hint(format!(
                "to let it, add {name:?} to `operators` of `tls` in section [api] of this node's configuration \
                 and reload it there"
            )),
            None => denied("a certificate without names".to_owned())
                .hint("have one made with a common name, and add the name to `operators` of `tls` in [api]"),
        })
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { uid, pid: Some(pid) } => write!(f, "uid {uid} pid {pid}"),
            Self::Process { uid, pid: None } => write!(f, "uid {uid} pid unknown"),
            Self::Local(address) => write!(f, "{address}"),
            Self::Certified { names, address } => {
                let name = names.first().map_or("without names", String::as_str);
                write!(f, "certificate {name} from {address}")
            }
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// The names that a certificate gives its owner: common names of the subject,
/// then alternative names (DNS, mail, URI, address) as text.
///
/// Its authority answers for them, so each counts as much as the other. One
/// that cannot be read gives none.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return vec![] };
    let subject = certificate.subject().iter_common_name();
    let mut names: Vec<String> = subject.filter_map(|name| name.as_str().ok().map(str::to_owned)).collect();
    if let Ok(Some(others)) = certificate.subject_alternative_name() {
        names.extend(others.value.general_names.iter().filter_map(alternative));
    }
    names.retain(|name| !name.trim().is_empty());
    names
}

fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*octets).map(IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certified(params: &CertificateParams) -> Caller {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Caller::over_tls(Some(&[certificate.der().clone()]), "192.0.2.9:4000".parse().unwrap())
    }

    fn named(name: &str, others: &[&str]) -> Caller {
        let mut params =
            CertificateParams::new(others.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        certified(&params)
    }

    fn may_change(caller: &Caller, operators: &[&str]) -> Result<(), Problem> {
        let operators: Vec<String> = operators.iter().map(|name| (*name).to_owned()).collect();
        caller.may_change(Some(&operators))
    }

    #[test]
    fn any_name_of_a_certificate_makes_an_operator_and_nothing_else_does() {
        let alice = named("alice", &["alice.example.org", "192.0.2.9", "fd00::9"]);
        for (names, may) in [
            (&["alice"][..], true),
            (&["bob", "alice.example.org"], true),
            (&["192.0.2.9"], true),
            (&["fd00::9"], true),
            (&[], false),
            (&["Alice"], false),
            (&["alic"], false),
            (&["alice "], false),
            (&["example.org"], false),
            (&["*"], false),
        ] {
            assert_eq!(may_change(&alice, names).is_ok(), may, "{names:?}");
        }
    }

    #[test]
    fn where_nobody_is_named_whoever_has_a_certificate_is_an_operator() {
        assert!(named("bob", &[]).may_change(None).is_ok());
        assert!(named("", &[]).may_change(None).is_ok());
        assert!(Caller::Unknown.may_change(None).is_err());
    }

    #[test]
    fn names_of_mail_and_uri_count_too() {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names = vec![
            SanType::URI("spiffe://cluster/ci".try_into().unwrap()),
            SanType::Rfc822Name("ops@example.org".try_into().unwrap()),
        ];
        let caller = certified(&params);
        assert!(may_change(&caller, &["ops@example.org"]).is_ok());
        assert!(may_change(&caller, &["spiffe://cluster/ci"]).is_ok());
        assert_eq!(caller.to_string(), "certificate spiffe://cluster/ci from 192.0.2.9:4000");
    }

    #[test]
    fn who_is_denied_is_told_the_name_and_the_key() {
        let denied = may_change(&named("bob", &[]), &["alice"]).unwrap_err();
        assert_eq!(denied.kind, Kind::Denied);
        assert_eq!(
            denied.to_string(),
            "certificate bob: may look, and change nothing; to let it, add \"bob\" to `operators` of `tls` in \
             section [api] of this node's configuration and reload it there"
        );
        let nameless = may_change(&named("", &[]), &[""]).unwrap_err();
        assert!(nameless.to_string().starts_with("a certificate without names: may look"), "{nameless}");
        assert!(may_change(&Caller::Unknown, &["alice"]).is_err());
    }

    #[test]
    fn who_is_on_this_host_is_an_operator() {
        let local = Caller::over_tls(None, "127.0.0.1:4000".parse().unwrap());
        assert_eq!(local.to_string(), "127.0.0.1:4000");
        assert!(may_change(&local, &[]).is_ok());
        let process = Caller::Process { uid: 0, pid: Some(7) };
        assert_eq!(process.to_string(), "uid 0 pid 7");
        assert!(may_change(&process, &[]).is_ok());
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert_eq!(names(&CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x00])), Vec::<String>::new());
    }
}
