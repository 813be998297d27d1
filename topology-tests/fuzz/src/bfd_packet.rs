//! A BFD control packet: what can be read can be written and is then read the
//! same, and sessions of every authentication live through it.

use std::num::NonZeroU8;
use std::time::Instant;

use bfd::auth::{Auth, Mode};
use bfd::wire::{decode, encode};
use bfd::{Action, Config, Event, Interval, Path, Received, Sessions};

/// Takes one datagram.
///
/// # Panics
/// When a property does not hold.
pub fn run(datagram: &[u8]) {
    if let Ok(decoded) = decode(datagram) {
        let bytes = encode(&decoded.packet);
        assert_eq!(decode(&bytes).map(|again| again.packet), Ok(decoded.packet));
    }
    let now = Instant::now();
    let mut sessions = Sessions::new(1);
    let modes = [None].into_iter().chain(Mode::ALL.map(Some));
    for (interface, mode) in (0..).zip(modes) {
        let path = Path::OneHop { interface, remote: [192, 0, 2, 1].into() };
        let auth = mode.and_then(|mode| Auth::new(mode, [(1, b"k".to_vec())]).ok());
        let config = Config { interval: Interval::LEAST, multiplier: NonZeroU8::MIN, least_ttl: 250, auth };
        let mut actions: Vec<Action> = Vec::new();
        let wanted = sessions.handle(now, Event::Want(path, config), &mut actions);
        assert_eq!(wanted, Ok(()));
        let received = Received { path, ttl: Some(255), bytes: datagram };
        // Most are discarded; none may be answered more than twice.
        actions.clear();
        let _ = sessions.handle(now, Event::Received(received), &mut actions);
        assert!(actions.len() <= 3, "{actions:?}");
    }
}
