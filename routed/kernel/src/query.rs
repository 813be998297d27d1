//! Questions to the kernel outside the daemon's life: the default interface,
//! and what routed left behind.

use std::io;

use net::{Family, Prefix};

use crate::msg::{Content, Messages, RouteKey, Seen};
use crate::route::{NextHops, RouteOwner, Target};
use crate::socket::RouteSocket;

/// The main table, where the default route is.
const MAIN: u32 = libc::RT_TABLE_MAIN as u32;
/// Receive buffer in bytes.
const BUFFER: usize = 1 << 20;
/// Messages in one send.
const SEND: usize = 256;

/// Why the kernel could not be asked, or did not obey.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No netlink socket.
    #[error("netlink socket for routes: {0}; check that the process may open AF_NETLINK sockets")]
    Socket(#[source] io::Error),
    /// The table could not be read.
    #[error("kernel table {table}: reading routes: {source}; check the table number")]
    Dump {
        /// The table.
        table: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// A route could not be removed.
    #[error("kernel table {table}: removing {prefix}: {source}; run as root, or with CAP_NET_ADMIN")]
    Remove {
        /// The table.
        table: u32,
        /// The first route that stayed.
        prefix: Prefix,
        /// What the kernel said.
        source: io::Error,
    },
    /// Routes were removed, and there are routes again.
    #[error(
        "kernel table {table}: {prefix} is there again; stop routed, and what else writes it, and try again"
    )]
    Left {
        /// The table.
        table: u32,
        /// The first route that is there.
        prefix: Prefix,
    },
}

/// A route of routed in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRoute {
    /// Its destination.
    pub prefix: Prefix,
    /// Its metric.
    pub metric: u32,
    /// Whose it is.
    pub owner: RouteOwner,
    /// Where it leads; `None` for a shape that routed does not write.
    pub target: Option<Target>,
}

/// Index of the interface that the default route leaves by: the IPv4 one with
/// the lowest metric in the main table, else the IPv6 one. `None` when there
/// is no default route.
pub fn default_interface() -> Result<Option<u32>, QueryError> {
    let mut socket = RouteSocket::open(BUFFER).map_err(QueryError::Socket)?;
    for family in Family::ALL {
        let seen = socket.dump(family, MAIN, 0).map_err(|source| QueryError::Dump { table: MAIN, source })?;
        let defaults = seen.iter().filter(|seen| seen.key.prefix.is_default());
        let usable = defaults.filter_map(|seen| Some((seen.key.metric, interface_of(seen)?)));
        if let Some((_, index)) = usable.min_by_key(|(metric, _)| *metric) {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

fn interface_of(seen: &Seen) -> Option<u32> {
    match &seen.target {
        Some(Target::Via(hops)) => first_interface(hops),
        _ => None,
    }
}

fn first_interface(hops: &NextHops) -> Option<u32> {
    hops.hops().iter().map(|hop| hop.interface).find(|index| *index != 0)
}

/// Every route in the table with one of our four protocol numbers.
pub fn dump_owned(table: u32) -> Result<Vec<OwnedRoute>, QueryError> {
    let mut socket = RouteSocket::open(BUFFER).map_err(QueryError::Socket)?;
    read_owned(&mut socket, table)
}

/// Removes every route in the table with one of our four protocol numbers, the
/// nexthop objects with ours, and nothing else; gives how many. The daemon must not be running.
pub fn cleanup(table: u32) -> Result<usize, QueryError> {
    let mut socket = RouteSocket::open(BUFFER).map_err(QueryError::Socket)?;
    let routes = read_owned(&mut socket, table)?;
    let mut messages = Messages::default();
    for batch in routes.chunks(SEND) {
        messages.clear();
        for route in batch {
            messages.delete(table, RouteKey { prefix: route.prefix, metric: route.metric }, route.owner);
        }
        let remove = |prefix, source| QueryError::Remove { table, prefix, source };
        let answers = socket.exchange(&mut messages).map_err(|source| remove(batch[0].prefix, source))?;
        let real = |errno| !matches!(errno, nix::errno::Errno::ESRCH | nix::errno::Errno::ENOENT);
        if let Some((place, errno, _)) = answers.errors.into_iter().find(|(_, errno, _)| real(*errno)) {
            return Err(remove(batch[place].prefix, errno.into()));
        }
    }
    remove_objects(&mut socket, table)?;
    match read_owned(&mut socket, table)?.first() {
        None => Ok(routes.len()),
        Some(route) => Err(QueryError::Left { table, prefix: route.prefix }),
    }
}

/// Removes the nexthop objects with our protocol number: groups go before their
/// members, because the kernel deletes a group with its last member.
fn remove_objects(socket: &mut RouteSocket, table: u32) -> Result<(), QueryError> {
    let read = |source| QueryError::Dump { table, source };
    // Old kernels have none.
    let Ok(mut seen) = socket.dump_nexthops() else { return Ok(()) };
    seen.retain(|seen| seen.protocol == RouteOwner::Own.protocol());
    seen.sort_by_key(|seen| matches!(seen.content, Some(Content::Hop(_))));
    let mut messages = Messages::default();
    for batch in seen.chunks(SEND) {
        messages.clear();
        for seen in batch {
            messages.delete_nexthop(seen.id);
        }
        let answers = socket.exchange(&mut messages).map_err(read)?;
        let is_gone = |errno: &nix::errno::Errno| *errno == nix::errno::Errno::ENOENT;
        if let Some((_, errno, _)) = answers.errors.into_iter().find(|(_, errno, _)| !is_gone(errno)) {
            return Err(read(errno.into()));
        }
    }
    Ok(())
}

fn read_owned(socket: &mut RouteSocket, table: u32) -> Result<Vec<OwnedRoute>, QueryError> {
    let mut routes = Vec::new();
    for family in Family::ALL {
        for owner in RouteOwner::ALL {
            let seen = socket
                .dump(family, table, owner.protocol())
                .map_err(|source| QueryError::Dump { table, source })?;
            routes.extend(seen.into_iter().map(|seen| OwnedRoute {
                prefix: seen.key.prefix,
                metric: seen.key.metric,
                owner,
                target: seen.target,
            }));
        }
    }
    Ok(routes)
}
