//! What a best path becomes on its way to a peer (RFC 4271 §9.1.3, §9.2).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use net::{Asn, Attrs, Community, Family, NextHop, Prefix, Role, RouterId};

use crate::filter::{Action, Filter, Route, Rule, Verdict};
use crate::nexthop::off_link;
use crate::peer::{Carries, LocalEnd, NextHopMode, Paths, SendCommunities};
use crate::table::Best;
use crate::{Path, PeerInfo, Source, Why, roles};

/// The outcome of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
pub enum Exported {
    /// The peer is told, with these attributes.
    Send(Attrs),
    /// It is not.
    Not(Why),
}

/// What an export depends on besides the route: peers that are equal in this
/// hear the same, and form a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one property of the sessions")]
pub struct Audience {
    /// The peers are outside our AS, and outside our confederation.
    pub external: bool,
    /// Our AS on the sessions.
    pub local_asn: Asn,
    /// The peers are in our own AS, not only in our confederation.
    pub internal: bool,
    /// Our role towards the peers.
    pub role: Option<Role>,
    /// What the sessions carry beside plain routes.
    pub carries: Carries,
    /// The peers are clients of this reflector.
    pub client: bool,
    /// This AS, theirs, is replaced by ours in what they hear.
    pub as_override: Option<Asn>,
    /// Which communities they are told.
    pub send_communities: SendCommunities,
    /// Which next hop they are told.
    pub next_hop: NextHopMode,
    /// Our addresses on the sessions.
    pub local: LocalEnd,
    /// The families of the sessions.
    pub families: Vec<Family>,
    /// How many paths to a prefix they are told, by family.
    pub paths: [Paths; Family::ALL.len()],
    /// The export filter.
    pub export: Arc<Filter>,
    /// What they hear is marked, for this node is about to go (RFC 8326).
    pub graceful_shutdown: bool,
    /// The least time between two announcements to them.
    pub advertisement_interval: Duration,
}

impl Audience {
    /// The audience that a peer belongs to.
    pub fn of(peer: &PeerInfo) -> Self {
        Self {
            external: peer.external(),
            internal: peer.internal(),
            role: peer.role,
            carries: peer.carries,
            local_asn: peer.local_asn,
            client: peer.route_reflector_client,
            as_override: peer.as_override.then_some(peer.asn),
            send_communities: peer.send_communities,
            next_hop: peer.next_hop,
            local: peer.local,
            families: peer.families.clone(),
            paths: peer.paths,
            export: Arc::clone(&peer.export),
            graceful_shutdown: peer.graceful_shutdown,
            advertisement_interval: peer.advertisement_interval,
        }
    }
}

/// What an export depends on of the peer that the path is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Teller {
    /// Its address.
    pub address: IpAddr,
    /// Its BGP identifier.
    pub router_id: RouterId,
    /// It is outside our AS, and outside our confederation.
    pub external: bool,
    /// It is in our own AS, not only in our confederation.
    pub internal: bool,
    /// It is a client of this reflector.
    pub client: bool,
}

impl Teller {
    /// A peer as the source of paths.
    pub fn of(peer: &PeerInfo) -> Self {
        Self {
            address: peer.address,
            router_id: peer.router_id,
            external: peer.external(),
            internal: peer.internal(),
            client: peer.route_reflector_client,
        }
    }
}

/// A path on its way to peers.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// The path.
    pub path: &'a Arc<Path>,
    /// The metric to its next hop where it is accumulated (RFC 7311), else 0.
    pub metric: u32,
}

impl<'a> From<&'a Best> for Outbound<'a> {
    fn from(best: &'a Best) -> Self {
        Self { path: &best.path, metric: best.metric }
    }
}

/// What an audience is told of a path; `teller` is the peer that the
/// path is from, `cluster_id` our cluster (RFC 4456 §7).
pub fn export(
    prefix: Prefix,
    outbound: Outbound<'_>,
    teller: Option<&Teller>,
    audience: &Audience,
    cluster_id: Ipv4Addr,
) -> Exported {
    let told = admit(prefix, outbound.path, teller, audience)
        .and_then(|rule| tell((prefix.family(), rule), outbound, teller, audience, cluster_id));
    match told {
        Ok(attrs) => Exported::Send(attrs),
        Err(why) => Exported::Not(why),
    }
}

/// Whether an audience is told of a path at all, and the rule that lets it pass.
pub(crate) fn admit<'a>(
    prefix: Prefix,
    path: &Path,
    teller: Option<&Teller>,
    audience: &'a Audience,
) -> Result<&'a Rule, Why> {
    let attrs = path.attrs();
    if !audience.families.contains(&prefix.family()) {
        return Err(Why::FamilyNotNegotiated(prefix.family()));
    }
    permitted(attrs, audience)?;
    roles::check_told(attrs, audience.role)?;
    if let Some(teller) = teller.filter(|teller| teller.internal && audience.internal)
        && !teller.client
        && !audience.client
    {
        return Err(Why::NotReflected);
    }
    let route = Route { prefix, attrs, protocol: path.protocol, peer: teller.map(|teller| teller.address) };
    match audience.export.eval(&route) {
        Verdict::Reject(why) => Err(why),
        Verdict::Accept(rule) => Ok(rule),
    }
}

/// What an audience is told of a path that this rule has let pass. Depends on
/// nothing of the prefix but its family.
pub(crate) fn tell(
    (family, rule): (Family, &Rule),
    outbound: Outbound<'_>,
    teller: Option<&Teller>,
    audience: &Audience,
    cluster_id: Ipv4Addr,
) -> Result<Attrs, Why> {
    let path = outbound.path;
    let attrs = path.attrs();
    let mut told = Attrs::clone(attrs);
    pass_unknown(&mut told);
    told.only_to_customer = roles::mark_told(attrs, audience.role, audience.local_asn);
    if !audience.carries.aigp {
        (told.aigp, told.aigp_more) = (None, Box::default());
    }
    told.next_hop = Some(match rule.next_hop_for(family, audience.carries.extended_next_hop) {
        Some(named) => named,
        None => next_hop(family, attrs, path.source, audience)?,
    });
    if audience.external {
        strip_internal(&mut told, path.source);
        rule.edit(&mut told, audience.local_asn);
        // RFC 4271 §5.1.5, §5.1.2 b.
        told.local_pref = None;
        told.as_path = told.as_path.outside().prepended(audience.local_asn, 1);
    } else {
        // RFC 4271 §5.1.5: it MUST be there towards internal peers.
        told.local_pref = Some(attrs.effective_local_pref());
        rule.edit(&mut told, audience.local_asn);
        if audience.carries.confederation {
            // RFC 5065 §4 b; RFC 4456 §8: reflection ends at the AS.
            told.as_path = told.as_path.prepended_inside(audience.local_asn);
            (told.originator_id, told.cluster_list) = (None, Vec::new());
        }
        if let Some(teller) = teller.filter(|teller| teller.internal && audience.internal) {
            reflect(&mut told, teller, cluster_id);
        }
    }
    // It has done its work in the filter; the wire has no place for it.
    told.tag = 0;
    if rule.action == Action::Blackhole {
        told.communities.push(Community::BLACKHOLE);
    }
    shape(&mut told, audience);
    if audience.graceful_shutdown {
        mark(&mut told, audience.external);
    }
    accumulate(&mut told, outbound);
    if audience.carries.aigp && told.aigp.is_none() && audience.local.has(told.next_hop) {
        // RFC 7311 §3.4.1: whoever begins the metric MUST be the next hop.
        told.aigp = rule.set.aigp;
    }
    Ok(told)
}

/// RFC 7311 §3.4: with another next hop than it was learned with, the metric to
/// the old one is added, and at least one.
fn accumulate(told: &mut Attrs, outbound: Outbound<'_>) {
    let kept = told.next_hop.map(NextHop::address) == outbound.path.attrs().next_hop.map(NextHop::address);
    if let Some(metric) = told.aigp.as_mut().filter(|_| !kept) {
        *metric = metric.saturating_add(outbound.metric.max(1).into()).min(u64::MAX - 1);
    }
}

/// RFC 1997: what communities forbid; RFC 9494 §4.3: who hears of stale routes.
fn permitted(attrs: &Attrs, audience: &Audience) -> Result<(), Why> {
    let forbids = |community: &&Community| match **community {
        Community::NO_ADVERTISE => true,
        Community::NO_EXPORT => audience.external,
        Community::NO_EXPORT_SUBCONFED => !audience.internal,
        Community::LLGR_STALE => !audience.carries.long_lived,
        _ => false,
    };
    attrs.communities.iter().find(forbids).map_or(Ok(()), |community| Err(Why::Community(*community)))
}

/// RFC 4271 §5.1.3: towards external peers ourselves; towards internal ones
/// what was learned, and ourselves for what begins here.
fn next_hop(family: Family, attrs: &Attrs, source: Source, audience: &Audience) -> Result<NextHop, Why> {
    let fits = |next_hop: &NextHop| {
        // RFC 8950 §4: an IPv6 next hop of an IPv4 route only where it was agreed on.
        next_hop.family() == family
            || next_hop.family() == Family::Ipv6Unicast && audience.carries.extended_next_hop
    };
    let learned = off_link(attrs).filter(|next_hop| fits(next_hop) && source != Source::Local);
    let keeps = match audience.next_hop {
        NextHopMode::Auto => !audience.external,
        NextHopMode::Myself => false,
        NextHopMode::Keep => true,
    };
    match learned {
        Some(NextHop::V6 { global, .. }) if keeps && global.is_unicast_link_local() => {
            ourselves(family, audience)
        }
        Some(next_hop) if keeps => Ok(next_hop),
        _ => ourselves(family, audience),
    }
}

fn ourselves(family: Family, audience: &Audience) -> Result<NextHop, Why> {
    let LocalEnd { v4, v6, link_local } = audience.local;
    let ipv6 = || v6.or(link_local).map(|global| NextHop::V6 { global, link_local });
    let ours = match family {
        // RFC 8950 §3: IPv4 over IPv6 where there is no IPv4 address.
        Family::Ipv4Unicast => {
            v4.map(NextHop::V4).or_else(|| ipv6().filter(|_| audience.carries.extended_next_hop))
        }
        // RFC 2545 §3: the global address, or where there is none the link-local one.
        Family::Ipv6Unicast => ipv6(),
    };
    ours.ok_or(Why::NoLocalAddress(family))
}

/// What must not leave the AS.
fn strip_internal(told: &mut Attrs, source: Source) {
    told.originator_id = None;
    told.cluster_list.clear();
    // RFC 4360 §6.
    told.ext_communities.retain(|community| !community.is_non_transitive());
    told.ipv6_ext_communities.retain(|community| !community.is_non_transitive());
    // RFC 4271 §5.1.4: a MED that was received MUST NOT be passed on.
    if source != Source::Local {
        told.med = None;
    }
}

/// RFC 4271 §5: what we do not know goes on when it is transitive, marked partial.
fn pass_unknown(told: &mut Attrs) {
    const OPTIONAL: u8 = 0x80;
    const TRANSITIVE: u8 = 0x40;
    const PARTIAL: u8 = 0x20;
    told.unknown.retain(|attr| attr.flags & TRANSITIVE != 0);
    for attr in &mut told.unknown {
        if attr.flags & OPTIONAL != 0 {
            attr.flags |= PARTIAL;
        }
    }
}

/// What a peer is not told, or told otherwise.
fn shape(told: &mut Attrs, audience: &Audience) {
    let SendCommunities { standard, extended, large } = audience.send_communities;
    if !standard {
        told.communities.clear();
    }
    if !extended {
        told.ext_communities.clear();
    }
    if !large {
        told.large_communities.clear();
    }
    if let Some(theirs) = audience.as_override {
        told.as_path = told.as_path.replaced(theirs, audience.local_asn);
    }
}

/// RFC 8326 §4.2: what is about to go is marked, after the filter, and inside
/// the AS, where the mark changes nothing (§4.1), it has the least preference.
fn mark(told: &mut Attrs, external: bool) {
    if !told.communities.contains(&Community::GRACEFUL_SHUTDOWN) {
        told.communities.push(Community::GRACEFUL_SHUTDOWN);
    }
    if !external {
        told.local_pref = Some(0);
    }
}

/// RFC 4456 §8: who began it, and that it passed our cluster.
fn reflect(told: &mut Attrs, teller: &Teller, cluster_id: Ipv4Addr) {
    told.originator_id = told.originator_id.or(Some(teller.router_id));
    told.cluster_list.insert(0, cluster_id);
}

#[cfg(test)]
mod tests;
