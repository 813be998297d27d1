//! What the kernel of a namespace has, without getting in the way.
//!
//! A dump of a million routes, or a listener on route messages, would slow
//! down what is measured. So a few thousand addresses, each inside one prefix of
//! the set, are asked for one after the other, by connecting a UDP socket:
//! a look-up without a lock. The number of prefixes, which takes the
//! kernel a walk, is read when the last of them is answered.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use super::prefixes::{Prefix, samples};
use crate::{
    Error, Netns, Result,
    wait::{now, pause},
};

/// How many addresses are asked for.
const SAMPLES: usize = 2_000;
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(2);

/// Watches the main table of a namespace.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    netns: Netns,
    samples: Arc<Vec<Ipv4Addr>>,
    /// Prefixes that were there before.
    before: usize,
}

impl Watch {
    /// Prepares to see `prefixes` come or go; counts what is there without them.
    pub(super) fn new(netns: &Netns, prefixes: &[Prefix]) -> Result<Watch> {
        let samples = Arc::new(samples(prefixes, SAMPLES));
        Ok(Watch { netns: netns.clone(), samples, before: netns.run(count)?? })
    }

    /// How many prefixes there are beyond those of the beginning.
    pub(super) fn count(&self) -> Result<usize> {
        Ok(self.netns.run(count)??.saturating_sub(self.before))
    }

    /// Waits until the kernel has `total` prefixes of the set, all or none;
    /// gives the instant.
    pub(super) fn until(&self, total: usize, limit: Duration) -> Result<Instant> {
        let watch = self.clone();
        self.netns.run(move || watch.follow(total, limit))?
    }

    fn follow(&self, total: usize, limit: Duration) -> Result<Instant> {
        let socket = UdpSocket::bind("0.0.0.0:0").map_err(Error::io("open a UDP socket"))?;
        let routed = |address: Ipv4Addr| socket.connect((address, 9)).is_ok();
        let (end, mut at) = (now() + limit, 0);
        loop {
            while self.samples.get(at).is_some_and(|sample| routed(*sample) == (total > 0)) {
                at += 1;
            }
            if at == self.samples.len() {
                let looked = now();
                if count()? == self.before + total {
                    return Ok(looked);
                }
            }
            if now() > end {
                return Err(Error::Claim(format!(
                    "after {} s the kernel has {} prefixes of {total}",
                    limit.as_secs(),
                    count()?.saturating_sub(self.before)
                )));
            }
            pause(INTERVAL);
        }
    }
}

/// Prefixes in the main table of this thread's namespace.
fn count() -> Result<usize> {
    let path = "/proc/thread-self/net/fib_triestat";
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    let main = text.lines().skip_while(|line| !line.starts_with("Main:"));
    let mut prefixes = main.filter_map(|line| line.trim().strip_prefix("Prefixes:"));
    let count = prefixes.next().and_then(|number| number.trim().parse().ok());
    count.ok_or_else(|| Error::Claim(format!("{path} does not tell the prefixes of the main table: {text}")))
}
