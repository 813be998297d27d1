//! What the operator wants.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::{Family, Prefix};

use crate::auth::Auth;

/// What holds for one protocol on all interfaces.
#[derive(Clone, Debug)]
pub struct Config {
    /// IPv4 makes it RIPv2, IPv6 RIPng.
    pub family: Family,
    /// The most next hops of one route: equal metrics share.
    pub multipath: usize,
    /// How long a withdrawn route of ours is told as unreachable.
    pub garbage: Duration,
    /// What the time of day was at some instant.
    pub clock: Clock,
    /// The sequence number to begin with, at least: the last one of the run
    /// before, where it was kept ([`Instance::sequence`](crate::Instance::sequence)).
    /// The time of day alone keeps it growing as long as the clock is right.
    pub sequence: u32,
    /// What to take of what neighbours tell.
    pub import: Arc<dyn Import>,
    /// The seed of all jitter. Take a different one on each node.
    pub seed: u64,
}

impl Config {
    /// A protocol with the defaults: one next hop, garbage 120 s
    /// (RFC 2453 §3.8), everything accepted.
    pub fn new(family: Family, clock: Clock, seed: u64) -> Self {
        Self {
            family,
            multipath: 1,
            garbage: Duration::from_secs(120),
            clock,
            sequence: 0,
            import: Arc::new(Accept::All),
            seed,
        }
    }
}

/// What the time of day was at some instant: turns one into the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Some instant.
    pub instant: Instant,
    /// The time of day at that instant, in seconds since 1970 UTC.
    pub unix: u64,
}

impl Clock {
    /// The time of day at another instant, in seconds since 1970 UTC.
    pub fn unix(self, at: Instant) -> u64 {
        match at.checked_duration_since(self.instant) {
            Some(later) => self.unix.saturating_add(later.as_secs()),
            None => self.unix.saturating_sub(self.instant.duration_since(at).as_secs()),
        }
    }
}

/// A route as a neighbour offers it, before the import filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The destination.
    pub prefix: Prefix,
    /// The neighbour.
    pub neighbor: IpAddr,
    /// The index of the interface.
    pub interface: u32,
    /// The metric with the cost of the interface added, 1 to 15.
    pub metric: u8,
    /// The route tag.
    pub tag: u16,
}

/// What the import filter says of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Take it, with this metric (16 and more: unreachable) and tag.
    Accept {
        /// The metric.
        metric: u8,
        /// The route tag.
        tag: u16,
    },
    /// Do not take it, nor tell it on.
    Reject,
}

/// The import filter. It is asked before a route is taken, because what it
/// rejects must not be told to others either. The answer may depend on nothing
/// but the offer.
pub trait Import: Debug + Send + Sync {
    /// Judges an offer.
    fn judge(&self, offer: &Offer) -> Judgement;
}

/// Two import filters for those who have no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Everything.
    All,
    /// What lies inside one of these: the pools of a cluster.
    Inside(Vec<Prefix>),
}

impl Import for Accept {
    fn judge(&self, offer: &Offer) -> Judgement {
        match self {
            Self::Inside(pools) if !pools.iter().any(|pool| pool.covers(offer.prefix)) => Judgement::Reject,
            _ => Judgement::Accept { metric: offer.metric, tag: offer.tag },
        }
    }
}

/// What not to tell on the interface where it was heard (RFC 2453 §3.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitHorizon {
    /// Tell everything: loops are found only by counting to 16.
    Off,
    /// Say nothing of it.
    Simple,
    /// Say that it is unreachable.
    Poison,
}

/// An interface that RIP runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The index that the kernel gave it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The largest packet in octets.
    pub mtu: u32,
    /// Its addresses of the family, each with the network that can be reached
    /// there: on a point-to-point link the peer's address.
    pub addresses: Vec<(IpAddr, Prefix)>,
    /// How to speak there.
    pub settings: Settings,
}

/// How to speak on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The period of regular updates, before jitter.
    pub update: Duration,
    /// A route that is not heard for so long is lost.
    pub timeout: Duration,
    /// A lost route is told as unreachable for so long.
    pub garbage: Duration,
    /// What not to tell where it was heard.
    pub split_horizon: SplitHorizon,
    /// Listen only.
    pub passive: bool,
    /// Neighbours to speak to by unicast; with any, nothing is multicast here.
    pub neighbors: Vec<IpAddr>,
    /// What is added to the metric of routes heard here, besides 1 for the
    /// link itself.
    pub offset_in: u8,
    /// What is added to the metric of routes told here.
    pub offset_out: u8,
    /// The most routes of one neighbour; what is above is not taken.
    pub max_routes_per_neighbor: Option<usize>,
    /// Take only packets with a hop limit of 255 (RFC 5082). RIPng demands
    /// it of multicast packets in any case.
    pub ttl_security: bool,
    /// How packets are authenticated; RIPv2 only.
    pub auth: Option<Auth>,
}

impl Default for Settings {
    /// 30, 180 and 120 s (RFC 2453 §3.8), poisoned reverse, multicast, no
    /// offsets, no limit, no authentication.
    fn default() -> Self {
        Self {
            update: Duration::from_secs(30),
            timeout: Duration::from_secs(180),
            garbage: Duration::from_secs(120),
            split_horizon: SplitHorizon::Poison,
            passive: false,
            neighbors: Vec::new(),
            offset_in: 0,
            offset_out: 0,
            max_routes_per_neighbor: None,
            ttl_security: false,
            auth: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_both_ways() {
        let earlier = Instant::now();
        let instant = earlier + Duration::from_secs(3);
        let clock = Clock { instant, unix: 1000 };
        assert_eq!(clock.unix(instant + Duration::from_millis(2500)), 1002);
        assert_eq!(clock.unix(earlier), 997);
    }

    #[test]
    fn only_what_lies_inside_a_pool_is_accepted() {
        let pools = Accept::Inside(vec!["10.244.0.0/16".parse().unwrap()]);
        let offer = |prefix: &str| Offer {
            prefix: prefix.parse().unwrap(),
            neighbor: "192.0.2.1".parse().unwrap(),
            interface: 1,
            metric: 2,
            tag: 7,
        };
        assert_eq!(pools.judge(&offer("10.244.3.0/24")), Judgement::Accept { metric: 2, tag: 7 });
        assert_eq!(pools.judge(&offer("10.0.0.0/8")), Judgement::Reject);
        assert_eq!(pools.judge(&offer("0.0.0.0/0")), Judgement::Reject);
    }
}
