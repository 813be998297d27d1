//! Sockets to peers: dialled with, and after an accept set to, what the
//! configuration of the peer asks for.

use std::io;
use std::net::SocketAddr;

use kernel::sockopt::AoPeer;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use crate::config::{Peer, Secret};

/// DSCP class selector 6, network control, as a TOS octet (RFC 4271 Appendix E).
const CS6: u32 = 0xc0;

/// Dials a peer; with a TCP-MD5 key, if there is one (RFC 2385), or with its
/// TCP-AO keys (RFC 5925).
pub(super) async fn dial(peer: Peer, external: bool, key: Option<Secret>) -> io::Result<TcpStream> {
    let socket = if peer.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    prepare(&socket, &peer, external)?;
    if let Some(source) = peer.source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    if let Some(key) = &key {
        kernel::sockopt::set_tcp_md5(&socket, peer.address, None, key.expose())?;
    }
    for (index, key) in peer.tcp_ao.iter().enumerate() {
        let to = AoPeer { address: peer.address, prefix_length: None };
        kernel::sockopt::add_tcp_ao(&socket, to, key.raw(), index == 0)?;
    }
    let stream = socket.connect(peer.socket_address()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sets the options of a connection that the peer dialled.
pub(super) fn prepare_accepted(stream: &TcpStream, peer: &Peer, external: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    prepare(stream, peer, external)
}

/// TTL and traffic class. GTSM (RFC 5082): 255 out, and 255 less the hops in.
/// An external peer is on a link of ours unless the configuration says how far
/// away it may be.
fn prepare(socket: &impl std::os::fd::AsFd, peer: &Peer, external: bool) -> io::Result<()> {
    let options = SockRef::from(socket);
    let ttl = match (peer.ttl_security, peer.multihop) {
        (Some(_), _) => 255,
        (None, Some(hops)) => u32::from(hops),
        (None, None) if external => 1,
        (None, None) => 64,
    };
    if peer.address.is_ipv4() {
        options.set_ttl_v4(ttl)?;
        options.set_tos_v4(CS6)?;
    } else {
        options.set_unicast_hops_v6(ttl)?;
        options.set_tclass_v6(CS6)?;
    }
    if let Some(ttl) = peer.least_ttl() {
        kernel::sockopt::set_min_ttl(socket, ttl)?;
    }
    Ok(())
}
