//! What an audience is told of a route, worked out once for all that are alike.

use std::net::Ipv4Addr;
use std::sync::Arc;

use net::{Attrs, Family, Nlri, Prefix};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::held::View;
use crate::export::{Audience, Exported, Outbound, Teller, admit, export};
use crate::intern::Interner;
use crate::{Offers, PeerId, Protocol, Source};

/// What a group is told of a prefix, and who said it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) attrs: Arc<Attrs>,
    pub(super) source: Source,
}

impl Told {
    /// True when both say the same; attributes are interned.
    pub(super) fn same(a: Option<&Self>, b: Option<&Self>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(&a.attrs, &b.attrs) && a.source == b.source,
            (None, None) => true,
            _ => false,
        }
    }
}

/// All that a group is told of a prefix, by path identifier.
pub(super) type Tells = SmallVec<[(u32, Arc<Told>); 1]>;

/// What a group is told of a path before and after.
pub(super) type WasIs = (Option<Arc<Told>>, Option<Arc<Told>>);

/// Each path of a prefix with what was told of it and what is.
pub(super) fn both<'a>(
    prefix: Prefix,
    was: &'a Tells,
    is: &'a Tells,
) -> impl Iterator<Item = (Nlri, WasIs)> + 'a {
    let of =
        |tells: &Tells, id| tells.iter().find(|(other, _)| *other == id).map(|(_, told)| Arc::clone(told));
    let new = is.iter().filter(|(id, _)| was.iter().all(|(other, _)| other != id));
    was.iter().chain(new).map(move |(id, _)| {
        let nlri = Nlri { path_id: *id, prefix };
        (nlri, (of(was, *id), of(is, *id)))
    })
}

/// What exports depend on besides the audience and the route.
pub(super) struct Scene<'a> {
    tellers: &'a FxHashMap<PeerId, Teller>,
    attrs: &'a mut Interner<Attrs>,
    cluster_id: Ipv4Addr,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        tellers: &'a FxHashMap<PeerId, Teller>,
        attrs: &'a mut Interner<Attrs>,
        cluster_id: Ipv4Addr,
    ) -> Self {
        Self { tellers, attrs, cluster_id }
    }

    fn teller(&self, source: Source) -> Option<&'a Teller> {
        match source {
            Source::Peer(id) => self.tellers.get(&id),
            Source::Local => None,
        }
    }
}

/// Routes that are equal in this become the same for an audience.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Alike {
    /// Where the attributes are; the memo keeps them there.
    attrs: usize,
    source: Source,
    protocol: Protocol,
    family: Family,
    /// Where the rule is that lets the route pass; 0 where no rule asks for
    /// the prefix.
    rule: usize,
    /// What is added to an accumulated metric.
    metric: u32,
}

#[derive(Debug)]
struct Memo {
    told: Option<Arc<Told>>,
    _attrs: Arc<Attrs>,
}

/// Whether a letter of a format can tell a route with these attributes.
pub(super) type Fits<F> = fn(&F, Family, &Attrs) -> bool;

/// Exports to an audience, in letters of a format.
#[derive(Debug)]
pub(super) struct Exporter<F> {
    pub(super) audience: Audience,
    format: F,
    fits: Fits<F>,
    /// The filter looks at prefixes.
    by_prefix: bool,
    memo: FxHashMap<Alike, Memo>,
    /// The last answer: routes that are alike come one after the other.
    last: Option<(Alike, Option<Arc<Told>>)>,
}

impl<F> Exporter<F> {
    pub(super) fn new(audience: Audience, format: F, fits: Fits<F>) -> Self {
        let by_prefix = audience.export.rules.iter().any(|rule| !rule.matches.prefix.is_empty());
        Self { audience, format, fits, by_prefix, memo: FxHashMap::default(), last: None }
    }

    /// The same without the filter (RFC 8671 §5: before policy).
    pub(super) fn unfiltered(&self) -> Self
    where
        F: Clone,
    {
        let export = Arc::new(crate::filter::accept_all());
        Self::new(Audience { export, ..self.audience.clone() }, self.format.clone(), self.fits)
    }

    /// True when the audience is told several paths to a prefix.
    pub(super) fn several(&self, family: Family) -> bool {
        self.audience.paths[family.index()].several()
    }

    /// What the audience is told of the paths to a prefix that may be told.
    /// Those count to its limit that the filter lets pass.
    pub(super) fn all(&mut self, scene: &mut Scene<'_>, prefix: Prefix, offers: &Offers) -> Tells {
        let limit = self.audience.paths[prefix.family().index()].limit();
        let tell = |offer: &crate::Offer| Some((offer.id, self.told(scene, prefix, offer.into())?));
        offers.iter().filter_map(tell).take(limit).collect()
    }

    /// What the audience is told of one path now.
    pub(super) fn now(&mut self, view: View<'_>, scene: &mut Scene<'_>, nlri: Nlri) -> Option<Arc<Told>> {
        let Nlri { path_id, prefix } = nlri;
        if !self.several(prefix.family()) {
            return self.told(scene, prefix, (&view.best(prefix)?).into());
        }
        let tells = self.all(scene, prefix, &view.tellable(prefix, true));
        tells.into_iter().find(|(id, _)| *id == path_id).map(|(_, told)| told)
    }

    /// What the audience is told of a path, if anything.
    pub(super) fn told(
        &mut self,
        scene: &mut Scene<'_>,
        prefix: Prefix,
        outbound: Outbound<'_>,
    ) -> Option<Arc<Told>> {
        let path = outbound.path;
        let source = path.source;
        let rule = if self.by_prefix {
            std::ptr::from_ref(admit(prefix, path, scene.teller(source), &self.audience).ok()?).addr()
        } else {
            0
        };
        let (protocol, family) = (path.protocol, prefix.family());
        let attrs = path.attrs();
        let attrs_at = Arc::as_ptr(attrs).addr();
        let alike = Alike { attrs: attrs_at, source, protocol, family, rule, metric: outbound.metric };
        if let Some((_, told)) = self.last.as_ref().filter(|(last, _)| *last == alike) {
            return told.clone();
        }
        if let Some(memo) = self.memo.get(&alike) {
            self.last = Some((alike, memo.told.clone()));
            return memo.told.clone();
        }
        let teller = scene.teller(source);
        let told = match export(prefix, outbound, teller, &self.audience, scene.cluster_id) {
            Exported::Send(attrs) if (self.fits)(&self.format, family, &attrs) => {
                Some(Arc::new(Told { attrs: scene.attrs.intern(attrs), source }))
            }
            Exported::Send(_) | Exported::Not(_) => None,
        };
        self.memo.insert(alike, Memo { told: told.clone(), _attrs: Arc::clone(attrs) });
        self.last = Some((alike, told.clone()));
        told
    }

    /// Forgets what was worked out, so that attributes nobody has can go.
    pub(super) fn forget(&mut self) {
        self.memo.clear();
        self.last = None;
    }
}
