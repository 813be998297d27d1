//! A door of the API: accepts connections, finds out who is there, and lets
//! in no more than there is room for.
//!
//! ```text
//!  listener ─► greeting (TLS handshake) ─► place ─► server
//! ```
//!
//! *In*: whoever connects. *Out*: [`Connection`]s whose other end is known.
//! Greetings have a time limit, and so many of them go on at once: when one
//! more comes, the oldest ends, so a flood of connections that say nothing
//! costs bounded memory and keeps out nobody who speaks.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::caller::Caller;
use super::certificates::Certificates;
use super::connection::Connection;
use crate::observe::damp::Damper;

/// So many connections are open at once, at each door.
const PLACES: usize = 256;
/// So many handshakes go on at once; a live client needs milliseconds for its own.
const GREETINGS: usize = 128;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long, and how many octets of it, is listened to a client after it was
/// turned away, so that it hears why.
const LINGER: Duration = Duration::from_secs(2);
const LEFTOVERS: usize = 16 << 10;
/// The pause after an accept that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait for the server to take them.
const WAITING: usize = 16;

/// Who is listened to, and how.
pub(super) enum Listener {
    /// Processes of this host.
    Unix(UnixListener),
    /// Anybody on this host.
    Tcp(TcpListener),
    /// Whoever the certificates say.
    Tls(TcpListener, Certificates),
}

/// Somebody who was not let in, and why.
struct TurnedAway {
    who: String,
    why: String,
}

type Greeted = Result<Connection, TurnedAway>;
/// Finds out who has come.
type Greeting = Pin<Box<dyn Future<Output = Greeted> + Send>>;

/// Opens the door; the connections come out of the channel until `stop`.
pub(super) fn open(listener: Listener, stop: CancellationToken) -> mpsc::Receiver<io::Result<Connection>> {
    let (out, connections) = mpsc::channel(WAITING);
    let door = Door {
        listener,
        out,
        places: Arc::new(Semaphore::new(PLACES)),
        greetings: JoinSet::new(),
        oldest: VecDeque::new(),
        told: Damper::default(),
    };
    tokio::spawn(async move {
        tokio::select! {
            () = door.run() => {}
            () = stop.cancelled() => {}
        }
    });
    connections
}

struct Door {
    listener: Listener,
    out: mpsc::Sender<io::Result<Connection>>,
    places: Arc<Semaphore>,
    greetings: JoinSet<Greeted>,
    /// The greetings that go on, in the order in which they began.
    oldest: VecDeque<AbortHandle>,
    told: Damper,
}

impl Door {
    async fn run(mut self) {
        let mut failing = false;
        // While it rests, handshakes go on, and what they hold comes free.
        let mut rests: Option<tokio::time::Instant> = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(rests.unwrap_or_else(tokio::time::Instant::now)), if rests.is_some() => {
                    rests = None;
                }
                came = accept(&self.listener), if rests.is_none() => match came {
                    Ok(greeting) => {
                        failing = false;
                        self.make_room();
                        self.oldest.push_back(self.greetings.spawn(greeting));
                    }
                    Err(error) => {
                        // Told once, not ten times a second for as long as it lasts.
                        if !std::mem::replace(&mut failing, true) {
                            warn!(%error, "api: cannot accept connections; trying on");
                        }
                        rests = Some(tokio::time::Instant::now() + PAUSE);
                    }
                },
                Some(greeted) = self.greetings.join_next() => {
                    if self.let_in(greeted).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Ends the oldest greetings where one more would be too many.
    fn make_room(&mut self) {
        self.oldest.retain(|greeting| !greeting.is_finished());
        while self.oldest.len() >= GREETINGS {
            if let Some(oldest) = self.oldest.pop_front() {
                oldest.abort();
                self.tell("somebody", "more handshakes at once than there is room for; the oldest gives way");
            }
        }
    }

    /// Hands a connection to the server; an error means that it has ended.
    async fn let_in(&mut self, greeted: Result<Greeted, JoinError>) -> Result<(), ()> {
        // One that gave way to others has been told of.
        let Ok(greeted) = greeted else { return Ok(()) };
        let connection = match greeted {
            Ok(connection) => connection,
            Err(TurnedAway { who, why }) => {
                self.tell(&who, &why);
                return Ok(());
            }
        };
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return self.out.send(Ok(connection.seated(place))).await.map_err(drop);
        }
        let who = connection.caller().to_string();
        self.tell(&who, &format!("{PLACES} connections are open and there may be no more"));
        Ok(())
    }

    fn tell(&mut self, who: &str, why: &str) {
        if let Some(unsaid) = self.told.admit(Instant::now(), why) {
            warn!(who, why, unsaid, "api: connection refused");
        }
    }
}

/// The next one who comes, still to be greeted. Nothing is lost when this is
/// dropped half-way.
async fn accept(listener: &Listener) -> io::Result<Greeting> {
    Ok(match listener {
        Listener::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            Box::pin(async move {
                let caller = stream.peer_cred().map_or(Caller::Unknown, Caller::process);
                Ok(Connection::new(stream, caller))
            })
        }
        Listener::Tcp(listener) => {
            let (stream, address) = accept_tcp(listener).await?;
            Box::pin(async move { Ok(Connection::new(stream, Caller::Local(address))) })
        }
        Listener::Tls(listener, certificates) => {
            let (stream, address) = accept_tcp(listener).await?;
            let certificates = certificates.clone();
            Box::pin(async move {
                let refused = |why: String| TurnedAway { who: address.to_string(), why };
                let server = certificates
                    .server()
                    .await
                    .ok_or_else(|| refused("there are no certificates".to_owned()))?;
                greet(stream, address, TlsAcceptor::from(server)).await.map_err(refused)
            })
        }
    })
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept().await?;
    // One that has gone already says so when it is read.
    let _ = stream.set_nodelay(true);
    Ok((stream, SocketAddr::new(address.ip().to_canonical(), address.port())))
}

/// The handshake, or why there is no connection.
async fn greet(stream: TcpStream, address: SocketAddr, acceptor: TlsAcceptor) -> Result<Connection, String> {
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream).into_fallible()).await {
        Ok(Ok(stream)) => {
            let caller = Caller::over_tls(stream.get_ref().1.peer_certificates(), address);
            Ok(Connection::new(stream, caller))
        }
        Ok(Err((error, stream))) => {
            // The alert is on its way; who is hung up on at once may never read it.
            let _ = tokio::time::timeout(LINGER, hear_out(stream)).await;
            Err(error.to_string())
        }
        Err(_) => Err(format!("no TLS handshake within {} s", HANDSHAKE.as_secs())),
    }
}

/// Ends our side and reads what is still coming, within limits.
async fn hear_out(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = stream.take(LEFTOVERS as u64);
    let mut buffer = [0; 1024];
    while matches!(rest.read(&mut buffer).await, Ok(read) if read > 0) {}
}
