//! `PeerService`: BGP peers, and what an operator does with them.

mod negotiated;
mod offers;
mod settings;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use api::v1::peer_service_server::PeerService;
use api::v1::{self};
use api::{Problem, problem};
use bgp::peer::{Admin, Messages, Noted, State};
use bgp::wire::{Communication, Notification};
use kernel::sockopt::TcpInfo;
use net::{Asn, Family};
use rib::PeerId;
use rib::peer::LocalEnd;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use self::negotiated::{capability, negotiated};
use self::offers::offers;
use super::{audit, convert, request};
use crate::config::{PeerKey, PeerOrigin};
use crate::tasks::table::ask::{Ask, FamilyCounts, PeerCounts};
use crate::tasks::{Handles, Order, PeerCommand, PeerOrder, PeerReport, SpeakerCommand};

pub(super) struct Peers {
    pub(super) handles: Handles,
    pub(super) local_asn: Option<Asn>,
}

impl Peers {
    async fn reports(&self, peer: Option<PeerKey>) -> Result<Vec<v1::PeerDetail>, Status> {
        let reports = self.ask(peer).await?;
        let counts = self.handles.table.peer_counts().await.ok_or_else(convert::stopping)?;
        Ok(reports.iter().map(|(id, report)| self.detail(*id, report, &counts)).collect())
    }

    /// What the speaker says of all peers, or of one.
    async fn ask(&self, peer: Option<PeerKey>) -> Result<Vec<(PeerId, PeerReport)>, Status> {
        let Some(speaker) = &self.handles.speaker else { return Ok(vec![]) };
        let (reply, answer) = oneshot::channel();
        speaker.send(SpeakerCommand::Report(peer, reply)).await.map_err(|_| convert::stopping())?;
        answer.await.map_err(|_| convert::stopping())
    }

    fn detail(
        &self,
        id: PeerId,
        report: &PeerReport,
        counts: &HashMap<PeerId, PeerCounts>,
    ) -> v1::PeerDetail {
        let counts = counts.get(&id).copied().unwrap_or_default();
        let up = report.negotiated.as_ref();
        let ago = |at: Instant| report.now.saturating_duration_since(at);
        v1::PeerDetail {
            peer: Some(self.peer(report, &counts)),
            timers: Some(timers(report)),
            negotiated: report.negotiated.as_ref().filter(|_| report.is_up()).map(|up| negotiated(up)),
            messages_received: Some(messages(&report.counters.received, report.traffic.received)),
            messages_sent: Some(messages(&report.counters.sent, report.traffic.sent)),
            malformed: Some(v1::Malformed {
                treat_as_withdraw: report.counters.malformed.treat_as_withdraw,
                attribute_discard: report.counters.malformed.attribute_discard,
                family_disable: report.counters.malformed.family_disable,
                reset: report.counters.malformed.reset,
                last: report.malformed.as_ref().map(|last| v1::MalformedMessage {
                    what: last.what.clone(),
                    attribute: last.attribute.into(),
                    octets: last.octets.to_vec(),
                    length: u32::try_from(last.length).unwrap_or(u32::MAX),
                    ago_seconds: ago(last.at).as_secs(),
                }),
            }),
            notification_sent: report.sent.as_ref().map(|noted| notification(noted, ago(noted.at))),
            notification_received: report.received.as_ref().map(|noted| notification(noted, ago(noted.at))),
            filtered: counts.filtered,
            rejected: counts.rejected,
            established_count: report.counters.established,
            remote_port: report.negotiated.as_ref().map(|up| up.endpoints.remote.port().into()),
            import_filter: Some(report.config.import.clone()),
            export_filter: Some(report.config.export.clone()),
            bfd: None,
            settings: Some(settings::settings(report, self.external(report))),
            discarded: counts.discarded,
            capabilities_sent: up.map(|up| up.sent.iter().map(capability).collect()).unwrap_or_default(),
            hostname: up.and_then(|up| up.hostname()),
            software: up.and_then(|up| up.software()).map(str::to_owned),
            dials: report.counters.dials,
            dial_failures: report.counters.dial_failures,
            collisions: report.counters.collisions,
            tcp: report.tcp.map(tcp),
            changes: Some(changes(report, &counts)),
            offers_received: up.map(|up| offers(&up.received)).unwrap_or_default(),
            offers_sent: up.map(|up| offers(&up.sent)).unwrap_or_default(),
            update_group: None,
            by_family: families(report, &counts),
            local_port: up.map(|up| up.endpoints.local.port().into()),
            local_router_id: up.map(|up| up.opens[0].identifier.to_string()),
            last_received_seconds: report.last_heard.map(|at| ago(at).as_secs()),
            last_sent_seconds: report.last_said.map(|at| ago(at).as_secs()),
            lost_count: report.counters.lost,
            unsent_bytes: report.traffic.unsent,
            last_error_seconds: report.last_error_at.map(|at| ago(at).as_secs()),
            own_next_hops: next_hops(counts.local),
            announced: counts.changes.announced,
            withdrawn: counts.changes.withdrawn,
            disabled_families: report
                .disabled_families
                .iter()
                .map(|lost| v1::DisabledFamily {
                    family: convert::family(lost.family),
                    reason: lost.what.to_owned(),
                    ago_seconds: ago(lost.since).as_secs(),
                })
                .collect(),
        }
    }

    /// Our AS number towards the peer.
    fn local_asn(&self, report: &PeerReport) -> Asn {
        let negotiated = report.negotiated.as_ref().map(|up| up.local_as);
        negotiated.or(report.config.local_asn).or(self.local_asn).unwrap_or_default()
    }

    fn external(&self, report: &PeerReport) -> bool {
        report.config.asn.is_external(self.local_asn(report))
    }

    fn peer(&self, report: &PeerReport, counts: &PeerCounts) -> v1::Peer {
        let up = report.negotiated.as_ref();
        let families = up.map_or(&report.config.families, |up| &up.families);
        v1::Peer {
            address: report.config.name(),
            interface: report.config.interface.clone(),
            asn: up
                .map(|up| up.peer_as)
                .or(report.config.asn.number(self.local_asn(report)))
                .map(|asn| asn.0),
            local_asn: self.local_asn(report).0,
            router_id: up.map(|up| up.router_id.to_string()),
            state: state(report.state) as i32,
            uptime_seconds: report.state_for.filter(|_| report.is_up()).map(|time| time.as_secs()),
            prefixes_received: counts.received,
            prefixes_accepted: counts.accepted,
            prefixes_advertised: counts.advertised,
            prefixes_best: counts.best,
            hold_time_seconds: up.map(|up| seconds(up.hold_time)),
            families: families.iter().map(|family| convert::family(*family)).collect(),
            capabilities: up.map(|up| up.received.iter().map(capability).collect()).unwrap_or_default(),
            last_error: report.last_error.clone(),
            description: Some(report.config.description.clone()).filter(|text| !text.is_empty()),
            disabled: report.disabled,
            external: self.external(report),
            dynamic: matches!(report.config.origin, PeerOrigin::Range(_) | PeerOrigin::Link),
            local_address: up.map(|up| up.endpoints.local.ip().to_string()),
            state_seconds: report.state_for.map(|time| time.as_secs()),
        }
    }

    /// Has the configured peers changed, for good.
    async fn order(&self, peer: &PeerKey, what: PeerOrder) -> Result<(), Status> {
        let (reply, answer) = oneshot::channel();
        let order = Order { peer: peer.clone().configured(), what, reply };
        self.handles.order.send(order).await.map_err(|_| convert::stopping())?;
        Ok(answer.await.map_err(|_| convert::stopping())??)
    }

    /// True for a peer of a range: there is nothing to keep of it.
    async fn dialled_in(&self, peer: &PeerKey) -> Result<bool, Status> {
        let found = self.reports(Some(peer.clone())).await?.into_iter().next();
        Ok(found.and_then(|detail| detail.peer).is_some_and(|peer| peer.dynamic))
    }

    /// Does something with a peer and answers with its state afterwards.
    async fn act(
        &self,
        address: &str,
        command: PeerCommand,
    ) -> Result<Response<v1::PeerActionResponse>, Status> {
        let key = convert::peer("address", address)?;
        let speaker = self.handles.speaker.as_ref().ok_or_else(|| unknown(&key))?;
        let (reply, answer) = oneshot::channel();
        speaker
            .send(SpeakerCommand::Peer(key.clone(), command, reply))
            .await
            .map_err(|_| convert::stopping())?;
        if !answer.await.map_err(|_| convert::stopping())? {
            return Err(unknown(&key));
        }
        let detail =
            self.reports(Some(key.clone())).await?.into_iter().next().ok_or_else(|| unknown(&key))?;
        let state = detail.peer.map_or(v1::PeerState::Unspecified as i32, |peer| peer.state);
        Ok(Response::new(v1::PeerActionResponse { state }))
    }
}

#[tonic::async_trait]
impl PeerService for Peers {
    async fn list_peers(
        &self,
        _: Request<v1::ListPeersRequest>,
    ) -> Result<Response<v1::ListPeersResponse>, Status> {
        let peers = self.reports(None).await?.into_iter().filter_map(|detail| detail.peer).collect();
        Ok(Response::new(v1::ListPeersResponse { peers }))
    }

    async fn get_peer(
        &self,
        request: Request<v1::GetPeerRequest>,
    ) -> Result<Response<v1::PeerDetail>, Status> {
        let peer = convert::peer("address", &request.get_ref().address)?;
        let reports = self.ask(Some(peer.clone())).await?;
        let (id, report) = reports.first().ok_or_else(|| unknown(&peer))?;
        let counts = self.handles.table.peer_counts().await.ok_or_else(convert::stopping)?;
        let place = (report.config.address, report.config.scope);
        let bfd = super::bfd::of_peer(&self.handles.bfd, place).await?;
        let asked = self.handles.table.ask(|reply| Ask::Together(*id, reply)).await;
        let update_group = asked.ok_or_else(convert::stopping)?;
        Ok(Response::new(v1::PeerDetail { bfd, update_group, ..self.detail(*id, report, &counts) }))
    }

    async fn add_peer(
        &self,
        request: Request<v1::AddPeerRequest>,
    ) -> Result<Response<v1::PeerActionResponse>, Status> {
        audit::note(&request);
        let text = request.get_ref().address.clone();
        let (peer, keys) = request::added(request.into_inner())?;
        self.order(&peer, PeerOrder::Add(keys)).await?;
        self.act(&text, PeerCommand::Enable).await
    }

    async fn remove_peer(
        &self,
        request: Request<v1::RemovePeerRequest>,
    ) -> Result<Response<v1::RemovePeerResponse>, Status> {
        audit::note(&request);
        let peer = convert::peer("address", &request.get_ref().address)?;
        self.order(&peer, PeerOrder::Remove).await?;
        Ok(Response::new(v1::RemovePeerResponse {}))
    }

    async fn enable_peer(
        &self,
        request: Request<v1::EnablePeerRequest>,
    ) -> Result<Response<v1::PeerActionResponse>, Status> {
        audit::note(&request);
        let peer = convert::peer("address", &request.get_ref().address)?;
        if !self.dialled_in(&peer).await? {
            self.order(&peer, PeerOrder::Enable).await?;
        }
        self.act(&request.get_ref().address, PeerCommand::Enable).await
    }

    async fn disable_peer(
        &self,
        request: Request<v1::DisablePeerRequest>,
    ) -> Result<Response<v1::PeerActionResponse>, Status> {
        audit::note(&request);
        let v1::DisablePeerRequest { address, message } = request.into_inner();
        let peer = convert::peer("address", &address)?;
        if !self.dialled_in(&peer).await? {
            self.order(&peer, PeerOrder::Disable(message.clone())).await?;
        }
        self.act(&address, PeerCommand::Stop(Admin::Shutdown(message))).await
    }

    async fn reset_peer(
        &self,
        request: Request<v1::ResetPeerRequest>,
    ) -> Result<Response<v1::PeerActionResponse>, Status> {
        audit::note(&request);
        let v1::ResetPeerRequest { address, message } = request.into_inner();
        self.act(&address, PeerCommand::Stop(Admin::Reset(message))).await
    }

    async fn refresh_peer(
        &self,
        request: Request<v1::RefreshPeerRequest>,
    ) -> Result<Response<v1::PeerActionResponse>, Status> {
        audit::note(&request);
        let v1::RefreshPeerRequest { address, families } = request.into_inner();
        let families = convert::families(&families)?;
        let peer = convert::peer("address", &address)?;
        let (_, report) =
            self.ask(Some(peer.clone())).await?.into_iter().next().ok_or_else(|| unknown(&peer))?;
        match report.negotiated.as_ref().filter(|_| report.state == State::Established) {
            Some(up) if up.route_refresh => self.act(&address, PeerCommand::Refresh(families)).await,
            Some(_) => Err(cannot_refresh(
                &peer,
                "has not the capability of route refresh",
                "`routectl peers reset` makes it tell its routes anew",
            )),
            None => Err(cannot_refresh(
                &peer,
                "is not Established",
                "it tells all its routes when its session is up",
            )),
        }
    }
}

fn unknown(peer: &PeerKey) -> Status {
    unknown_peer(peer).into()
}

/// The answer where nobody can be asked for routes.
fn cannot_refresh(peer: &PeerKey, why: &str, hint: &str) -> Status {
    Problem::new(problem::Kind::Precondition, format!("peer {peer}"), why).hint(hint).into()
}

/// The answer about what is no peer.
pub(crate) fn unknown_peer(peer: &PeerKey) -> Problem {
    Problem::new(problem::Kind::NotFound, format!("peer {peer}"), "is not configured").hint(
        "`routectl peers` lists the peers; add it as [[bgp.peer]] and reload, or with `routectl peers add`",
    )
}

/// A second router on the link of an unnumbered peer.
pub(super) fn alarm(report: &PeerReport) -> Option<v1::Alarm> {
    let (rival, interface) = (report.rival?, report.config.interface.as_ref()?);
    Some(v1::Alarm {
        id: format!("second-router {interface}"),
        severity: v1::Severity::Warning as i32,
        text: format!(
            "{rival} advertises itself on {interface} too; the peer stays {}",
            report.config.name()
        ),
        hint: format!(
            "an unnumbered peer is alone with this node on its link; on {interface} name the peer with \
             `address` as well, or take the other router away"
        ),
    })
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn state(state: State) -> v1::PeerState {
    match state {
        State::Idle => v1::PeerState::Idle,
        State::Connect => v1::PeerState::Connect,
        State::Active => v1::PeerState::Active,
        State::OpenSent => v1::PeerState::OpenSent,
        State::OpenConfirm => v1::PeerState::OpenConfirm,
        State::Established => v1::PeerState::Established,
    }
}

fn timers(report: &PeerReport) -> v1::PeerTimers {
    let due = |at: Option<Instant>| at.map(|at| seconds(at.saturating_duration_since(report.now)));
    v1::PeerTimers {
        hold_time: seconds(report.config.hold_time),
        hold_due: due(report.timers.hold),
        keepalive_due: due(report.timers.keepalive),
        connect_retry_due: due(report.timers.connect_retry),
        idle_hold_due: due(report.timers.idle_hold),
        send_hold_due: due(report.timers.send_hold),
    }
}

fn messages(messages: &Messages, bytes: u64) -> v1::MessageCounts {
    v1::MessageCounts {
        open: messages.open,
        update: messages.update,
        notification: messages.notification,
        keepalive: messages.keepalive,
        route_refresh: messages.route_refresh,
        bytes,
    }
}

fn notification(noted: &Noted, ago: Duration) -> v1::Notification {
    v1::Notification {
        code: noted.notification.code.into(),
        subcode: noted.notification.subcode.into(),
        text: words(&noted.notification),
        data: noted.notification.data.to_vec(),
        enclosed: noted.notification.inner().map(|inner| v1::EnclosedError {
            code: inner.code.into(),
            subcode: inner.subcode.into(),
            text: words(&inner),
            data: inner.data.to_vec(),
        }),
        at: convert::unix_seconds(ago),
    }
}

/// An error in words, with those of the other operator.
fn words(notification: &Notification) -> String {
    match notification.communication() {
        Communication::Text(text) => format!("{notification}: {}", text.escape_debug()),
        Communication::None | Communication::Malformed => notification.to_string(),
    }
}

/// What became of the prefixes in UPDATEs.
fn changes(report: &PeerReport, counts: &PeerCounts) -> v1::RouteChanges {
    let tally = &counts.tally;
    let loops = [tally.cluster_loops, tally.as_loops, tally.originator_loops, tally.confederation_loops];
    v1::RouteChanges {
        filtered: tally.filtered,
        looped: loops.iter().sum(),
        duplicates: tally.duplicates,
        unknown: tally.unknown,
        sent_announced: report.told.announced,
        sent_withdrawn: report.told.withdrawn,
    }
}

/// What TCP says of the connection.
fn tcp(said: TcpInfo) -> v1::Tcp {
    let TcpInfo {
        rtt,
        rttvar,
        rto,
        snd_mss,
        rcv_mss,
        advmss,
        pmtu,
        snd_cwnd,
        unacked,
        retrans,
        total_retrans,
    } = said;
    v1::Tcp {
        rtt_microseconds: rtt,
        rttvar_microseconds: rttvar,
        rto_microseconds: rto,
        snd_mss,
        rcv_mss,
        advmss,
        pmtu,
        snd_cwnd,
        unacked,
        retrans,
        total_retrans,
    }
}

/// What the peer has told of each family of the session.
fn families(report: &PeerReport, counts: &PeerCounts) -> Vec<v1::PeerFamily> {
    let up = report.negotiated.as_ref().filter(|_| report.is_up());
    let family = |family: &Family| {
        let FamilyCounts { counts, best, advertised, ended, ended_to_it } = counts.families[family.index()];
        v1::PeerFamily {
            family: convert::family(*family),
            received: counts.received as u64,
            accepted: counts.accepted as u64,
            filtered: counts.filtered as u64,
            rejected: (counts.received - counts.accepted - counts.filtered) as u64,
            end_of_rib: ended,
            end_of_rib_sent: ended_to_it,
            best,
            advertised,
        }
    };
    up.map(|up| up.families.iter().map(family).collect()).unwrap_or_default()
}

/// Our addresses on a session, in words.
fn next_hops(LocalEnd { v4, v6, link_local }: LocalEnd) -> Vec<String> {
    let v6 = [v6, link_local].into_iter().flatten().map(|address| address.to_string());
    v4.iter().map(ToString::to_string).chain(v6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hard_reset_stands_for_is_unwrapped_with_its_words() {
        let hard = |data: &[u8]| {
            let notification = Notification { code: 6, subcode: 9, data: data.into() };
            super::notification(&Noted { at: Instant::now(), notification }, Duration::ZERO)
        };
        let told = hard(b"\x06\x02\x03bye");
        assert_eq!((told.code, told.subcode), (6, 9));
        assert_eq!(told.text, "Hard Reset (6/9): Administrative Shutdown (6/2): bye");
        let enclosed = told.enclosed.unwrap();
        assert_eq!((enclosed.code, enclosed.subcode, &enclosed.data[..]), (6, 2, &b"\x03bye"[..]));
        assert_eq!(enclosed.text, "Administrative Shutdown (6/2): bye");
        // An expired hold timer has no words; one that is cut off stands for nothing.
        assert_eq!(hard(&[4, 0]).enclosed.unwrap().text, "Hold Timer Expired (4/0)");
        assert_eq!(hard(&[4]).enclosed, None);
    }
}
