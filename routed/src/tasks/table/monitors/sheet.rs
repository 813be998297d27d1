//! Routes on their way to a collector: those that are alike go together.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bgp::wire::Nlri;
use indexmap::IndexMap;
use monitor::bmp::Header;
use net::{Attrs, Family, NextHop, Prefix};
use rustc_hash::FxBuildHasher;

use super::News;

/// One moment by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) wall: Duration,
}

impl Now {
    /// An instant of the past; zero where it is not known.
    pub(super) fn since_1970(self, since: Option<Instant>) -> Duration {
        let ago = |since| self.wall.saturating_sub(self.instant.saturating_duration_since(since));
        since.map_or(Duration::ZERO, ago)
    }
}

/// True when paths to a prefix are told one by one, each with its identifier.
pub(super) fn tells_several(header: &Header, prefix: Prefix) -> bool {
    header.add_path[prefix.family().index()]
}

/// Prefixes that can stand in one message: of whom, of which family, with
/// which attributes (by their place, they are held beside).
type Alike = (Header, Family, usize);

/// News of routes while they are gathered.
#[derive(Default)]
pub(super) struct Sheet {
    reach: IndexMap<Alike, (Arc<Attrs>, Vec<Nlri>), FxBuildHasher>,
    unreach: IndexMap<(Header, Family), Vec<Nlri>, FxBuildHasher>,
}

impl Sheet {
    pub(super) fn reach(&mut self, header: Header, nlri: Nlri, attrs: &Arc<Attrs>) {
        let alike = (header, nlri.prefix.family(), Arc::as_ptr(attrs).addr());
        self.reach.entry(alike).or_insert_with(|| (Arc::clone(attrs), Vec::new())).1.push(nlri);
    }

    pub(super) fn unreach(&mut self, header: Header, nlri: Nlri) {
        self.unreach.entry((header, nlri.prefix.family())).or_default().push(nlri);
    }

    pub(super) fn into_news(self) -> Vec<News> {
        let gone =
            self.unreach.into_iter().map(|((header, family), nlri)| News::Unreach(header, family, nlri));
        let reach = self.reach.into_iter();
        gone.chain(reach.map(|((header, family, _), (attrs, nlri))| {
            News::Reach(header, family, with_next_hop(family, attrs), nlri)
        }))
        .collect()
    }
}

/// What begins on this node has no next hop; on the wire that is an
/// unspecified one.
pub(in crate::tasks::table) fn with_next_hop(family: Family, attrs: Arc<Attrs>) -> Arc<Attrs> {
    if attrs.next_hop.is_some() {
        return attrs;
    }
    let next_hop = match family {
        Family::Ipv4Unicast => NextHop::V4(Ipv4Addr::UNSPECIFIED),
        Family::Ipv6Unicast => NextHop::V6 { global: Ipv6Addr::UNSPECIFIED, link_local: None },
    };
    Arc::new(Attrs { next_hop: Some(next_hop), ..Attrs::clone(&attrs) })
}
