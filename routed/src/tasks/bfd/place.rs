//! Where a session runs: over which link, or between which addresses.

use std::fmt;
use std::io;
use std::net::{IpAddr, UdpSocket};

use bfd::Path;
use kernel::Links;

use super::socket::{self, MANY_HOPS};
use super::{Client, Want};

/// What one receiving socket serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// One hop: the link of this index, in one family.
    Link { index: u32, v4: bool },
    /// Many hops: all links, in one family.
    Routed { v4: bool },
}

impl Place {
    pub(super) fn of(path: Path) -> Self {
        let v4 = path.remote().is_ipv4();
        match path {
            Path::OneHop { interface, .. } => Self::Link { index: interface, v4 },
            Path::ManyHops { .. } => Self::Routed { v4 },
        }
    }
}

/// Why there is no session where one is wanted: what is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// A link of ours with the peer's subnet.
    Link,
    /// A route to the peer.
    Route,
    /// The own address that is configured.
    Source(IpAddr),
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("no link leads to it; where routers are between, set multihop"),
            Self::Route => f.write_str("no route leads to it"),
            Self::Source(source) => write!(f, "no link has the source address {source}"),
        }
    }
}

/// The path of a client's session, by what links there are; `before`: where
/// it ran until now.
pub(super) fn place(want: &Want, before: Option<Path>, links: &Links) -> Result<Path, Absence> {
    match (want.client, want.settings.minimum_ttl) {
        (Client::Bgp(remote, _), Some(_)) => many_hops(remote, want.source, before, links),
        (Client::Bgp(remote, Some(scope)), None) => one_hop(links.connected_in(remote, scope), remote, links),
        (Client::Bgp(remote, None), None) => {
            let there = |path| match path {
                Path::OneHop { interface, .. } => Some(interface),
                Path::ManyHops { .. } => None,
            };
            one_hop(links.connected(remote).or(before.and_then(there)), remote, links)
        }
        (Client::Rip(interface, remote), _) => one_hop(Some(interface), remote, links),
    }
}

/// Over the link, or over the one before where that is there still.
fn one_hop(interface: Option<u32>, remote: IpAddr, links: &Links) -> Result<Path, Absence> {
    let interface = interface.filter(|index| links.by_index(*index).is_some()).ok_or(Absence::Link)?;
    Ok(Path::OneHop { interface, remote })
}

/// From the own address that is configured, or the one before while it is
/// ours, or the one that the kernel would take: the session is that of two
/// addresses (RFC 5883 §4.1), so it does not move with the route.
fn many_hops(
    remote: IpAddr,
    source: Option<IpAddr>,
    before: Option<Path>,
    links: &Links,
) -> Result<Path, Absence> {
    let before = before.and_then(|path| match path {
        Path::ManyHops { local, .. } if links.is_local(local) => Some(local),
        Path::ManyHops { .. } | Path::OneHop { .. } => None,
    });
    let local = match source.or(before) {
        Some(local) if links.is_local(local) => local,
        Some(source) => return Err(Absence::Source(source)),
        None => towards(remote).map_err(|_| Absence::Route)?,
    };
    Ok(Path::ManyHops { local, remote })
}

/// The address that the kernel sends from to this one. Nothing is sent.
fn towards(remote: IpAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((socket::unspecified(remote.is_ipv4()), 0))?;
    socket.connect((remote, MANY_HOPS))?;
    Ok(socket.local_addr()?.ip())
}
