//! The TCP-MD5 keys of one peer (RFC 2385), and how they change under a session.
//!
//! A socket knows one key a peer. So of several keys the first is dialled
//! with, then, as long as nobody answers, the next. A session goes on with the
//! key that it has, as long as that is one of the list. A key that left the
//! list is replaced on the open connection; whichever end is later finds its
//! segments ignored until it follows, which has to be within the hold time.
//! One that has several keys follows by itself: it tries the next when it has
//! heard nothing for half of the hold time.

use std::time::{Duration, Instant};

use crate::config::Secret;

/// Keys, and which of them are used.
#[derive(Default)]
pub(super) struct Keys {
    list: Vec<Secret>,
    /// How many dials have failed with the keys before.
    tried: usize,
    /// The key of the connection that stands.
    used: Option<Secret>,
    /// When another key was last put on the open connection.
    changed: Option<Instant>,
}

impl Keys {
    pub(super) fn new(list: Vec<Secret>) -> Self {
        Self { list, ..Self::default() }
    }

    /// The key to dial with.
    pub(super) fn to_dial(&self) -> Option<Secret> {
        self.list.get(self.tried.checked_rem(self.list.len())?).cloned()
    }

    /// A dial came to nothing: the peer may have another key.
    pub(super) fn dial_failed(&mut self) {
        self.tried += 1;
    }

    /// A connection stands with this key.
    pub(super) fn connected(&mut self, key: Option<Secret>) {
        (self.used, self.tried, self.changed) = (key, 0, None);
    }

    /// Other keys from now on. Returns the one to put on open connections, if
    /// theirs is no longer in the list.
    pub(super) fn replace(&mut self, list: Vec<Secret>) -> Option<Secret> {
        self.list = list;
        self.tried = 0;
        let used = self.used.as_ref()?;
        if self.list.contains(used) {
            return None;
        }
        self.used = self.list.first().cloned();
        self.used.clone()
    }

    /// When to look for a peer that has been silent since `heard`; `None`
    /// where there is no other key to try.
    pub(super) fn try_at(&self, heard: Option<Instant>, hold: Duration) -> Option<Instant> {
        if self.list.len() < 2 || hold.is_zero() {
            return None;
        }
        let silent = heard? + hold / 2;
        Some(self.changed.map_or(silent, |changed| silent.max(changed + hold / 6)))
    }

    /// The key to put on the open connection, for the peer is silent with
    /// the one that it has.
    pub(super) fn next(&mut self, now: Instant) -> Option<Secret> {
        let used = self.list.iter().position(|key| Some(key) == self.used.as_ref());
        let next = used.map_or(0, |used| used + 1).checked_rem(self.list.len())?;
        self.changed = Some(now);
        self.used = self.list.get(next).cloned();
        self.used.clone()
    }

    /// Which key of the list is used, from 1; 0 where none or one that is in
    /// the list no longer.
    pub(super) fn position(&self) -> usize {
        self.list.iter().position(|key| Some(key) == self.used.as_ref()).map_or(0, |index| index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn the_first_is_dialled_with_and_the_next_when_nobody_answers() {
        let mut keys = Keys::new(vec![key("new"), key("old")]);
        assert_eq!(keys.to_dial(), Some(key("new")));
        keys.dial_failed();
        assert_eq!(keys.to_dial(), Some(key("old")));
        keys.connected(Some(key("old")));
        assert_eq!((keys.position(), keys.to_dial()), (2, Some(key("new"))));
        assert_eq!(Keys::default().to_dial(), None);
    }

    #[test]
    fn a_session_keeps_its_key_while_that_is_in_the_list() {
        let mut keys = Keys::new(vec![key("old")]);
        keys.connected(Some(key("old")));
        assert_eq!(keys.replace(vec![key("new"), key("old")]), None);
        assert_eq!(keys.replace(vec![key("new")]), Some(key("new")));
        assert_eq!(keys.position(), 1);
    }

    #[test]
    fn a_silent_peer_is_tried_with_the_other_key_and_again_with_the_first() {
        let (heard, hold) = (Instant::now(), Duration::from_secs(90));
        let mut keys = Keys::new(vec![key("new"), key("old")]);
        keys.connected(Some(key("old")));
        assert_eq!(keys.try_at(Some(heard), hold), Some(heard + hold / 2));
        assert_eq!(keys.next(heard + hold / 2), Some(key("new")));
        assert_eq!(keys.try_at(Some(heard), hold), Some(heard + hold / 2 + hold / 6));
        assert_eq!(keys.next(heard + hold), Some(key("old")));
        assert_eq!(keys.replace(vec![key("old")]), None);
        assert_eq!(keys.try_at(Some(heard), hold), None, "there is no other");
    }
}
