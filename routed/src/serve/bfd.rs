//! `BfdService`: the sessions and for whom they are.

use std::net::IpAddr;
use std::time::Instant;

use api::v1::{self, bfd_service_server::BfdService};
use bfd::status::Discards;
use bfd::{Diag, Path, SessionStatus, State};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

use super::convert;
use crate::tasks::BfdCommand;
use crate::tasks::bfd::{BfdReport, Client};

pub(super) struct BfdOf {
    pub(super) bfd: mpsc::Sender<BfdCommand>,
}

#[tonic::async_trait]
impl BfdService for BfdOf {
    async fn list_sessions(
        &self,
        _: Request<v1::ListBfdSessionsRequest>,
    ) -> Result<Response<v1::ListBfdSessionsResponse>, Status> {
        let BfdReport { now, sessions, absent, strays } = report(&self.bfd).await?;
        let sessions = sessions.iter().map(|described| session(described, now));
        let absent = absent.iter().map(|(client, reason)| none(*client, reason));
        Ok(Response::new(v1::ListBfdSessionsResponse { sessions: sessions.chain(absent).collect(), strays }))
    }
}

async fn report(bfd: &mpsc::Sender<BfdCommand>) -> Result<BfdReport, Status> {
    let (reply, answer) = oneshot::channel();
    bfd.send(BfdCommand::Report(reply)).await.map_err(|_| convert::stopping())?;
    answer.await.map_err(|_| convert::stopping())
}

/// The session of a BGP peer, or why there is none; `None`: none is wanted.
pub(super) async fn of_peer(
    bfd: &mpsc::Sender<BfdCommand>,
    (address, scope): (IpAddr, Option<u32>),
) -> Result<Option<v1::BfdSession>, Status> {
    let BfdReport { now, sessions, absent, .. } = report(bfd).await?;
    let client = Client::Bgp(address, scope);
    let running = sessions.iter().find(|(_, _, clients)| clients.contains(&client));
    let absent = || absent.iter().find(|(other, _)| *other == client);
    Ok(running
        .map(|described| session(described, now))
        .or_else(|| absent().map(|(client, reason)| none(*client, reason))))
}

/// What is wanted and cannot be.
fn none(client: Client, reason: &str) -> v1::BfdSession {
    v1::BfdSession {
        peer: peer(client).to_string(),
        state: v1::BfdState::Down.into(),
        protocols: vec![protocol(client).into()],
        reason: Some(reason.to_owned()),
        ..v1::BfdSession::default()
    }
}

fn peer(client: Client) -> IpAddr {
    match client {
        Client::Bgp(peer, _) | Client::Rip(_, peer) => peer,
    }
}

fn protocol(client: Client) -> v1::Protocol {
    match client {
        Client::Bgp(..) => v1::Protocol::Bgp,
        Client::Rip(_, neighbor) if neighbor.is_ipv4() => v1::Protocol::Rip,
        Client::Rip(..) => v1::Protocol::Ripng,
    }
}

fn session(
    (status, interface, clients): &(SessionStatus, Option<String>, Vec<Client>),
    now: Instant,
) -> v1::BfdSession {
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let known = status.remote_discriminator != 0;
    v1::BfdSession {
        peer: status.path.remote().to_string(),
        interface: interface.clone(),
        local_address: match status.path {
            Path::OneHop { .. } => None,
            Path::ManyHops { local, .. } => Some(local.to_string()),
        },
        state: state(status.state).into(),
        remote_state: if known { state(status.remote_state) } else { v1::BfdState::Unspecified }.into(),
        protocols: clients.iter().map(|client| protocol(*client).into()).collect(),
        local_discriminator: status.local_discriminator,
        remote_discriminator: Some(status.remote_discriminator).filter(|_| known),
        tx_interval_us: micros(status.tx_interval),
        rx_interval_us: micros(status.rx_interval),
        detection_time_ms: known.then(|| micros(status.detection) / 1000),
        diagnostic: diagnostic(status.diag),
        remote_diagnostic: known.then(|| diagnostic(status.remote_diag)).flatten(),
        uptime_seconds: (status.state == State::Up)
            .then(|| now.saturating_duration_since(status.since).as_secs()),
        authenticated: status.auth.is_some(),
        auth: status.auth.map(|auth| v1::BfdAuth {
            mode: crate::config::bfd::name_of(auth.mode).to_owned(),
            key_id: auth.key_id.into(),
            remote_key_id: auth.heard_key_id.map(u32::from),
        }),
        remote_independent: status.remote_independent,
        remote_demand: status.remote_demand,
        packets_received: status.counters.received,
        packets_sent: status.counters.sent,
        packets_discarded: status.counters.discarded.total(),
        discards: Some(discards(&status.counters.discarded)),
        last_discard: status.counters.last_discard.map(|why| why.to_string()),
        ups: status.counters.ups,
        reason: None,
    }
}

fn discards(discards: &Discards) -> v1::BfdDiscards {
    let Discards { ttl, malformed, discriminator, authentication, replay, admin_down } = *discards;
    v1::BfdDiscards { ttl, malformed, discriminator, authentication, replay, admin_down }
}

fn state(state: State) -> v1::BfdState {
    match state {
        State::AdminDown => v1::BfdState::AdminDown,
        State::Down => v1::BfdState::Down,
        State::Init => v1::BfdState::Init,
        State::Up => v1::BfdState::Up,
    }
}

/// The words of RFC 5880 §4.1.
fn diagnostic(diag: Diag) -> Option<String> {
    let text = match diag {
        Diag::None => return None,
        Diag::DetectionExpired => "control detection time expired",
        Diag::NeighborDown => "neighbor signaled session down",
        Diag::AdminDown => "administratively down",
        Diag::Other(2) => "echo function failed",
        Diag::Other(4) => "forwarding plane reset",
        Diag::Other(5) => "path down",
        Diag::Other(6) => "concatenated path down",
        Diag::Other(8) => "reverse concatenated path down",
        Diag::Other(code) => return Some(format!("diagnostic {code}")),
    };
    Some(text.to_owned())
}
