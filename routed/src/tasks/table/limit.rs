//! How many prefixes a peer may send, and what happens when it sends more.

use bgp::peer::Admin;
use net::{Family, Prefix};
use rib::PeerId;
use tracing::{info, warn};

use super::TableTask;
use crate::config::{AtLimit, MaxPrefixes};
use crate::tasks::PeerCommand;

/// The limit of one session.
#[derive(Debug)]
pub(super) struct Limit {
    max: MaxPrefixes,
    /// What has been said of each family.
    said: [Said; Family::ALL.len()],
    /// The session is being ended.
    over: bool,
    /// Prefixes that were not taken.
    pub(super) discarded: u64,
}

/// What the log has been told of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    #[default]
    Nothing,
    Near,
    Beyond,
}

impl Limit {
    pub(super) fn new(max: MaxPrefixes) -> Self {
        Self { max, said: Default::default(), over: false, discarded: 0 }
    }

    /// Another limit.
    pub(super) fn set(&mut self, max: MaxPrefixes) {
        if self.max != max {
            *self = Self { discarded: self.discarded, ..Self::new(max) };
        }
    }

    /// What is to be said now that so many prefixes are there: each thing
    /// once, and again after the number was below the warning.
    fn says(&mut self, family: Family, received: usize) -> Said {
        let beyond = match self.max.action {
            // The table never holds more than the limit.
            AtLimit::Discard => self.discarded > 0 && received >= self.max.limit as usize,
            AtLimit::Warn | AtLimit::Shut => received > self.max.limit as usize,
        };
        let now = match received {
            _ if beyond => Said::Beyond,
            _ if received >= self.max.warn_from() && received > 0 => Said::Near,
            _ => Said::Nothing,
        };
        let said = &mut self.said[family.index()];
        if now == Said::Nothing {
            *said = now;
        }
        let news = now > *said;
        *said = now.max(*said);
        if news { now } else { Said::Nothing }
    }
}

impl TableTask {
    /// Of what a peer tells, what it may: where the rest is to be discarded,
    /// no prefix that is new when there are as many as may be.
    pub(super) fn within_limit(
        &mut self,
        id: PeerId,
        family: Family,
        told: Vec<(Prefix, u32)>,
    ) -> Vec<(Prefix, u32)> {
        let received = self.table.counts(id, family).received;
        let Some((limit, _)) = self.sessions.limit(id) else { return told };
        let most = limit.max.limit as usize;
        if limit.max.action != AtLimit::Discard || received + told.len() <= most {
            return told;
        }
        let mut room = most.saturating_sub(received);
        let before = told.len();
        let mut taken = Vec::with_capacity(before);
        for one in told {
            if self.table.has_told(id, one) {
                taken.push(one);
            } else if room > 0 {
                room -= 1;
                taken.push(one);
            }
        }
        limit.discarded += (before - taken.len()) as u64;
        taken
    }

    /// Warns of a peer that is near its limit, and ends the session of one
    /// that is beyond, where that is wanted (RFC 4486 §4).
    pub(super) fn check_limit(&mut self, id: PeerId) {
        for family in Family::ALL {
            let received = self.table.counts(id, family).received;
            let Some((limit, _)) = self.sessions.limit(id).filter(|(limit, _)| !limit.over) else {
                return;
            };
            let said = limit.says(family, received);
            if said != Said::Nothing && !self.say(id, family, said, received) {
                return;
            }
        }
    }

    /// Says how near to its limit a peer is, and ends its session where that is
    /// wanted; false when that could not be said yet.
    fn say(&mut self, id: PeerId, family: Family, said: Said, received: usize) -> bool {
        let peer = self.peer_name(id);
        let Some((limit, control)) = self.sessions.limit(id) else { return false };
        let most = limit.max.limit;
        match (said, limit.max.action) {
            (Said::Beyond, AtLimit::Shut) => {
                let stop = PeerCommand::Stop(Admin::MaxPrefixes { family, limit: most });
                if control.try_send(stop).is_err() {
                    // Its queue is full: the next update tries again.
                    limit.said[family.index()] = Said::Near;
                    return false;
                }
                limit.over = true;
                warn!(%peer, %family, limit = most, "peer sent more prefixes than max_prefixes; session ends");
            }
            (Said::Beyond, AtLimit::Discard) => {
                warn!(%peer, %family, limit = most, "peer sent more prefixes than max_prefixes; the rest is not taken");
            }
            (Said::Beyond, AtLimit::Warn) => {
                warn!(%peer, %family, limit = most, received, "peer sent more prefixes than max_prefixes; they are taken");
            }
            (Said::Near, _) => {
                info!(%peer, %family, limit = most, received, "peer is near its limit of prefixes");
            }
            (Said::Nothing, _) => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_said_once_until_the_number_is_small_again() {
        use Said::{Beyond, Near, Nothing};
        let v4 = Family::Ipv4Unicast;
        let mut limit =
            Limit::new(MaxPrefixes { limit: 100, action: AtLimit::Warn, ..MaxPrefixes::default() });
        let said = [10, 75, 80, 100, 101, 200, 90, 10, 80].map(|received| limit.says(v4, received));
        assert_eq!(said, [Nothing, Near, Nothing, Nothing, Beyond, Nothing, Nothing, Nothing, Near]);
        assert_eq!(limit.says(Family::Ipv6Unicast, 300), Beyond, "each family counts on its own");
    }
}
