//! What collectors of BMP are shown: sessions, and routes as they change.
//!
//! ```text
//!  sessions ───── up, ended ─────┐
//!  rib::observe ─ paths heard ───┼─► per collector: what it has yet to hear ─► News (bounded) ─► its task
//!  changes ────── best routes ───┘    (walks with a cursor, sets of prefixes)
//! ```
//! A new collector is walked through the table page by page; what changes
//! meanwhile is a set of prefixes. So one that does not read costs a bounded
//! amount of memory, and the table never waits for it. What it was told is
//! kept nowhere: it may hear that a prefix has gone that it never heard of.

mod ended;
mod sheet;
mod statistics;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bgp::conn::Up;
use bgp::peer::Why;
use bgp::wire::Nlri;
use indexmap::IndexSet;
use monitor::bmp::{Ended, Header, Rib, Speaker};
use net::{Asn, Attrs, Family, Prefix};
use rib::observe::{Heard, Told};
use rib::{Offered, PeerId, Table};
use rustc_hash::FxBuildHasher;
use tokio::sync::mpsc;

use self::ended::ended;
pub(super) use self::sheet::with_next_hop;
use self::sheet::{Now, Sheet, tells_several};
pub(crate) use self::statistics::Statistics;
use super::TableTask;

/// How many batches of news may wait for a collector's task.
pub(crate) const NEWS: usize = 4;
/// How many prefixes are looked at for a batch.
const PAGE: usize = 1024;

/// A collector and what it is shown.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// What it is shown.
    pub(crate) ribs: Vec<Rib>,
    /// Where the news go.
    pub(crate) news: mpsc::Sender<Vec<News>>,
}

/// What a collector hears.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    /// Loc-RIB is shown from now on, as that of this speaker.
    LocUp(Header),
    /// A session is up.
    Up(Arc<Monitored>),
    /// A session is down.
    Down(Arc<Monitored>, Ended, Duration),
    /// Prefixes have these attributes.
    Reach(Header, Family, Arc<Attrs>, Vec<Nlri>),
    /// Prefixes are there no more.
    Unreach(Header, Family, Vec<Nlri>),
    /// All that was there has been shown.
    End(Header, Family),
}

/// A session.
#[derive(Debug, PartialEq)]
pub(crate) struct Monitored {
    /// The peer.
    pub(crate) id: PeerId,
    /// As it is named to collectors.
    pub(crate) speaker: Speaker,
    /// Since when, counted from 1970.
    pub(crate) since: Duration,
    /// What was negotiated.
    pub(crate) up: Arc<Up>,
}

impl Monitored {
    pub(crate) fn header(&self, rib: Rib, at: Duration) -> Header {
        let families = match rib {
            Rib::AdjInPre | Rib::AdjInPost => &self.up.add_path_receive,
            Rib::AdjOutPre | Rib::AdjOutPost => &self.up.add_path_send,
            Rib::Loc => &Vec::new(),
        };
        let add_path = Family::ALL.map(|family| families.contains(&family));
        Header { rib, of: self.speaker, at, add_path }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// After this prefix there may be more.
    After(Option<Prefix>),
    Done,
}

/// A session that a collector knows to be up.
struct Known {
    session: Arc<Monitored>,
    /// It is not any more, and that is to be told.
    ended: Option<(Ended, Duration)>,
    /// What the peer told.
    heard: Walk,
    /// What the peer is told; `anew`: prefixes may have gone from that.
    told: Walk,
    anew: bool,
}

struct Collector {
    monitor: Monitor,
    peers: BTreeMap<PeerId, Known>,
    loc: Walk,
    loc_is_up: bool,
    heard: IndexSet<Told, FxBuildHasher>,
    /// Prefixes with another best route, and paths of those told one by one.
    best: IndexSet<Nlri, FxBuildHasher>,
}

/// All collectors, and the sessions that there are.
#[derive(Default)]
pub(super) struct Monitors {
    up: BTreeMap<PeerId, Arc<Monitored>>,
    collectors: Vec<Collector>,
}

impl Monitors {
    pub(super) fn peer_up(&mut self, id: PeerId, address: IpAddr, up: &Arc<Up>) {
        self.peer_down(id, &Why::Replaced);
        let link = match up.endpoints.remote {
            SocketAddr::V6(remote) => remote.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        let speaker = Speaker { address, link, asn: up.peer_as, router_id: up.router_id };
        let session = Monitored { id, speaker, since: since_1970(), up: Arc::clone(up) };
        self.up.insert(id, Arc::new(session));
    }

    pub(super) fn peer_down(&mut self, id: PeerId, why: &Why) {
        let Some(session) = self.up.remove(&id) else { return };
        let ended = ended(why, &session.up);
        for collector in &mut self.collectors {
            if let Some(known) = collector.peers.get_mut(&id).filter(|known| known.ended.is_none()) {
                known.ended = Some((ended.clone(), since_1970()));
            }
        }
    }

    /// What the peer is told may be other than before, whatever has changed.
    pub(super) fn told_anew(&mut self, id: PeerId) {
        for known in self.collectors.iter_mut().filter_map(|collector| collector.peers.get_mut(&id)) {
            (known.told, known.anew) = (Walk::After(None), true);
        }
    }

    /// A best route changed.
    pub(super) fn change(&mut self, prefix: Prefix) {
        for collector in &mut self.collectors {
            if collector.shows(Rib::Loc) || collector.shows_told() {
                collector.best.insert(prefix.into());
            }
        }
    }

    /// The usable paths of a prefix changed, which some peers are told.
    pub(super) fn offered(&mut self, offered: &Offered) {
        for collector in self.collectors.iter_mut().filter(|collector| collector.shows_told()) {
            let offers = offered.old.iter().chain(&offered.new);
            collector.best.extend(offers.map(|offer| Nlri { path_id: offer.id, prefix: offered.prefix }));
        }
    }

    /// Takes what peers have told since the last time.
    pub(super) fn observe(&mut self, table: &mut Table) {
        for told in table.take_observed() {
            for collector in self.collectors.iter_mut().filter(|collector| collector.shows_heard()) {
                collector.heard.insert(told);
            }
        }
    }

    /// True when a collector has more to hear than it could take.
    pub(super) fn wait(&self) -> bool {
        self.collectors.iter().any(|collector| collector.has_news(&self.up))
    }
}

fn since_1970() -> Duration {
    // A clock before 1970 is as good as none.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl Collector {
    fn new(monitor: Monitor) -> Self {
        let loc = if monitor.ribs.contains(&Rib::Loc) { Walk::After(None) } else { Walk::Done };
        Self {
            monitor,
            peers: BTreeMap::new(),
            loc,
            loc_is_up: loc == Walk::Done,
            heard: IndexSet::default(),
            best: IndexSet::default(),
        }
    }

    fn shows(&self, rib: Rib) -> bool {
        self.monitor.ribs.contains(&rib)
    }

    fn shows_heard(&self) -> bool {
        self.shows(Rib::AdjInPre) || self.shows(Rib::AdjInPost)
    }

    /// What it is shown of what peers are told.
    fn told(&self) -> Vec<Rib> {
        [Rib::AdjOutPre, Rib::AdjOutPost].into_iter().filter(|rib| self.shows(*rib)).collect()
    }

    fn shows_told(&self) -> bool {
        self.shows(Rib::AdjOutPre) || self.shows(Rib::AdjOutPost)
    }

    fn has_news(&self, up: &BTreeMap<PeerId, Arc<Monitored>>) -> bool {
        let known =
            |known: &Known| known.ended.is_some() || known.heard != Walk::Done || known.told != Walk::Done;
        !self.heard.is_empty()
            || !self.best.is_empty()
            || self.loc != Walk::Done
            || self.peers.values().any(known)
            || up.keys().any(|id| !self.peers.contains_key(id))
    }

    /// Sessions that have ended, or those that are new.
    fn sessions(&mut self, up: &BTreeMap<PeerId, Arc<Monitored>>) -> Vec<News> {
        let over: Vec<PeerId> =
            self.peers.iter().filter(|(_, known)| known.ended.is_some()).map(|(id, _)| *id).collect();
        let mut news = Vec::new();
        for id in over {
            if let Some(Known { session, ended: Some((ended, at)), .. }) = self.peers.remove(&id) {
                self.heard.retain(|(other, ..)| *other != id);
                news.push(News::Down(session, ended, at));
            }
        }
        let begins = |shown: bool| if shown { Walk::After(None) } else { Walk::Done };
        for (id, session) in up {
            if !self.peers.contains_key(id) {
                let known = Known {
                    session: Arc::clone(session),
                    ended: None,
                    heard: begins(self.shows_heard()),
                    told: begins(self.shows_told()),
                    anew: false,
                };
                self.peers.insert(*id, known);
                news.push(News::Up(Arc::clone(session)));
            }
        }
        news
    }

    /// What the peer told of a prefix; `gone`: or that it has gone.
    fn show_heard(&self, sheet: &mut Sheet, (now, session): (Now, &Monitored), heard: &Heard, gone: bool) {
        let at = now.since_1970(heard.since);
        let nlri = Nlri { prefix: heard.prefix, path_id: heard.path_id };
        if self.shows(Rib::AdjInPre) {
            sheet.reach(session.header(Rib::AdjInPre, at), nlri, &heard.path.received);
        }
        match &heard.path.imported {
            _ if !self.shows(Rib::AdjInPost) => {}
            Ok(attrs) => sheet.reach(session.header(Rib::AdjInPost, at), nlri, attrs),
            Err(_) if gone => sheet.unreach(session.header(Rib::AdjInPost, now.wall), nlri),
            Err(_) => {}
        }
    }

    fn show_not_heard(&self, sheet: &mut Sheet, now: Now, session: &Monitored, nlri: Nlri) {
        for rib in [Rib::AdjInPre, Rib::AdjInPost].into_iter().filter(|rib| self.shows(*rib)) {
            sheet.unreach(session.header(rib, now.wall), nlri);
        }
    }
}

impl TableTask {
    pub(super) fn monitor(&mut self, monitor: Monitor) {
        self.table.observe(true);
        self.monitors.collectors.push(Collector::new(monitor));
    }

    /// Gives each collector what it can take.
    pub(super) fn feed_monitors(&mut self, now: Instant) {
        let Monitors { up, mut collectors } = std::mem::take(&mut self.monitors);
        collectors.retain(|collector| !collector.monitor.news.is_closed());
        if collectors.is_empty() {
            self.table.observe(false);
        }
        if !collectors.iter().any(|collector| collector.shows(Rib::AdjOutPre)) {
            self.adj_out.forget_before_filter();
        }
        let now = Now { instant: now, wall: since_1970() };
        for collector in &mut collectors {
            let news = collector.monitor.news.clone();
            for _ in 0..NEWS {
                let Ok(permit) = news.try_reserve() else { break };
                if !collector.has_news(&up) {
                    break;
                }
                let batch = self.news_of(now, collector, &up);
                if !batch.is_empty() {
                    permit.send(batch);
                }
            }
        }
        self.monitors = Monitors { up, collectors };
    }

    /// The next news: sessions before routes, what was there before changes.
    fn news_of(
        &mut self,
        now: Now,
        collector: &mut Collector,
        up: &BTreeMap<PeerId, Arc<Monitored>>,
    ) -> Vec<News> {
        if !std::mem::replace(&mut collector.loc_is_up, true) {
            return vec![News::LocUp(self.loc(now.wall))];
        }
        let sessions = collector.sessions(up);
        if !sessions.is_empty() {
            return sessions;
        }
        let walking = |known: &&mut Known| known.heard != Walk::Done || known.told != Walk::Done;
        if let Some(known) = collector.peers.values_mut().find(walking) {
            let id = known.session.id;
            return match (known.heard, known.told) {
                (Walk::After(after), _) => self.walk_heard(now, collector, id, after),
                (Walk::Done, Walk::After(after)) => self.walk_told(now, collector, id, after),
                (Walk::Done, Walk::Done) => Vec::new(),
            };
        }
        match collector.loc {
            Walk::After(after) => self.walk_best(collector, after),
            Walk::Done => self.changes(now, collector),
        }
    }

    fn walk_heard(
        &self,
        now: Now,
        collector: &mut Collector,
        id: PeerId,
        after: Option<Prefix>,
    ) -> Vec<News> {
        let Some(session) = collector.peers.get(&id).map(|known| Arc::clone(&known.session)) else {
            return Vec::new();
        };
        let page = self.table.heard(id, after, PAGE);
        let mut sheet = Sheet::default();
        for heard in &page.items {
            collector.show_heard(&mut sheet, (now, &session), heard, false);
        }
        let mut news = sheet.into_news();
        if page.next.is_none() {
            for rib in [Rib::AdjInPre, Rib::AdjInPost].into_iter().filter(|rib| collector.shows(*rib)) {
                let end = |family: &Family| News::End(session.header(rib, now.wall), *family);
                news.extend(session.up.families.iter().map(end));
            }
        }
        if let Some(known) = collector.peers.get_mut(&id) {
            known.heard = page.next.map_or(Walk::Done, |next| Walk::After(Some(next)));
        }
        news
    }

    fn walk_told(
        &mut self,
        now: Now,
        collector: &mut Collector,
        id: PeerId,
        after: Option<Prefix>,
    ) -> Vec<News> {
        let ribs = collector.told();
        let Some(known) = collector.peers.get_mut(&id) else { return Vec::new() };
        let mut sheet = Sheet::default();
        let headers = || ribs.iter().map(|rib| known.session.header(*rib, now.wall));
        let (prefixes, next) = self.next_best(after);
        for (prefix, header) in prefixes.into_iter().flat_map(|prefix| headers().map(move |h| (prefix, h))) {
            self.show_told(&mut sheet, header, (id, prefix.into()), known.anew);
            for offer in self.table.offers(prefix).into_iter().filter(|_| tells_several(&header, prefix)) {
                let nlri = Nlri { path_id: offer.id, prefix };
                self.show_told(&mut sheet, header, (id, nlri), known.anew);
            }
        }
        let mut news = sheet.into_news();
        if next == Walk::Done && !known.anew {
            let families = &known.session.up.families;
            news.extend(headers().flat_map(|header| families.iter().map(move |f| News::End(header, *f))));
        }
        known.anew &= next != Walk::Done;
        known.told = next;
        news
    }

    fn walk_best(&self, collector: &mut Collector, after: Option<Prefix>) -> Vec<News> {
        let (mut sheet, header) = (Sheet::default(), self.loc(Duration::ZERO));
        let (prefixes, next) = self.next_best(after);
        for prefix in prefixes {
            self.show_best(&mut sheet, header, prefix);
        }
        collector.loc = next;
        let mut news = sheet.into_news();
        if next == Walk::Done {
            news.extend(Family::ALL.map(|family| News::End(header, family)));
        }
        news
    }

    fn changes(&mut self, now: Now, collector: &mut Collector) -> Vec<News> {
        let (mut sheet, ribs) = (Sheet::default(), collector.told());
        for _ in 0..PAGE {
            let Some(told) = collector.heard.pop() else { break };
            let (id, prefix, path_id) = told;
            let Some(known) = collector.peers.get(&id) else { continue };
            match self.table.heard_of(told) {
                Some(heard) => collector.show_heard(&mut sheet, (now, &known.session), &heard, true),
                None => collector.show_not_heard(&mut sheet, now, &known.session, Nlri { path_id, prefix }),
            }
        }
        for _ in 0..PAGE {
            let Some(nlri) = collector.best.pop() else { break };
            if collector.shows(Rib::Loc) && nlri.path_id == 0 {
                self.show_best(&mut sheet, self.loc(now.wall), nlri.prefix);
            }
            for (id, known) in &collector.peers {
                for rib in &ribs {
                    let header = known.session.header(*rib, now.wall);
                    self.show_told(&mut sheet, header, (*id, nlri), true);
                }
            }
        }
        sheet.into_news()
    }

    fn loc(&self, at: Duration) -> Header {
        let rules = self.table.rules();
        let address = std::net::Ipv4Addr::UNSPECIFIED.into();
        let of = Speaker { address, link: 0, asn: rules.asn.unwrap_or(Asn(0)), router_id: rules.router_id };
        Header { rib: Rib::Loc, of, at, add_path: [false; 2] }
    }

    fn next_best(&self, after: Option<Prefix>) -> (Vec<Prefix>, Walk) {
        let first = after.map_or(Family::Ipv4Unicast, Prefix::family);
        let families = Family::ALL.into_iter().filter(|family| *family >= first);
        let best = families
            .flat_map(|family| self.table.best_after(family, after.filter(|after| after.family() == family)));
        let prefixes: Vec<Prefix> = best.take(PAGE).map(|(prefix, _)| prefix).collect();
        let full = prefixes.len() == PAGE;
        let next = prefixes.last().copied().filter(|_| full);
        (prefixes, next.map_or(Walk::Done, |last| Walk::After(Some(last))))
    }

    fn show_best(&self, sheet: &mut Sheet, header: Header, prefix: Prefix) {
        match self.table.best(prefix) {
            Some(best) => sheet.reach(header, prefix.into(), best.path.attrs()),
            None => sheet.unreach(header, prefix.into()),
        }
    }

    fn show_told(&mut self, sheet: &mut Sheet, header: Header, (id, nlri): (PeerId, Nlri), gone: bool) {
        if tells_several(&header, nlri.prefix) != (nlri.path_id != 0) {
            return;
        }
        let told = match header.rib {
            Rib::AdjOutPre => self.adj_out.before_filter_of(&self.table, id, nlri.prefix),
            _ => self.adj_out.advertised_of(&self.table, id, nlri.prefix),
        };
        match told.iter().find(|told| told.nlri == nlri) {
            Some(told) => sheet.reach(header, nlri, &told.attrs),
            None if gone => sheet.unreach(header, nlri),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
