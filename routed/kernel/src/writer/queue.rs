//! What waits to be written: prefixes in the order in which they came, in five
//! octets each for IPv4, for there may be a million; and how far the table's
//! batches are settled.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::Prefix;

/// Prefixes that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    four: VecDeque<[u8; 5]>,
    six: VecDeque<[u8; 17]>,
    /// How many were ever taken out, by family.
    taken: (u64, u64),
    /// Up to where the queue must be worked off until a batch is settled.
    marks: VecDeque<(u64, (u64, u64))>,
}

impl Queue {
    /// Puts a prefix at the end.
    pub(super) fn push(&mut self, prefix: Prefix) {
        match prefix.address() {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                self.four.push_back([a, b, c, d, prefix.len()]);
            }
            IpAddr::V6(address) => {
                let mut packed = [0; 17];
                packed[..16].copy_from_slice(&address.octets());
                packed[16] = prefix.len();
                self.six.push_back(packed);
            }
        }
    }

    /// The next prefix: IPv4 first, because it is written faster.
    pub(super) fn pop(&mut self) -> Option<Prefix> {
        if let Some([a, b, c, d, length]) = self.four.pop_front() {
            self.taken.0 += 1;
            return Prefix::new(Ipv4Addr::new(a, b, c, d).into(), length);
        }
        let packed = self.six.pop_front()?;
        self.taken.1 += 1;
        let octets = packed.first_chunk::<16>()?;
        Prefix::new(Ipv6Addr::from(*octets).into(), packed[16])
    }

    /// Puts back what was taken last.
    pub(super) fn put_back(&mut self, prefix: Prefix) {
        match prefix.address() {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                self.four.push_front([a, b, c, d, prefix.len()]);
                self.taken.0 -= 1;
            }
            IpAddr::V6(address) => {
                let mut packed = [0; 17];
                packed[..16].copy_from_slice(&address.octets());
                packed[16] = prefix.len();
                self.six.push_front(packed);
                self.taken.1 -= 1;
            }
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.four.len() + self.six.len()
    }

    /// True when nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.four.is_empty() && self.six.is_empty()
    }

    /// All that came so far belongs to the batch with this number.
    pub(super) fn mark(&mut self, batch: u64) {
        let end = (self.taken.0 + self.four.len() as u64, self.taken.1 + self.six.len() as u64);
        self.marks.push_back((batch, end));
    }

    /// The last batch of which nothing waits any more, if there is a further one.
    pub(super) fn settled(&mut self) -> Option<u64> {
        let mut settled = None;
        while let Some((batch, end)) = self.marks.front()
            && end.0 <= self.taken.0
            && end.1 <= self.taken.1
        {
            settled = Some(*batch);
            self.marks.pop_front();
        }
        settled
    }

    /// Gives memory back when nothing waits.
    pub(super) fn rest(&mut self) {
        const KEEP: usize = 16 << 10;
        self.four.shrink_to(KEEP);
        self.six.shrink_to(KEEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|prefix| prefix.to_string()).collect()
    }

    #[test]
    fn what_is_put_back_is_next_and_its_batch_is_not_settled() {
        for texts in [["10.1.0.0/16", "10.2.0.0/16"], ["fd01::/48", "fd02::/48"]] {
            let mut queue = Queue::default();
            for text in texts {
                queue.push(text.parse().unwrap());
            }
            queue.mark(1);
            let first = queue.pop().unwrap();
            let second = queue.pop().unwrap();
            queue.put_back(second);
            queue.put_back(first);
            assert_eq!((queue.len(), queue.settled()), (2, None));
            assert_eq!(drained(&mut queue), texts);
            assert_eq!(queue.settled(), Some(1));
        }
    }

    #[test]
    fn ipv4_goes_first_and_a_batch_waits_for_both() {
        let mut queue = Queue::default();
        for text in ["fd01::/48", "10.1.0.0/16"] {
            queue.push(text.parse().unwrap());
        }
        queue.mark(1);
        queue.push("10.2.0.0/16".parse().unwrap());
        queue.mark(2);
        assert_eq!(queue.pop(), "10.1.0.0/16".parse().ok());
        assert_eq!(queue.settled(), None);
        assert_eq!(drained(&mut queue), ["10.2.0.0/16", "fd01::/48"]);
        assert_eq!((queue.settled(), queue.settled()), (Some(2), None));
        assert!(queue.is_empty());
    }
}
