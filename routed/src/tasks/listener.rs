//! The sockets on which BGP is accepted.
//!
//! TCP-MD5 keys (RFC 2385) are set on the listening socket, or the kernel
//! would complete a handshake without one; the TTL is 255 there so that the
//! SYN-ACK passes a peer's GTSM check (RFC 5082 §3).

mod keys;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use net::{Family, Prefix};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::warn;

use self::keys::{Keys, TURN};
use super::speaker::SpeakerCommand;
use crate::config::{Bgp, Secret};

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
    keys: Keys,
}

impl Listeners {
    /// Opens the sockets. Who connects waits until [`Listeners::accept`].
    pub(crate) fn bind(bgp: &Bgp) -> Result<Self, ListenError> {
        let keys = Keys::of(bgp);
        let mut listeners = Self { sockets: Vec::new(), waiting: Vec::new(), tasks: Vec::new(), keys };
        for &address in &bgp.listen {
            let open = || {
                let socket = open(address, &listeners.keys)?;
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

    /// Takes over the keys of a configuration, while the sockets are open.
    pub(super) fn configure(&mut self, bgp: &Bgp) {
        let keys = Keys::of(bgp);
        for who in self.keys.gone(&keys) {
            self.each(|socket| set_key(socket, who, b""));
        }
        for who in keys.changed(&self.keys) {
            self.each(|socket| set_key(socket, who, keys.current(who)));
        }
        self.keys.replace(keys);
    }

    /// When [`Listeners::turn`] is wanted; `None`: nobody has several keys.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        self.keys.next.filter(|_| self.keys.several().next().is_some())
    }

    /// Accepts with the next key of those who have several: a socket knows
    /// one key a peer. Sessions keep the key that they began with.
    pub(super) fn turn(&mut self, now: Instant) {
        self.keys.turn += 1;
        self.keys.next = Some(now + TURN);
        for who in self.keys.several() {
            self.each(|socket| set_key(socket, who, self.keys.current(who)));
        }
    }

    /// The key with which a connection from this address is accepted now.
    pub(super) fn key_of(&self, address: IpAddr) -> Option<&Secret> {
        self.keys.of_address(address)
    }

    fn each(&self, set: impl Fn(&Socket) -> io::Result<()>) {
        for error in self.sockets.iter().filter_map(|socket| set(socket).err()) {
            warn!(%error, "TCP-MD5 key not set on the listening socket; its peer cannot dial in");
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn open(address: SocketAddr, keys: &Keys) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(255)?;
    } else {
        socket.set_ttl_v4(255)?;
    }
    for who in keys.all() {
        set_key(&socket, who, keys.current(who))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Sets a key on a socket of the family; an empty one ends it.
fn set_key(socket: &Socket, who: Prefix, key: &[u8]) -> io::Result<()> {
    if (socket.domain()? == Domain::IPV4) != (who.family() == Family::Ipv4Unicast) {
        return Ok(());
    }
    let length = (!who.is_host()).then_some(who.len());
    match kernel::sockopt::set_tcp_md5(socket, who.address(), length, key) {
        // There was none to end.
        Err(_) if key.is_empty() => Ok(()),
        result => result,
    }
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
