//! What callers ask, read: functions of a request alone, before any task of
//! the daemon hears of it.

use std::str::FromStr;

use api::{Problem, v1};
use net::{Attrs, NextHop, Prefix};
use tonic::Status;

use super::convert;
use crate::config::PeerKey;

/// The route that is to be announced.
pub fn announced(request: &v1::AnnounceRouteRequest) -> Result<(Prefix, Attrs), Status> {
    let prefix = convert::prefix("prefix", &request.prefix)?;
    if prefix.is_martian() {
        return Err(Problem::invalid("prefix", format!("{prefix} is not a unicast prefix")).into());
    }
    let next_hop = request.next_hop.as_deref().map(|text| convert::address("next_hop", text)).transpose()?;
    let attrs = Attrs {
        next_hop: next_hop.map(NextHop::from),
        local_pref: request.local_pref,
        med: request.med,
        communities: each("communities", &request.communities)?,
        large_communities: each("large_communities", &request.large_communities)?,
        ..Attrs::default()
    };
    Ok((prefix, attrs))
}

fn each<T: FromStr<Err = String>>(field: &str, texts: &[String]) -> Result<Vec<T>, Status> {
    let parse = |text: &String| text.parse().map_err(|error: String| Problem::invalid(field, error).into());
    texts.iter().map(parse).collect()
}

/// The peer that is to be added, and its keys of `[[bgp.peer]]`: what is no
/// value of TOML is a text.
pub fn added(request: v1::AddPeerRequest) -> Result<(PeerKey, toml::Table), Status> {
    let v1::AddPeerRequest { address, settings } = request;
    let peer = convert::peer("address", &address)?;
    let keys = settings.into_iter().map(|(key, value)| {
        let value = value.parse::<toml::Value>().unwrap_or(toml::Value::String(value));
        (key, value)
    });
    Ok((peer, keys.collect()))
}
