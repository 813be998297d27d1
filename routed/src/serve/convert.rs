//! From the daemon's words to those of the API, where more than one service
//! needs them.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::{NoPeerKey, PeerKey};
use crate::tasks::table::view::protocol;
use api::Problem;
use api::v1;
use net::{Family, Prefix};
use rib::Protocol;
use tonic::Status;

/// The family as the API numbers it.
pub(super) fn family(family: Family) -> i32 {
    match family {
        Family::Ipv4Unicast => v1::Family::Ipv4 as i32,
        Family::Ipv6Unicast => v1::Family::Ipv6 as i32,
    }
}

/// The families that a request names; unknown numbers are refused.
pub(super) fn families(numbers: &[i32]) -> Result<Vec<Family>, Status> {
    numbers
        .iter()
        .map(|number| match v1::Family::try_from(*number) {
            Ok(v1::Family::Ipv4) => Ok(Family::Ipv4Unicast),
            Ok(v1::Family::Ipv6) => Ok(Family::Ipv6Unicast),
            _ => Err(Problem::invalid("family", format!("there is no family {number}")).into()),
        })
        .collect()
}

/// The protocol that a request asks for; `None` for all.
pub(super) fn wanted_protocol(number: i32) -> Result<Option<Protocol>, Status> {
    match v1::Protocol::try_from(number) {
        Ok(v1::Protocol::Unspecified) => Ok(None),
        Ok(wanted) => Ok(Protocol::ALL.into_iter().find(|known| protocol(*known) == wanted)),
        Err(_) => Err(Problem::invalid("protocol", format!("there is no protocol {number}")).into()),
    }
}

/// The address in a field of a request.
pub(super) fn address(field: &str, text: &str) -> Result<IpAddr, Status> {
    text.parse().map_err(|_| {
        let what = format!("{text:?} is no IP address");
        Problem::invalid(field, what).hint("write it as 192.0.2.1 or fd00::1").into()
    })
}

/// The peer in a field of a request.
pub(super) fn peer(field: &str, text: &str) -> Result<PeerKey, Status> {
    text.parse().map_err(|why: NoPeerKey| {
        let hint = "write it as 192.0.2.1, fd00::1, fe80::1%eth1 or eth1, as `routectl peers` shows it";
        Problem::invalid(field, format!("{text:?} is {why}")).hint(hint).into()
    })
}

/// The prefix in a field of a request.
pub(super) fn prefix(field: &str, text: &str) -> Result<Prefix, Status> {
    text.parse().map_err(|error: net::ParsePrefixError| Problem::invalid(field, error.to_string()).into())
}

/// Seconds since 1970 of a moment that was `ago`.
pub(super) fn unix_seconds(ago: Duration) -> i64 {
    let at = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
    at.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}

/// The answer when a task of the daemon is gone because the daemon stops.
pub(super) fn stopping() -> Status {
    Problem::new(api::problem::Kind::Unavailable, "routed", "is stopping")
        .hint("try again when it runs")
        .into()
}
