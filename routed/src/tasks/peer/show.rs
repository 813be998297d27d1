//! What the task tells of its peer when it is asked.

use std::time::Instant;

use kernel::sockopt::TcpInfo;
use tracing::debug;

use super::PeerTask;
use crate::tasks::conn::Conn;
use crate::tasks::report::{PeerReport, Traffic};
use crate::tasks::table::post::Sent;

impl PeerTask {
    /// The peer as it is now.
    pub(super) fn report(&self) -> PeerReport {
        let report = PeerReport::new(&self.config, &self.machine.status(), Instant::now());
        let obstacle = self.obstacle.clone();
        PeerReport {
            key: self.keys.position(),
            last_error: obstacle.clone().or_else(|| report.last_error.clone()),
            traffic: self.traffic(),
            tcp: self.tcp(),
            told: self.session.as_ref().map_or_else(Sent::default, |session| session.sent),
            malformed: self.told.last_malformed().cloned(),
            obstacle,
            ..report
        }
    }

    /// Octets, and how many of them have yet to go over the session.
    fn traffic(&self) -> Traffic {
        let in_mailbox = self.session.as_ref().map_or(0, |session| session.mailbox.unsent());
        let unsent = in_mailbox + self.carrier().map_or(0, Conn::unsent);
        Traffic { unsent: unsent as u64, ..self.traffic }
    }

    /// What TCP says of the session's connection.
    fn tcp(&self) -> Option<TcpInfo> {
        let said = self.carrier()?.tcp();
        said.inspect_err(|error| debug!(peer = %self.config.name(), %error, "TCP_INFO not read")).ok()
    }

    /// The connection of the session.
    fn carrier(&self) -> Option<&Conn> {
        let session = self.session.as_ref()?;
        self.conns.iter().find(|(id, _)| *id == session.up.conn).map(|(_, conn)| conn)
    }
}
