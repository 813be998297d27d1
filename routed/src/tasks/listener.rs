//! The sockets on which BGP is accepted.
//!
//! TCP-MD5 keys (RFC 2385) are set on the listening socket, or the kernel
//! would complete a handshake without one; the TTL is 255 there so that the
//! SYN-ACK passes a peer's GTSM check (RFC 5082 §3).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::warn;

use super::speaker::SpeakerCommand;
use crate::config::{self, Bgp};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;
/// How long to wait after the system refused to accept, so as not to spin
/// when file descriptors run out.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("bgp.listen {address}: {error}{}", hint(error))]
pub struct ListenError {
    /// The address.
    address: SocketAddr,
    /// The system's answer.
    error: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another BGP daemon listens there, stop it or set bgp.listen",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "; this host does not have the address, correct bgp.listen",
        _ => "",
    }
}

/// The open sockets and the tasks that accept on them.
pub(crate) struct Listeners {
    sockets: Vec<Socket>,
    waiting: Vec<TcpListener>,
    tasks: Vec<AbortHandle>,
}

impl Listeners {
    /// Opens the sockets. Who connects waits until [`Listeners::accept`].
    pub(crate) fn bind(bgp: &Bgp) -> Result<Self, ListenError> {
        let mut listeners = Self { sockets: Vec::new(), waiting: Vec::new(), tasks: Vec::new() };
        for &address in &bgp.listen {
            let open = || {
                let socket = open(address, &bgp.peers)?;
                let listener = TcpListener::from_std(socket.try_clone()?.into())?;
                Ok((socket, listener))
            };
            let (socket, listener) = open().map_err(|error| ListenError { address, error })?;
            listeners.sockets.push(socket);
            listeners.waiting.push(listener);
        }
        Ok(listeners)
    }

    /// Hands connections to the speaker from now on.
    pub(super) fn accept(&mut self, speaker: &mpsc::Sender<SpeakerCommand>) {
        let tasks = self.waiting.drain(..).map(|listener| tokio::spawn(accept(listener, speaker.clone())));
        self.tasks.extend(tasks.map(|task| task.abort_handle()));
    }

    /// Sets the key of a peer that was added while the sockets are open.
    pub(super) fn admit(&self, peer: &config::Peer) {
        for socket in &self.sockets {
            if let Err(error) = set_key(socket, peer) {
                warn!(peer = %peer.address, %error, "TCP-MD5 key not set on the listening socket; the peer cannot dial in");
            }
        }
    }

    /// Removes the key of a peer.
    pub(super) fn forget(&self, address: IpAddr) {
        for socket in &self.sockets {
            // A peer without a key has none to remove.
            let _ = kernel::sockopt::set_tcp_md5(socket, address, None, b"");
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn open(address: SocketAddr, peers: &[config::Peer]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(255)?;
    } else {
        socket.set_ttl_v4(255)?;
    }
    for peer in peers {
        set_key(&socket, peer)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Sets a peer's key on a socket of the peer's family.
fn set_key(socket: &Socket, peer: &config::Peer) -> io::Result<()> {
    let Some(key) = &peer.password else { return Ok(()) };
    if (socket.domain()? == Domain::IPV4) != peer.address.is_ipv4() {
        return Ok(());
    }
    kernel::sockopt::set_tcp_md5(socket, peer.address, None, key.expose())
}

async fn accept(listener: TcpListener, speaker: mpsc::Sender<SpeakerCommand>) {
    let mut failing = false;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                failing = false;
                if speaker.send(SpeakerCommand::Accepted(stream, remote)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Told once, not ten times a second for as long as it lasts.
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "cannot accept connections; trying on");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
