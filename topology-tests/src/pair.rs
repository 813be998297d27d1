//! What the interoperation scenarios share: one routed, one other router, and
//! what each must know of the other.

use std::time::Duration;

use crate::{
    Container, Host, Lab, Result,
    cluster::{base_config, has_routes},
    peer::{Route, Routed},
};

/// Patience with two daemons that find each other.
pub const LIMIT: Duration = Duration::from_secs(30);
/// What the other router announces, inside the pools.
pub const THEIR_4: &str = "10.244.50.0/24";
/// The same in IPv6.
pub const THEIR_6: &str = "fd44:0:0:50::/64";
/// The AS of routed.
pub const ASN: u32 = 64512;

/// A host for routed with one container, and a place for another router.
#[derive(Debug)]
pub struct Pair {
    /// Our daemon.
    pub routed: Routed,
    /// The host it runs on.
    pub ours: Host,
    /// The host of the other router, which the scenario starts.
    pub theirs: Host,
    /// The lab of both.
    pub lab: Lab,
    /// Gives our bridge its carrier.
    _container: Container,
}

impl Pair {
    /// Starts routed with one session for each family to the other host, which
    /// is in AS `asn`. `more` is added to each peer.
    pub fn start(name: &str, asn: u32, more: &str) -> Result<Pair> {
        let lab = Lab::new(name)?;
        let (ours, theirs) = (lab.host("n1")?, lab.router("peer")?);
        let container = ours.container("c1")?;
        let peer = |address: String, family: &str| {
            format!(
                "\n[[bgp.peer]]\naddress = \"{address}\"\nasn = {asn}\nfamilies = [\"{family}\"]\n\
                 connect_retry = 1\n{more}\n"
            )
        };
        let config = base_config(&ours, ASN)
            + &peer(theirs.ipv4().to_string(), "ipv4")
            + &peer(theirs.ipv6().to_string(), "ipv6");
        let routed = Routed::start(&ours, &config)?;
        Ok(Pair { routed, ours, theirs, lab, _container: container })
    }

    /// Waits until `read` shows our two prefixes with our addresses as next
    /// hops and our AS in the path where the session is external.
    pub fn they_have_ours(&self, asn: u32, read: impl Fn() -> Result<Vec<Route>>) -> Result<()> {
        let path = if asn == ASN { vec![] } else { vec![ASN] };
        // A speaker that is told both IPv6 next hops may show either (RFC 2545 §3).
        let wanted = [
            (self.ours.subnet4(), vec![self.ours.ipv4().to_string()]),
            (self.ours.subnet6(), vec![self.ours.ipv6().to_string(), self.ours.link_local()?]),
        ];
        self.lab.wait_until("the peer has our prefixes", LIMIT, || {
            let routes = read().map_err(|e| e.to_string())?;
            let missing = wanted.iter().find(|(prefix, next_hops)| {
                !routes.iter().any(|r| {
                    r.best && r.prefix == *prefix && next_hops.contains(&r.next_hop) && r.as_path == path
                })
            });
            missing.map_or(Ok(()), |missing| Err(format!("no {missing:?} by {path:?} in {routes:?}")))
        })
    }

    /// Waits until our kernel and `routectl` show their two prefixes.
    pub fn we_have_theirs(&self) -> Result<()> {
        let wanted = [THEIR_4.to_owned(), THEIR_6.to_owned()];
        self.lab.wait_until("our kernel has their prefixes", LIMIT, || has_routes(&self.ours, &wanted))?;
        self.lab.wait_until("routectl has their prefixes", LIMIT, || {
            let have = self.routed.prefixes("bgp").map_err(|e| e.to_string())?;
            if wanted.iter().all(|w| have.contains(w)) { Ok(()) } else { Err(format!("{have:?}")) }
        })
    }

    /// Waits until `routectl` shows both sessions established.
    pub fn sessions_are_up(&self) -> Result<()> {
        for address in [self.theirs.ipv4().to_string(), self.theirs.ipv6().to_string()] {
            self.lab.wait_until(&format!("the session with {address} is up"), LIMIT, || {
                let state = self.routed.session_state(&address).map_err(|e| e.to_string())?;
                if state == "Established" { Ok(()) } else { Err(state) }
            })?;
        }
        Ok(())
    }
}
