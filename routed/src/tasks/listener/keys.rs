//! Which TCP-MD5 key whoever dials in must have.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use net::Prefix;

use crate::config::{Bgp, Secret};

/// How long a key of several is accepted before it is the turn of the next:
/// a SYN that is refused comes again after one, three and seven seconds.
pub(super) const TURN: Duration = Duration::from_secs(2);

/// Keys by peer, a host prefix, or range of peers.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by: BTreeMap<Prefix, Vec<Secret>>,
    /// How often it was the turn of the next key.
    pub(super) turn: usize,
    /// When it is again.
    pub(super) next: Option<Instant>,
}

impl Keys {
    pub(super) fn of(bgp: &Bgp) -> Self {
        let ranges = bgp.dynamic.iter().filter_map(|of| Some((of.range()?, &of.template.passwords)));
        let known = bgp.peers.iter().filter(|peer| !peer.address.is_unspecified());
        let peers = known.map(|peer| (Prefix::host(peer.address), &peer.passwords));
        let mut by: BTreeMap<Prefix, Vec<Secret>> = BTreeMap::new();
        for (who, keys) in ranges.chain(peers).filter(|(_, keys)| !keys.is_empty()) {
            // One link-local address may be that of a peer on each of several
            // links; the kernel has one key for all of them, so they take turns.
            let all = by.entry(who).or_default();
            let new = keys.iter().filter(|key| !all.contains(key)).cloned().collect::<Vec<_>>();
            all.extend(new);
        }
        Self { by, turn: 0, next: Some(Instant::now() + TURN) }
    }

    /// Takes other keys; the turn stays.
    pub(super) fn replace(&mut self, other: Self) {
        self.by = other.by;
    }

    /// Everybody who has a key.
    pub(super) fn all(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.by.keys().copied()
    }

    /// Those who have several.
    pub(super) fn several(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.by.iter().filter(|(_, keys)| keys.len() > 1).map(|(who, _)| *who)
    }

    /// Those who have a key here and none there.
    pub(super) fn gone<'a>(&'a self, there: &'a Self) -> impl Iterator<Item = Prefix> + 'a {
        self.all().filter(|who| !there.by.contains_key(who))
    }

    /// Those who have other keys here than there.
    pub(super) fn changed<'a>(&'a self, there: &'a Self) -> impl Iterator<Item = Prefix> + 'a {
        self.by.iter().filter(|(who, keys)| there.by.get(who) != Some(keys)).map(|(who, _)| *who)
    }

    /// The key whose turn it is; empty where there is none.
    pub(super) fn current(&self, who: Prefix) -> &[u8] {
        self.turn_of(who).map_or(b"", Secret::expose)
    }

    /// The key that whoever dials from this address must have now.
    pub(super) fn of_address(&self, address: IpAddr) -> Option<&Secret> {
        let holds = |who: &Prefix| who.contains(address);
        self.all().filter(holds).max_by_key(|who| who.len()).and_then(|who| self.turn_of(who))
    }

    fn turn_of(&self, who: Prefix) -> Option<&Secret> {
        let keys = self.by.get(&who)?;
        keys.get(self.turn % keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_own_key_before_that_of_its_range_and_several_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let path = dir.path().display();
        let source = format!(
            "[bgp]\nasn = 1\n[[bgp.peer]]\naddress = \"192.0.2.7\"\nasn = 1\n\
             password_file = [\"{path}/a\", \"{path}/b\"]\n\
             [[bgp.dynamic]]\nrange = \"192.0.2.0/24\"\nasn = 1\npassword_file = \"{path}/c\"\n"
        );
        let mut keys = Keys::of(&crate::config::parse("t", &source).unwrap().0.bgp.unwrap());
        let key = |keys: &Keys, address: &str| {
            keys.of_address(address.parse().unwrap())
                .map(|key| String::from_utf8_lossy(key.expose()).into_owned())
        };
        assert_eq!(key(&keys, "192.0.2.7").as_deref(), Some("a"));
        assert_eq!(key(&keys, "192.0.2.8").as_deref(), Some("c"));
        assert_eq!(key(&keys, "192.0.3.8"), None);
        assert_eq!(keys.several().collect::<Vec<_>>(), ["192.0.2.7/32".parse().unwrap()]);
        keys.turn += 1;
        assert_eq!(key(&keys, "192.0.2.7").as_deref(), Some("b"));
        assert_eq!(key(&keys, "192.0.2.8").as_deref(), Some("c"));
        let none = Keys::default();
        assert_eq!(
            (keys.gone(&none).count(), keys.changed(&none).count(), none.gone(&keys).count()),
            (2, 2, 0)
        );
    }
}
