//! Two BFD nodes and a link that loses, repeats, changes and invents packets,
//! while settings change and sessions come and go: nothing panics, Up and Down
//! alternate, no deadline is left behind, nothing is answered more than a few
//! times, and on a good link both ends come up again.

use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use bfd::auth::{Auth, Mode};
use bfd::{Action, Config, Event, Interval, Path, Received, Sessions};

/// One turn: what, and the numbers and octets that it needs.
pub type Turn = (u8, u8, u8, Vec<u8>);

/// How long a packet is under way.
const DELAY: Duration = Duration::from_millis(1);
/// Most packets that are under way at a time.
const FLIGHT: usize = 64;

struct Nodes {
    many_hops: bool,
    ends: [Sessions; 2],
    up: [bool; 2],
    now: Instant,
    flight: Vec<(Instant, usize, Vec<u8>)>,
    /// Of 255 packets, how many get lost.
    loss: u8,
    lost: u32,
    /// What was last sent.
    last: Vec<u8>,
}

impl Nodes {
    fn path(&self, end: usize) -> Path {
        let address = |end: usize| if end == 0 { [192, 0, 2, 1].into() } else { [192, 0, 2, 2].into() };
        let (local, remote) = (address(end), address(1 - end));
        if self.many_hops { Path::ManyHops { local, remote } } else { Path::OneHop { interface: 1, remote } }
    }

    /// An event may make something due that a shorter time has made late: it
    /// is due now, and [`Self::wait`] sees that nothing stays due.
    fn event(&mut self, end: usize, event: Event<'_>) {
        let mut actions = Vec::new();
        // Most of what is invented is refused, which is as it should be.
        let _ = self.ends[end].handle(self.now, event, &mut actions);
        assert!(actions.len() <= 4, "one event, {actions:?}");
        self.act(end, actions);
    }

    fn hear(&mut self, end: usize, ttl: u8, bytes: &[u8]) {
        let path = self.path(end);
        self.event(end, Event::Received(Received { path, ttl: Some(ttl), bytes }));
    }

    fn act(&mut self, end: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(path, bytes) => {
                    assert_eq!(path, self.path(end));
                    assert!(bytes.len() <= 24 + 28 && usize::from(bytes[3]) == bytes.len());
                    self.last.clone_from(&bytes);
                    self.lost = self.lost.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    if self.lost >> 24 >= u32::from(self.loss) && self.flight.len() < FLIGHT {
                        self.flight.push((self.now + DELAY, 1 - end, bytes));
                    }
                }
                Action::Up(_) => assert!(!std::mem::replace(&mut self.up[end], true), "up once"),
                Action::Down(..) => assert!(std::mem::replace(&mut self.up[end], false), "down after up"),
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = self.ends.iter().filter_map(Sessions::next_deadline);
            let Some(at) = due.chain(self.flight.iter().map(|(at, ..)| *at)).min() else { break };
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            for end in 0..2 {
                let mut actions = Vec::new();
                self.ends[end].tick(self.now, &mut actions);
                assert!(
                    self.ends[end].next_deadline().is_none_or(|next| next > self.now),
                    "nothing stays due"
                );
                self.act(end, actions);
            }
            let now = self.now;
            let (there, under_way) =
                std::mem::take(&mut self.flight).into_iter().partition(|(at, ..)| *at <= now);
            self.flight = under_way;
            let there: Vec<(Instant, usize, Vec<u8>)> = there;
            for (_, end, bytes) in there {
                self.hear(end, 255, &bytes);
            }
        }
        self.now = until;
    }

    fn want(&mut self, end: usize, config: Config) {
        self.event(end, Event::Want(self.path(end), config));
    }

    fn turn(&mut self, (op, one, two, bytes): &Turn) {
        let end = usize::from(one & 1);
        match op % 8 {
            0 => self.loss = *two,
            1 => self.event(end, Event::Unwant(self.path(end))),
            2 => self.want(end, config(*one, *two)),
            3 => self.hear(end, *two, bytes),
            4 => {
                // The last packet again, changed or as it was.
                let mut again = self.last.clone();
                for (at, octet) in again.iter_mut().zip(bytes) {
                    *at ^= octet;
                }
                self.hear(end, 255, &again);
            }
            _ => self.wait(Duration::from_millis(u64::from(*one) * u64::from(*two) / 8)),
        }
    }
}

/// Settings out of two octets.
fn config(one: u8, two: u8) -> Config {
    let interval = Duration::from_millis(50 + u64::from(two));
    let keys = [(1, b"first".to_vec()), (2, b"second".to_vec())];
    let keys = if two & 1 == 0 { keys.to_vec() } else { keys.into_iter().rev().collect() };
    let mode = Mode::ALL.get(usize::from(one >> 1) % 8);
    Config {
        interval: Interval::new(interval).expect("from 50 to 305 ms"),
        multiplier: NonZeroU8::MIN.saturating_add(one >> 6),
        least_ttl: 250,
        auth: mode.map(|mode| Auth::new(*mode, keys).expect("the keys are short")),
    }
}

/// Plays the turns.
pub fn run(many_hops: bool, turns: &[Turn]) {
    let ends = [Sessions::new(1), Sessions::new(2)];
    let mut nodes = Nodes {
        many_hops,
        ends,
        up: [false; 2],
        now: Instant::now(),
        flight: Vec::new(),
        loss: 0,
        lost: 1,
        last: Vec::new(),
    };
    for turn in turns.iter().take(200) {
        nodes.turn(turn);
    }
    nodes.loss = 0;
    for end in 0..2 {
        nodes.event(end, Event::Unwant(nodes.path(end)));
    }
    // What was invented may have said that it wants a packet an hour.
    nodes.wait(Duration::from_secs(10));
    for end in 0..2 {
        nodes.want(end, config(0xc7, 100));
    }
    nodes.wait(Duration::from_secs(20));
    assert_eq!(nodes.up, [true; 2], "{:?}", nodes.ends.each_ref().map(Sessions::status));
}
