//! Connections that come about: dialled or accepted.

use std::net::SocketAddr;

use bgp::conn::{ConnId, Endpoints};
use bgp::peer::Event;
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::PeerTask;
use crate::config::Secret;
use crate::tasks::conn::Conn;

impl PeerTask {
    /// True when the peer is in another AS.
    pub(super) fn external(&self) -> bool {
        let machine = self.machine.config();
        machine.peer_as.is_external(machine.local_as)
    }

    pub(super) fn accept(&mut self, stream: TcpStream, remote: SocketAddr, key: Option<Secret>) {
        self.stay.came = true;
        if let Err(error) = crate::tasks::socket::prepare_accepted(&stream, &self.config, self.external()) {
            warn!(peer = %self.config.name(), %error, "connection refused: its socket options cannot be set");
            return;
        }
        self.accepted += 1;
        self.keys.connected(key);
        self.add(ConnId::Accepted(self.accepted), stream, Some(remote), Event::Accepted);
    }

    pub(super) fn dialled(&mut self, id: ConnId, result: std::io::Result<TcpStream>) {
        self.dialing = None;
        match result {
            Ok(stream) => {
                self.keys.connected(self.keys.to_dial());
                self.add(id, stream, None, Event::Dialled);
            }
            Err(error) => {
                self.keys.dial_failed();
                self.handle(Event::DialFailed(id, error.to_string()));
            }
        }
    }

    /// A new connection: the machine is told of it and may refuse it at once.
    fn add(
        &mut self,
        id: ConnId,
        stream: TcpStream,
        remote: Option<SocketAddr>,
        event: impl FnOnce(ConnId, Endpoints) -> Event,
    ) {
        let remote = remote.unwrap_or_else(|| self.config.socket_address());
        let conn = Conn::new(stream);
        match conn.local() {
            Ok(local) => {
                self.conns.push((id, conn));
                self.handle(event(id, Endpoints { local, remote }));
            }
            // The peer was gone before we looked.
            Err(error) if id.is_dialled() => self.handle(Event::DialFailed(id, error.to_string())),
            Err(error) => debug!(peer = %self.config.name(), %error, "connection gone before it was used"),
        }
    }
}
