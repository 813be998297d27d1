//! `NodeService`: the daemon as a whole.

use std::time::Instant;

use api::Problem;
use api::v1::{self, node_service_server::NodeService};
use kernel::Nexthops;
use net::{Asn, RouterId};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::audit::{self, Object};
use super::certificates::Certificates;
use super::convert;
use crate::config::{Diagnostic, Severity};
use crate::tasks::claim::ClaimHandle;
use crate::tasks::drain::{DrainError, Drained};
use crate::tasks::rip::RipReport;
use crate::tasks::table::view::protocol as protocol_number;
use crate::tasks::{Handles, Overview, PeerReport, SpeakerCommand};

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub(crate) struct NodeInfo {
    /// The node's name.
    pub(crate) name: String,
    /// Its BGP identifier.
    pub(crate) router_id: Option<RouterId>,
    /// Its AS, if it speaks BGP.
    pub(crate) asn: Option<Asn>,
    /// When the daemon started.
    pub(crate) started: Instant,
    /// What was found and done at start.
    pub(crate) notes: Vec<String>,
}

pub(super) struct Node {
    pub(super) info: NodeInfo,
    pub(super) handles: Handles,
    pub(super) certificates: Certificates,
}

impl Node {
    async fn peers(&self) -> Result<Vec<PeerReport>, Status> {
        let Some(speaker) = &self.handles.speaker else { return Ok(vec![]) };
        let (reply, answer) = oneshot::channel();
        speaker.send(SpeakerCommand::Report(None, reply)).await.map_err(|_| convert::stopping())?;
        let reports = answer.await.map_err(|_| convert::stopping())?;
        Ok(reports.into_iter().map(|(_, report)| report).collect())
    }

    fn protocols(
        &self,
        peers: &[PeerReport],
        rip: Option<&RipReport>,
        overview: &Overview,
    ) -> Vec<v1::ProtocolSummary> {
        rib::Protocol::ALL
            .into_iter()
            .map(|protocol| {
                let (running, of, up) = match protocol {
                    rib::Protocol::Bgp => {
                        let up = peers.iter().filter(|peer| peer.is_up()).count();
                        (self.handles.speaker.is_some(), peers.len(), up)
                    }
                    rib::Protocol::Rip => neighbors(rip, net::Family::Ipv4Unicast),
                    rib::Protocol::RipNg => neighbors(rip, net::Family::Ipv6Unicast),
                    _ => (true, 0, 0),
                };
                let state = if running { v1::ProtocolState::Running } else { v1::ProtocolState::Disabled };
                let name = if protocol == rib::Protocol::Bgp { "bgp" } else { "rip" };
                v1::ProtocolSummary {
                    protocol: protocol_number(protocol) as i32,
                    state: state as i32,
                    neighbors: count32(of),
                    neighbors_up: count32(up),
                    routes: overview.paths_of(protocol),
                    reason: if running { String::new() } else { format!("not configured; add [{name}]") },
                }
            })
            .collect()
    }
}

/// Whether a version of RIP runs, and its neighbours, known and heard of late.
fn neighbors(rip: Option<&RipReport>, family: net::Family) -> (bool, usize, usize) {
    let Some(rip) = rip else { return (false, 0, 0) };
    let of_family = || rip.neighbors.iter().filter(|near| near.family == family);
    let up = of_family().filter(|near| near.status.last_heard.is_some()).count();
    (true, of_family().count(), up)
}

fn count32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[tonic::async_trait]
impl NodeService for Node {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::NodeStatus>, Status> {
        let peers = self.peers().await?;
        let overview = self.handles.table.overview().await.ok_or_else(convert::stopping)?;
        let policy = self.handles.policy.state();
        let addresses = self.handles.addresses.snapshot();
        let mut alarms = overview.alarms.clone();
        let rip = super::rip::report(&self.handles).await?;
        alarms.extend(rip.iter().flat_map(super::rip::alarms));
        alarms.extend(self.handles.claim.iter().flat_map(ClaimHandle::alarms));
        alarms.extend(policy.alarm.clone());
        alarms.extend(peers.iter().filter_map(obstacle));
        alarms.extend(self.handles.addresses.fault().map(|why| v1::Alarm {
            id: "address-store".to_owned(),
            severity: v1::Severity::Error as i32,
            text: format!("addresses cannot be given out: {why}"),
            hint: "free space in the state directory; routed looks again every few seconds".to_owned(),
        }));
        alarms.extend(peers.iter().filter_map(super::peers::alarm));
        alarms.extend(self.handles.drain.alarm());
        alarms.extend(self.certificates.alarm());
        let counts = v1::Counts {
            peers: peers.len() as u64,
            peers_established: peers.iter().filter(|peer| peer.is_up()).count() as u64,
            prefixes: overview.prefixes,
            paths: overview.paths.iter().map(|(_, count)| count).sum(),
            kernel_routes: overview.installed,
            kernel_pending: overview.pending,
            addresses: addresses.allocations.len() as u64,
            policies: policy.policies as u64,
            nexthop_objects: overview.objects,
            strangers_dropped: policy.strangers,
            strangers_closed: self.handles.strangers.closed(),
        };
        Ok(Response::new(v1::NodeStatus {
            node: self.info.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            router_id: self.info.router_id.map(|id| id.to_string()).unwrap_or_default(),
            asn: self.info.asn.map(|asn| asn.0),
            uptime_seconds: self.info.started.elapsed().as_secs(),
            protocols: self.protocols(&peers, rip.as_ref(), &overview),
            alarms,
            counts: Some(counts),
            recovery: self.info.notes.clone(),
            nexthop_objects: nexthop_objects(overview.nexthops) as i32,
        }))
    }

    async fn reload(
        &self,
        request: Request<v1::ReloadRequest>,
    ) -> Result<Response<v1::ReloadResponse>, Status> {
        let object = Object::of(&request);
        let outcome = self.handles.reload().await.ok_or_else(convert::stopping)?;
        object.say(match &outcome {
            Ok(_) => "the configuration",
            Err(_) => "the configuration, not taken for its errors",
        });
        Ok(Response::new(match outcome {
            Ok(reloaded) => v1::ReloadResponse {
                applied: true,
                changes: reloaded.changes,
                diagnostics: reloaded.warnings.iter().map(diagnostic).collect(),
            },
            Err(findings) => v1::ReloadResponse {
                applied: false,
                changes: vec![],
                diagnostics: findings.iter().map(diagnostic).collect(),
            },
        }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        audit::note(&request);
        let drained = self.handles.drain.set(true).await.map_err(not_drained)?;
        Ok(Response::new(v1::DrainResponse { outcome: outcome(drained), told: drained.told }))
    }

    async fn undrain(
        &self,
        request: Request<v1::UndrainRequest>,
    ) -> Result<Response<v1::UndrainResponse>, Status> {
        audit::note(&request);
        let drained = self.handles.drain.set(false).await.map_err(not_drained)?;
        Ok(Response::new(v1::UndrainResponse { outcome: outcome(drained), told: drained.told }))
    }
}

/// A peer that cannot be spoken to as is configured.
fn obstacle(peer: &PeerReport) -> Option<v1::Alarm> {
    let address = peer.config.address;
    Some(v1::Alarm {
        id: format!("bgp-peer-key {address}"),
        severity: v1::Severity::Error as i32,
        text: format!("peer {address} stays Idle: {}", peer.obstacle.as_ref()?),
        hint: String::new(),
    })
}

fn nexthop_objects(nexthops: Nexthops) -> v1::NexthopObjects {
    match nexthops {
        Nexthops::Objects => v1::NexthopObjects::On,
        Nexthops::Off => v1::NexthopObjects::Off,
        Nexthops::Unsupported => v1::NexthopObjects::Unsupported,
    }
}

fn outcome(drained: Drained) -> i32 {
    if drained.changed { v1::Outcome::Changed as i32 } else { v1::Outcome::Unchanged as i32 }
}

fn not_drained(error: DrainError) -> Status {
    match error {
        DrainError::NotKept(error) => Problem::internal("drain", error.to_string()).into(),
        DrainError::Stopping => convert::stopping(),
    }
}

fn diagnostic(found: &Diagnostic) -> v1::Diagnostic {
    let severity = match found.severity {
        Severity::Warning => v1::Severity::Warning,
        Severity::Error => v1::Severity::Error,
    };
    v1::Diagnostic {
        severity: severity as i32,
        file: found.file.clone(),
        line: Some(count32(found.line)),
        column: Some(count32(found.column)),
        object: String::new(),
        text: found.message.clone(),
        hint: String::new(),
    }
}
