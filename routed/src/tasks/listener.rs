//! The sockets on which BGP is accepted.
//!
//! TCP-MD5 and TCP-AO keys (RFC 2385, RFC 5925) are set on the socket before
//! it listens, or the kernel would complete a handshake without one; the TTL
//! is 255 there so that the SYN-ACK passes a peer's GTSM check (RFC 5082 §3).
//! Whose key the kernel does not take cannot dial in.
//!
//! Strangers do not come as far as the speaker: the kernel drops their SYNs
//! (see [`Known::guard`]), and where it does not, their connections are closed
//! as they are accepted, with a reset, so that nothing of them stays.

mod ao;
mod keys;
mod known;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use net::{Family, Prefix};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tracing::warn;

use self::ao::AoKeys;
use self::keys::{Keys, TURN};
pub(super) use self::known::Known;
use super::speaker::SpeakerCommand;
use crate::config::{Bgp, Secret};
use crate::observe::damp::Damper;

/// How many connections may wait to be accepted. Those of strangers wait here
/// too, so it is more than the peers of a node need.
const BACKLOG: i32 = 1024;
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

/// How many connections of strangers were closed since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers(Arc<AtomicU64>);

impl Strangers {
    /// The number.
    pub(crate) fn closed(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The open sockets and the tasks that accept on them.
pub(crate) struct Listeners {
    sockets: Vec<(SocketAddr, Socket)>,
    tasks: Vec<AbortHandle>,
    keys: Keys,
    ao: AoKeys,
    /// Those whose keys the kernel did not take.
    unkeyed: BTreeSet<Prefix>,
    known: watch::Sender<Known>,
    strangers: Strangers,
}

impl Listeners {
    /// Opens the sockets, with the keys on them. Nobody can connect before
    /// [`Listeners::listen`].
    pub(crate) fn bind(bgp: &Bgp) -> Result<Self, ListenError> {
        let keys = Keys::of(bgp);
        let mut sockets = Vec::with_capacity(bgp.listen.len());
        for &address in &bgp.listen {
            let socket = open(address, &keys).map_err(|error| ListenError { address, error })?;
            sockets.push((address, socket));
        }
        let mut listeners = Self {
            sockets,
            tasks: Vec::new(),
            keys,
            ao: AoKeys::default(),
            unkeyed: BTreeSet::new(),
            known: watch::Sender::new(Known::of(bgp)),
            strangers: Strangers::default(),
        };
        listeners.configure_ao(AoKeys::of(bgp));
        Ok(listeners)
    }

    /// Listens, and hands connections to the speaker from now on.
    pub(super) fn listen(&mut self, speaker: &mpsc::Sender<SpeakerCommand>) -> Result<(), ListenError> {
        for (address, socket) in &self.sockets {
            let listen = || {
                socket.listen(BACKLOG)?;
                TcpListener::from_std(socket.try_clone()?.into())
            };
            let listener = listen().map_err(|error| ListenError { address: *address, error })?;
            let door = Door {
                listener,
                known: self.known.subscribe(),
                strangers: self.strangers.clone(),
                speaker: speaker.clone(),
            };
            self.tasks.push(tokio::spawn(door.accept()).abort_handle());
        }
        Ok(())
    }

    /// The count of strangers.
    pub(crate) fn strangers(&self) -> Strangers {
        self.strangers.clone()
    }

    /// Takes over the peers and keys of a configuration, while the sockets
    /// are open.
    pub(super) fn configure(&mut self, bgp: &Bgp) {
        self.known.send_replace(Known::of(bgp));
        let keys = Keys::of(bgp);
        let gone: Vec<Prefix> = self.keys.gone(&keys).collect();
        for who in gone {
            self.put(who, |socket| set_key(socket, who, b""));
        }
        self.configure_ao(AoKeys::of(bgp));
        let changed: Vec<Prefix> = keys.changed(&self.keys).collect();
        self.keys.replace(keys);
        for who in changed {
            self.put_current(who);
        }
    }

    /// TCP-AO keys have ids: all those of a peer are on the socket together.
    fn configure_ao(&mut self, keys: AoKeys) {
        let (gone, new) = (self.ao.changed(&keys), keys.changed(&self.ao));
        self.ao = keys;
        for (who, keys) in gone {
            self.put(who, |socket| {
                for key in &keys {
                    ao::end(socket, who, key);
                }
                Ok(())
            });
        }
        for (who, keys) in new {
            self.put(who, |socket| keys.iter().try_for_each(|key| ao::add(socket, who, key)));
        }
    }

    /// Puts the TCP-MD5 key on the sockets whose turn it is.
    fn put_current(&mut self, who: Prefix) {
        let key = self.keys.current(who).to_vec();
        self.put(who, |socket| set_key(socket, who, &key));
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
        let several: Vec<Prefix> = self.keys.several().collect();
        for who in several {
            self.put_current(who);
        }
    }

    /// The key with which a connection from this address is accepted now.
    pub(super) fn key_of(&self, address: IpAddr) -> Option<&Secret> {
        self.keys.of_address(address)
    }

    /// True where the kernel did not take the key that whoever dials from
    /// this address must have: the connection may be anybody's.
    pub(super) fn is_unkeyed(&self, address: IpAddr) -> bool {
        self.unkeyed.iter().any(|who| who.contains(address))
    }

    fn put(&mut self, who: Prefix, set: impl Fn(&Socket) -> io::Result<()>) {
        let of_family = self.sockets.iter().filter(|(at, _)| Family::of(at.ip()) == who.family());
        if let Some(error) = of_family.filter_map(|(_, socket)| set(socket).err()).last() {
            warn!(peer = %who, %error, "key not set on the listening socket; nobody can dial in from there");
            self.unkeyed.insert(who);
        } else {
            self.unkeyed.remove(&who);
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

/// A listening socket, and who may come in.
struct Door {
    listener: TcpListener,
    known: watch::Receiver<Known>,
    strangers: Strangers,
    speaker: mpsc::Sender<SpeakerCommand>,
}

impl Door {
    async fn accept(self) {
        let (mut failing, mut told) = (false, Damper::default());
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => {
                    failing = false;
                    let address = remote.ip().to_canonical();
                    if !self.known.borrow().admits(address) {
                        self.turn_away(&stream, address, &mut told);
                    } else if self.speaker.send(SpeakerCommand::Accepted(stream, remote)).await.is_err() {
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

    /// Has the connection of a stranger closed with a reset, for an orderly
    /// end would stay with the kernel for as long as the stranger likes.
    fn turn_away(&self, stream: &TcpStream, address: IpAddr, told: &mut Damper) {
        self.strangers.0.fetch_add(1, Ordering::Relaxed);
        // One that has gone already has nothing left to reset.
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        if let Some(unsaid) = told.admit(Instant::now(), "") {
            warn!(%address, unsaid, "connection closed: the address is that of no peer");
        }
    }
}
