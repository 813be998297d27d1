//! What happens in the kernel: links, addresses and routes, as events.
//!
//! The watcher subscribes first and dumps then, so nothing falls between. Its
//! socket is read only while the reader keeps up; what the kernel cannot queue
//! meanwhile is an overrun, and after one the watcher dumps again and says
//! [`KernelEvent::Resync`]. So a slow reader costs bounded memory.

use std::io;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use net::Prefix;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::MulticastGroup;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::echo::drop_echo;
use crate::links::{Link, LinkKind};
use crate::msg::{RTM_DELNEXTHOP, RTM_DELROUTE, RTM_NEWNEXTHOP, RTM_NEWROUTE, parse_nexthop, parse_route};
use crate::socket::{Heard, for_each_message};

/// Events that may wait for the reader.
const EVENTS: usize = 1024;
/// Bytes read at once.
const READ: usize = 64 << 10;
/// Not in libc: the group of nexthop objects (linux/rtnetlink.h).
const RTNLGRP_NEXTHOP: u32 = 32;
/// Times that a dump is tried before the watcher gives up.
const DUMPS: usize = 5;

/// Something that happened in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelEvent {
    /// A link came or changed.
    Link(Link),
    /// The link with this index is gone, and its addresses with it.
    LinkGone(u32),
    /// A link has an address. IPv6 addresses that are still being checked for
    /// duplicates are told of when the check is done.
    Address {
        /// The link.
        index: u32,
        /// The address itself, with host bits.
        address: IpAddr,
        /// Length of its subnet in bits.
        prefix_len: u8,
    },
    /// A link has lost an address.
    AddressGone {
        /// The link.
        index: u32,
        /// The address itself.
        address: IpAddr,
        /// Length of its subnet in bits.
        prefix_len: u8,
    },
    /// A route came, changed or went; never the echo of our own writes.
    Route {
        /// Its destination.
        prefix: Prefix,
        /// Who made it (`rtm_protocol`).
        protocol: u8,
        /// Its table.
        table: u32,
        /// Its metric.
        metric: u32,
        /// True when it went.
        gone: bool,
    },
    /// Somebody else made, changed or deleted the nexthop object with this id.
    NextHop(u32),
    /// Events were lost; this is what there is now: every link and address.
    /// Routes are not among them.
    Resync(Vec<KernelEvent>),
}

/// How to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchConfig {
    /// Port id of the FIB writer ([`crate::Fib::port`]), whose routes are not
    /// told of.
    pub own_port: Option<u32>,
    /// Receive buffer in bytes: how much may happen before events are lost.
    pub receive_buffer: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { own_port: None, receive_buffer: 4 << 20 }
    }
}

/// Why the watcher could not start.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// No netlink socket.
    #[error("netlink socket for events: {0}; check that the process may open AF_NETLINK sockets")]
    Socket(#[source] io::Error),
    /// Links or addresses could not be read.
    #[error("reading links and addresses from the kernel: {0}; try again, and see the kernel's log")]
    Dump(#[source] rtnetlink::Error),
}

/// Starts to watch the namespace of the calling thread: gives every link and
/// address there is, and then what happens. The channel closes when the
/// kernel can no longer be read; the log says why.
pub async fn start(
    config: WatchConfig,
) -> Result<(Vec<KernelEvent>, mpsc::Receiver<KernelEvent>), WatchError> {
    let socket = subscribe(&config).map_err(WatchError::Socket)?;
    let (connection, handle, _) = rtnetlink::new_connection().map_err(WatchError::Socket)?;
    tokio::spawn(connection);
    let mut watcher = Watcher { socket, handle, own_port: config.own_port, read: Vec::with_capacity(READ) };
    let snapshot = watcher.dump().await?;
    let (outbox, events) = mpsc::channel(EVENTS);
    tokio::spawn(async move {
        if let Err(error) = watcher.run(outbox).await {
            tracing::error!(%error, "kernel watcher ended; restart routed");
        }
    });
    Ok((snapshot, events))
}

fn subscribe(config: &WatchConfig) -> io::Result<TokioSocket> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ];
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    // Without CAP_NET_ADMIN the default stays; overruns are then likelier, and repaired.
    if let Err(error) = setsockopt(socket.socket_ref(), sockopt::RcvBufForce, &config.receive_buffer) {
        tracing::debug!(%error, "netlink receive buffer stays at the default");
    }
    if let Some(port) = config.own_port
        && let Err(error) = drop_echo(socket.socket_ref(), port)
    {
        tracing::debug!(%error, "the echo of our own routes is sorted out after it was read");
    }
    let mask = groups.iter().map(|group| 1 << (*group as u32 - 1)).sum();
    socket.socket_mut().bind(&SocketAddr::new(0, mask))?;
    // Kernels before 5.3 have no such group, and no objects either.
    if let Err(error) = socket.socket_mut().add_membership(RTNLGRP_NEXTHOP) {
        tracing::debug!(%error, "nexthop objects are not watched");
    }
    Ok(socket)
}

/// What one read gave.
enum Read {
    Events(Vec<KernelEvent>),
    Overrun,
}

struct Watcher {
    socket: TokioSocket,
    handle: rtnetlink::Handle,
    own_port: Option<u32>,
    read: Vec<u8>,
}

impl Watcher {
    /// Reads and tells until nobody listens.
    async fn run(&mut self, outbox: mpsc::Sender<KernelEvent>) -> Result<(), WatchError> {
        loop {
            let events = match self.read().await.map_err(WatchError::Socket)? {
                Read::Events(events) => events,
                Read::Overrun => vec![KernelEvent::Resync(self.dump().await?)],
            };
            for event in events {
                if outbox.send(event).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Waits for a datagram and reads it.
    async fn read(&mut self) -> io::Result<Read> {
        loop {
            self.read.clear();
            match self.socket.recv(&mut self.read).await {
                Ok(()) => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Read::Overrun),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Read::Events(events_of(&self.read, self.own_port)))
    }

    /// Every link, then every address.
    async fn dump(&mut self) -> Result<Vec<KernelEvent>, WatchError> {
        for _ in 1..DUMPS {
            match self.try_dump().await {
                Ok(events) => return Ok(events),
                Err(error) => tracing::warn!(%error, "reading links and addresses failed, trying again"),
            }
        }
        self.try_dump().await.map_err(WatchError::Dump)
    }

    async fn try_dump(&mut self) -> Result<Vec<KernelEvent>, rtnetlink::Error> {
        let mut events = Vec::new();
        let mut links = self.handle.link().get().execute();
        while let Some(link) = links.try_next().await? {
            events.extend(link_event(&link));
        }
        let mut addresses = self.handle.address().get().execute();
        while let Some(address) = addresses.try_next().await? {
            events.extend(address_event(&address, false));
        }
        Ok(events)
    }
}

/// What a datagram of the kernel tells, in its order; nothing of routes and
/// nexthop objects that the socket `own_port` wrote. What is not understood
/// is passed over.
pub fn events_of(datagram: &[u8], own_port: Option<u32>) -> Vec<KernelEvent> {
    let mut events = Vec::new();
    for_each_message(datagram, &mut |heard| events.extend(event_of(heard, own_port)));
    events
}

/// The event in a message, if it is one that routed cares for.
fn event_of(heard: &Heard<'_>, own_port: Option<u32>) -> Option<KernelEvent> {
    if heard.kind == RTM_NEWROUTE || heard.kind == RTM_DELROUTE {
        return if own_port == Some(heard.port) { None } else { route_event(heard) };
    }
    if heard.kind == RTM_NEWNEXTHOP || heard.kind == RTM_DELNEXTHOP {
        let seen = parse_nexthop(heard.payload).filter(|_| own_port != Some(heard.port));
        return seen.map(|seen| KernelEvent::NextHop(seen.id));
    }
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(heard.bytes)
        .inspect_err(|error| tracing::debug!(%error, kind = heard.kind, "netlink message not understood"))
        .ok()?;
    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => link_event(&link),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => gone_event(&link),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address)) => {
            address_event(&address, false)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(address)) => {
            address_event(&address, true)
        }
        _ => None,
    }
}

fn route_event(heard: &Heard<'_>) -> Option<KernelEvent> {
    let seen = parse_route(heard.payload)?;
    // The local table holds what the kernel derives from addresses.
    (seen.table != u32::from(libc::RT_TABLE_LOCAL)).then_some(KernelEvent::Route {
        prefix: seen.key.prefix,
        protocol: seen.protocol,
        table: seen.table,
        metric: seen.key.metric,
        gone: heard.kind == RTM_DELROUTE,
    })
}

/// A bridge also speaks of its ports, in messages of the bridge family, which
/// say nothing new and whose `RTM_DELLINK` is not the end of the link.
fn is_about_link(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

fn gone_event(message: &LinkMessage) -> Option<KernelEvent> {
    is_about_link(message).then_some(KernelEvent::LinkGone(message.header.index))
}

fn link_event(message: &LinkMessage) -> Option<KernelEvent> {
    if !is_about_link(message) {
        return None;
    }
    let flags = message.header.flags;
    let kind = if flags.contains(LinkFlags::Loopback) { LinkKind::Loopback } else { LinkKind::Other };
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Running),
        mtu: 0,
        kind,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::LinkInfo(infos) => link.kind = kind_of(infos).unwrap_or(link.kind),
            _ => {}
        }
    }
    Some(KernelEvent::Link(link))
}

pub(crate) fn kind_of(infos: &[LinkInfo]) -> Option<LinkKind> {
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(InfoKind::Bridge) => Some(LinkKind::Bridge),
        LinkInfo::Kind(InfoKind::Veth) => Some(LinkKind::Veth),
        _ => None,
    })
}

fn address_event(message: &AddressMessage, gone: bool) -> Option<KernelEvent> {
    // Tentative: not usable yet; the kernel speaks again when it is.
    if !gone && message.header.flags.contains(AddressHeaderFlags::Tentative) {
        return None;
    }
    let address = own_address(message)?;
    let (index, prefix_len) = (message.header.index, message.header.prefix_len);
    Some(if gone {
        KernelEvent::AddressGone { index, address, prefix_len }
    } else {
        KernelEvent::Address { index, address, prefix_len }
    })
}

/// The address that a link has by a message. On point-to-point links
/// `IFA_LOCAL` is ours and `IFA_ADDRESS` the peer's.
pub(crate) fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}
