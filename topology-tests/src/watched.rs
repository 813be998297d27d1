//! What the BFD scenarios share: nodes, a path that is cut where no end sees
//! its link change, and the state of a session.

use std::{fmt::Display, time::Duration};

use serde_json::Value;

use crate::{
    Container, Error, Host, Lab, Result,
    cluster::{has_routes_of, lacks_route_of},
    peer::Routed,
};

/// Patience with daemons that find each other.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Three times 100 ms, and what a busy machine takes: far below a hold time of
/// 90 s and the 180 s of RIP.
pub const SOON: Duration = Duration::from_secs(5);
/// The kernel's number of BGP.
pub const BGP: &str = "186";
/// The kernel's number of RIP.
pub const RIP: &str = "189";
/// The kernel's number of RIPng.
pub const RIPNG: &str = "190";

/// A host with routed and one container, that its bridge has a carrier.
#[derive(Debug)]
pub struct Node {
    /// The daemon.
    pub routed: Routed,
    /// The machine.
    pub host: Host,
    /// Its container.
    pub container: Container,
}

impl Node {
    /// Starts routed on a host.
    pub fn start(host: &Host, config: &str) -> Result<Node> {
        let container = host.container("c1")?;
        Ok(Node { routed: Routed::start(host, config)?, host: host.clone(), container })
    }

    /// Waits until `routectl bfd` shows the session with an address in a
    /// state, and gives it.
    pub fn await_bfd(&self, with: impl Display, state: &str) -> Result<Value> {
        self.await_session(with, &format!("is {state}"), |session| session["state"] == state)
    }

    /// Waits until what `routectl bfd` shows of a session holds.
    pub fn await_session(
        &self,
        with: impl Display,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let address = with.to_string();
        let what = format!("BFD of {} with {address} {what}", self.host.name());
        self.host.lab().wait_until(&what, LIMIT, || {
            let sessions = self.routed.routectl_json(["bfd"]).map_err(|e| e.to_string())?;
            let mut found = sessions.as_array().into_iter().flatten();
            let found = found.find(|session| session["peer"] == *address && holds(session));
            found.cloned().ok_or_else(|| sessions.to_string())
        })
    }

    /// Waits until the kernel has the route.
    pub fn await_route(&self, protocol: &str, prefix: &str) -> Result<()> {
        let (what, wanted) = (format!("{prefix} comes to {}", self.host.name()), [prefix.to_owned()]);
        self.host.lab().wait_until(&what, LIMIT, || has_routes_of(&self.host, protocol, &wanted))
    }

    /// Fails unless the kernel has the route now.
    pub fn has_route(&self, protocol: &str, prefix: &str) -> Result<()> {
        has_routes_of(&self.host, protocol, &[prefix.to_owned()]).map_err(Error::Claim)
    }

    /// Cuts the path to `far` and waits until the route is left.
    pub fn cut(&self, far: &Host, protocol: &str, prefix: &str) -> Result<()> {
        close(far)?;
        let lacks = || lacks_route_of(&self.host, protocol, prefix);
        self.host.lab().wait_until("the route goes at once", SOON, lacks)
    }

    /// How often its BGP session with a peer has been up.
    pub fn times_established(&self, peer: impl Display) -> Result<u64> {
        let peer = self.routed.routectl_json(["peers", &peer.to_string()])?;
        peer["established_count"].as_u64().ok_or_else(|| Error::Claim(format!("no such peer: {peer}")))
    }
}

/// Two nodes on a LAN, each with what `more` says of its peer.
pub fn two(name: &str, more: &str) -> Result<(Node, Node)> {
    let lab = Lab::new(name)?;
    let (one, two) = (lab.host("n1")?, lab.host("n2")?);
    let config = |host: &Host, other: &Host| base(host) + &peer(other.ipv4(), crate::cluster::ASN, more);
    Ok((Node::start(&one, &config(&one, &two))?, Node::start(&two, &config(&two, &one))?))
}

/// The start of a configuration.
pub fn base(host: &Host) -> String {
    crate::cluster::base_config(host, crate::cluster::ASN)
}

/// A peer in the configuration.
pub fn peer(address: impl Display, asn: u32, more: &str) -> String {
    format!(
        "\n[[bgp.peer]]\naddress = \"{address}\"\nasn = {asn}\nconnect_retry = 1\nidle_hold = 1\n{more}\n"
    )
}

/// Has the bridge of the LAN drop all from and to a host; no end sees its link
/// change.
pub fn close(host: &Host) -> Result<()> {
    port(host, "0")
}

/// Ends [`close`].
pub fn open(host: &Host) -> Result<()> {
    port(host, "3")
}

fn port(host: &Host, state: &str) -> Result<()> {
    let name = format!("p{}", host.ipv4().octets()[3]);
    host.lab().lan().exec(["bridge", "link", "set", "dev", &name, "state", state])?.ok().map(drop)
}
