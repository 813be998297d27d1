//! `RipService`: interfaces and neighbours of RIPv2 and `RIPng`.

use std::time::Instant;

use api::v1::{self, rip_service_server::RipService};
use net::Family;
use rip::SplitHorizon;
use rip::auth::{Mode, SendKey};
use rip::status::{AuthStatus, Faults};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::convert;
use crate::tasks::rip::{RipInterface, RipNeighbor, RipReport};
use crate::tasks::{Handles, RipCommand};

pub(super) struct RipOf {
    pub(super) handles: Handles,
}

/// How RIP fares; `None` where it is not spoken.
pub(super) async fn report(handles: &Handles) -> Result<Option<RipReport>, Status> {
    let Some(rip) = &handles.rip else { return Ok(None) };
    let (reply, answer) = oneshot::channel();
    rip.send(RipCommand::Report(reply)).await.map_err(|_| convert::stopping())?;
    answer.await.map(Some).map_err(|_| convert::stopping())
}

#[tonic::async_trait]
impl RipService for RipOf {
    async fn list_interfaces(
        &self,
        _: Request<v1::ListRipInterfacesRequest>,
    ) -> Result<Response<v1::ListRipInterfacesResponse>, Status> {
        let Some(report) = report(&self.handles).await? else {
            return Ok(Response::new(v1::ListRipInterfacesResponse::default()));
        };
        let mut interfaces: Vec<_> =
            report.interfaces.iter().map(|found| interface(found, &report.neighbors, report.now)).collect();
        interfaces.extend(report.absent.iter().map(|(name, reason)| v1::RipInterface {
            name: name.clone(),
            reason: reason.clone(),
            version: v1::RipVersion::Ripv2 as i32,
            ..v1::RipInterface::default()
        }));
        Ok(Response::new(v1::ListRipInterfacesResponse { interfaces }))
    }

    async fn list_neighbors(
        &self,
        _: Request<v1::ListRipNeighborsRequest>,
    ) -> Result<Response<v1::ListRipNeighborsResponse>, Status> {
        let Some(report) = report(&self.handles).await? else {
            return Ok(Response::new(v1::ListRipNeighborsResponse::default()));
        };
        let neighbors = report.neighbors.iter().map(|found| neighbor(found, report.now)).collect();
        Ok(Response::new(v1::ListRipNeighborsResponse { neighbors }))
    }
}

fn version(family: Family) -> v1::RipVersion {
    match family {
        Family::Ipv4Unicast => v1::RipVersion::Ripv2,
        Family::Ipv6Unicast => v1::RipVersion::Ripng,
    }
}

fn seconds(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn interface(found: &RipInterface, neighbors: &[RipNeighbor], now: Instant) -> v1::RipInterface {
    let RipInterface { family, status, settings, addresses } = found;
    let of_it = || neighbors.iter().filter(|near| near.family == *family && near.interface == status.name);
    let (auth, key) = auth(status.auth);
    let counters = status.counters;
    v1::RipInterface {
        name: status.name.clone(),
        index: Some(status.index),
        version: version(*family) as i32,
        up: true,
        reason: String::new(),
        passive: status.passive,
        addresses: addresses.clone(),
        update_seconds: seconds(settings.update),
        timeout_seconds: seconds(settings.timeout),
        garbage_seconds: seconds(settings.garbage),
        auth: auth as i32,
        auth_key_id: key,
        offset_in: settings.offset_in.into(),
        offset_out: settings.offset_out.into(),
        split_horizon: match status.split_horizon {
            SplitHorizon::Poison => v1::RipSplitHorizon::Poison,
            SplitHorizon::Simple => v1::RipSplitHorizon::Simple,
            SplitHorizon::Off => v1::RipSplitHorizon::Off,
        } as i32,
        next_update_seconds: status.next_update.map(|at| seconds(at.saturating_duration_since(now))),
        neighbors: u32::try_from(of_it().filter(|near| near.status.last_heard.is_some()).count())
            .unwrap_or(u32::MAX),
        routes: of_it().map(|near| near.status.routes as u64).sum(),
        packets_received: counters.received,
        packets_sent: counters.sent,
        updates_received: counters.received.saturating_sub(counters.bad_packets),
        updates_sent: counters.regular_updates,
        triggered_updates: counters.triggered_updates,
        unsigned_packets: counters.unsigned,
        destinations: status.destinations.iter().map(|to| to.ip().to_string()).collect(),
        last_off_link: counters.last_off_link.map(|address| address.to_string()),
        auth_key_expired: matches!(status.auth, AuthStatus::On(_, SendKey::Expired(_))),
        bad_packets: counters.bad_packets,
        bad_routes: counters.bad_routes,
        auth_failures: of_it().map(|near| near.status.faults.auth_failures).sum(),
    }
}

fn auth(status: AuthStatus) -> (v1::RipAuthMode, Option<u32>) {
    let AuthStatus::On(mode, key) = status else { return (v1::RipAuthMode::None, None) };
    let mode = match mode {
        Mode::Text => v1::RipAuthMode::Text,
        Mode::KeyedMd5 => v1::RipAuthMode::KeyedMd5,
        Mode::HmacSha1 => v1::RipAuthMode::HmacSha1,
        Mode::HmacSha256 => v1::RipAuthMode::HmacSha256,
        Mode::HmacSha384 => v1::RipAuthMode::HmacSha384,
        Mode::HmacSha512 => v1::RipAuthMode::HmacSha512,
    };
    let key = match key {
        SendKey::Valid(id) | SendKey::Expired(id) => Some(id.into()),
        SendKey::None => None,
    };
    (mode, key)
}

fn neighbor(found: &RipNeighbor, now: Instant) -> v1::RipNeighbor {
    let status = &found.status;
    v1::RipNeighbor {
        address: status.address.to_string(),
        interface: Some(found.interface.clone()),
        protocol: match found.family {
            Family::Ipv4Unicast => v1::Protocol::Rip,
            Family::Ipv6Unicast => v1::Protocol::Ripng,
        } as i32,
        version: Some(status.version.into()).filter(|version| *version != 0),
        last_heard_seconds: status.last_heard.map(|at| now.saturating_duration_since(at).as_secs()),
        uptime_seconds: found.since.map(|since| now.saturating_duration_since(since).as_secs()),
        routes: status.routes as u64,
        bad_packets: status.faults.bad_packets,
        bad_routes: status.faults.bad_routes,
        auth_failures: status.faults.auth_failures,
        last_error: last_error(&status.faults),
        configured: found.configured,
        routes_filtered: status.faults.filtered,
        routes_over_limit: status.faults.over_limit,
    }
}

/// The last thing that was wrong, the gravest kind first.
fn last_error(faults: &Faults) -> Option<String> {
    let auth = faults.last_auth_failure.map(|failure| failure.to_string());
    let packet = || faults.last_bad_packet.map(|bad| bad.to_string());
    let route = || faults.last_bad_route.map(|bad| bad.to_string());
    auth.or_else(packet).or_else(route)
}

/// What is wrong with RIP now.
pub(super) fn alarms(report: &RipReport) -> Vec<v1::Alarm> {
    not_authenticated(report).into_iter().chain(over_limit(report)).collect()
}

/// A warning for each neighbour that tells more routes than are taken; over
/// when none was refused for as long as a route lives without being told.
fn over_limit(report: &RipReport) -> impl Iterator<Item = v1::Alarm> {
    let lately = |found: &&RipNeighbor| {
        let on = report.interfaces.iter().find(|interface| interface.status.name == found.interface);
        let last = found.status.faults.last_over_limit.zip(on);
        last.is_some_and(|(at, on)| report.now.saturating_duration_since(at) < on.settings.timeout)
    };
    report.neighbors.iter().filter(lately).map(|found| v1::Alarm {
        id: format!("rip-route-limit {}", found.status.address),
        severity: v1::Severity::Warning as i32,
        text: format!(
            "RIP neighbor {} on {} tells more routes than the {} that are taken of it",
            found.status.address, found.interface, found.status.routes,
        ),
        hint: "find out why it tells so many, or raise [rip] max_routes_per_neighbor".to_owned(),
    })
}

/// One warning where anybody on the link can tell routes.
fn not_authenticated(report: &RipReport) -> Option<v1::Alarm> {
    let open: Vec<&str> = report
        .interfaces
        .iter()
        .filter(|found| found.family == Family::Ipv4Unicast && found.status.auth == AuthStatus::Off)
        .map(|found| found.status.name.as_str())
        .collect();
    (!open.is_empty()).then(|| v1::Alarm {
        id: "rip-not-authenticated".to_owned(),
        severity: v1::Severity::Warning as i32,
        text: format!("RIP on {} is not authenticated: anybody on the link can tell routes", open.join(", ")),
        hint: "put one key into a file on every node and set [rip] auth = { mode = \"hmac-sha-256\", key_file = \"…\" }"
            .to_owned(),
    })
}
