//! Where a router is measured: one namespace for it, one for the load, a wire between.

use std::{net::Ipv4Addr, net::SocketAddr};

use super::{
    session::{Ends, Wanted},
    swarm::Swarm,
};
use crate::{Host, Lab, Netns, Result};

/// The router's address on the wire.
pub(super) const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Where packets leave: to the load by either wire.
pub(super) const EXITS: [&str; 2] = ["wire0", "wire1"];
/// The router's AS.
pub(super) const ROUTER_ASN: u32 = 64500;
/// The first AS of the load.
const FIRST_ASN: u32 = 64600;

/// The namespaces; they go with the last handle of the lab.
#[derive(Debug)]
pub(super) struct Stage {
    /// The router's host.
    pub router: Host,
    /// The load's host.
    pub load: Host,
    /// Both their lab, last to go.
    lab: Lab,
    peers: u8,
}

impl Stage {
    /// A wire `wire0` with room for `peers` sessions, each from an address of its own.
    pub(super) fn new(name: &str, peers: u8) -> Result<Stage> {
        let lab = Lab::new(name)?;
        let (router, load) = (lab.router("dut")?, lab.router("load")?);
        load.ip(&EXITS.map(|wire| join(wire, &router)))?;
        router.ip(&[
            // What the kernel has a route to is asked of it: nothing by default.
            "route del default".to_owned(),
            format!("addr add {ROUTER}/16 dev wire0"),
            "link set wire0 up".to_owned(),
            "addr add 198.19.0.1/16 dev wire1".to_owned(),
            "link set wire1 up".to_owned(),
        ])?;
        let mut lines: Vec<String> =
            (0..peers).map(|peer| format!("addr add {}/16 dev wire0", address(peer))).collect();
        lines.extend(
            [
                "link set wire0 up",
                "addr add 198.19.1.1/16 dev wire1",
                "link set wire1 up",
                // Who sends packets is elsewhere, and any address they go to is here.
                "route add 198.20.0.0/16 via 198.19.0.1",
                "route replace local default dev lo table main",
            ]
            .map(str::to_owned),
        );
        load.ip(&lines)?;
        Ok(Stage { router, load, lab, peers })
    }

    /// The sessions of the load.
    pub(super) fn ends(&self) -> Vec<Ends> {
        let router = SocketAddr::from((ROUTER, 179));
        (0..self.peers).map(|peer| Ends { local: address(peer), asn: asn(peer), router }).collect()
    }

    /// A session over the second wire.
    pub(super) fn second(&self) -> Ends {
        let router = SocketAddr::from(([198, 19, 0, 1], 179));
        Ends { local: Ipv4Addr::new(198, 19, 1, 1), asn: asn(self.peers), router }
    }

    /// A namespace behind the router, whose packets all go to it.
    pub(super) fn source(&self) -> Result<Host> {
        let source = self.lab.router("source")?;
        source.ip(&[join("wire2", &self.router)])?;
        self.router.ip(&["addr add 198.20.0.1/16 dev wire2", "link set wire2 up"])?;
        source.ip(&[
            "addr add 198.20.1.1/16 dev wire2",
            "link set wire2 up",
            "route replace default via 198.20.0.1",
        ])?;
        Ok(source)
    }

    /// Dials these sessions, which only read what they hear.
    pub(super) fn dial_ends(&self, ends: &[Ends]) -> Result<Swarm> {
        Swarm::dial(&self.load, ends.iter().map(|ends| (*ends, None)).collect())
    }

    /// Dials all sessions, which only read what they hear.
    pub(super) fn dial(&self) -> Result<Swarm> {
        self.dial_ends(&self.ends())
    }

    /// Dials all sessions. Each of the first `tellers` is to tell `each` plain
    /// prefixes, one after the other, and all count what they hear of the rest.
    pub(super) fn dial_counting(&self, tellers: usize, each: usize) -> Result<Swarm> {
        let wanted =
            |session: usize| Wanted { space: tellers * each, own: session * each..(session + 1) * each };
        let ends = self.ends().into_iter().enumerate();
        Swarm::dial(&self.load, ends.map(|(session, ends)| (ends, Some(wanted(session)))).collect())
    }
}

/// The line that joins a namespace to the router by a wire of that name.
///
/// The two ends get indices that differ: Linux takes a veth whose end and other
/// end have the same for a link of its own, and says that those have lost their
/// carrier once a second at most, for all links of the machine together.
fn join(wire: &str, router: &Netns) -> String {
    let index = wire.bytes().last().map_or(0, u32::from);
    format!(
        "link add {wire} index {} type veth peer name {wire} index {index} netns {}",
        1000 + index,
        router.name()
    )
}

/// The address of a session of the load.
fn address(peer: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 1, peer.saturating_add(1))
}

/// The AS of a session of the load.
fn asn(peer: u8) -> u32 {
    FIRST_ASN + u32::from(peer)
}
