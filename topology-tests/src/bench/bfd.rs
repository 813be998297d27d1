//! The far end of a BFD session (RFC 5880, RFC 5881), as much as a router
//! needs to call the path up, and an ear that hears it call the path down.

use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};

use super::{
    clock::{self, Moment},
    session::Ends,
};
use crate::{
    Error, Netns, Result,
    wait::{now, wait_until},
};

/// The interval between packets, both ways, that all routers are told.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);
/// After how many missing packets the path is down.
pub(super) const MULTIPLIER: u8 = 3;

/// The port of control packets (RFC 5881 §4).
const PORT: u16 = 3784;
/// The port that ours come from.
const SOURCE: u16 = 49_152;
/// The number of our session.
const DISCRIMINATOR: u32 = 179;

/// States as packets have them (RFC 5880 §4.1).
const DOWN: u8 = 1;
const INIT: u8 = 2;
const UP: u8 = 3;

/// A thread that speaks.
#[derive(Debug)]
pub(super) struct Speaker {
    state: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Heard>>,
}

/// What was said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    /// When our last packet went to the router.
    pub last: Option<Moment>,
    /// When the router's first packet came that called the path down which was up.
    pub down: Option<Moment>,
}

impl Speaker {
    /// Speaks from inside `netns` as the peer at those ends.
    pub(super) fn start(netns: &Netns, ends: Ends) -> Result<Speaker> {
        let open = move || {
            let (ear, mouth) = (UdpSocket::bind((ends.local, PORT))?, UdpSocket::bind((ends.local, SOURCE))?);
            setsockopt(&ear, ReceiveTimestampns, &true)?;
            mouth.set_ttl(255)?;
            mouth.connect((ends.router.ip(), PORT))?;
            Ok::<_, io::Error>((ear, mouth))
        };
        let (ear, mouth) = netns.run(open)?.map_err(Error::io(format!("speak BFD as {}", ends.local)))?;
        let (state, stop) = (Arc::new(AtomicU8::new(DOWN)), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut end = End { state: DOWN, yours: 0, heard: Heard::default() };
            while !stopped.load(Ordering::Relaxed) {
                end.turn(&ear, &mouth)?;
                shared.store(end.state, Ordering::Relaxed);
            }
            Ok(end.heard)
        });
        Ok(Speaker { state, stop, thread })
    }

    /// Waits until the session is up.
    pub(super) fn up(&self, limit: Duration) -> Result<()> {
        wait_until("the BFD session is up", limit, || match self.state.load(Ordering::Relaxed) {
            UP => Ok(()),
            state => Err(format!("it is in state {state}")),
        })
    }

    /// Ends, and says what was heard.
    pub(super) fn finish(self) -> Result<Heard> {
        self.stop.store(true, Ordering::Relaxed);
        let panicked = |_| Error::Claim("the BFD speaker panicked".to_owned());
        self.thread.join().map_err(panicked)?.map_err(Error::io("speak BFD"))
    }
}

/// Our end of the session.
struct End {
    state: u8,
    /// The router's number of the session.
    yours: u32,
    heard: Heard,
}

impl End {
    /// Sends a packet, and takes what comes until the next is due.
    fn turn(&mut self, ear: &UdpSocket, mouth: &UdpSocket) -> io::Result<()> {
        let due: Instant = now() + INTERVAL;
        self.say(mouth, false)?;
        loop {
            let left = due.saturating_duration_since(now());
            if left.is_zero() {
                return Ok(());
            }
            ear.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut packet = [0; 64];
            match clock::receive(ear, &mut packet) {
                Ok((length, stamp)) => {
                    if self.hear(&packet[..length], stamp) {
                        self.say(mouth, true)?;
                    }
                }
                Err(why) if matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(why) => return Err(why),
            }
        }
    }

    fn say(&mut self, mouth: &UdpSocket, answer: bool) -> io::Result<()> {
        match mouth.send(&self.packet(answer)) {
            Ok(_) => self.heard.last = Some(Moment::now()),
            // The path is cut, or the router does not listen yet.
            Err(why)
                if matches!(
                    why.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ConnectionRefused
                ) => {}
            Err(why) => return Err(why),
        }
        Ok(())
    }

    fn packet(&self, answer: bool) -> Vec<u8> {
        let interval = u32::try_from(INTERVAL.as_micros()).unwrap_or(u32::MAX);
        let fin = if answer { 0x10 } else { 0 };
        let mut bytes = vec![0x20, self.state << 6 | fin, MULTIPLIER, 24];
        for word in [DISCRIMINATOR, self.yours, interval, interval, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes
    }

    /// Takes a packet of the router; says whether it wants an answer
    /// (RFC 5880 §6.8.6).
    fn hear(&mut self, packet: &[u8], stamp: Moment) -> bool {
        let [_, flags, _, _, yours @ ..] = packet else { return false };
        let Some(yours) = yours.first_chunk() else { return false };
        self.yours = u32::from_be_bytes(*yours);
        let said = flags >> 6;
        self.state = match (self.state, said) {
            (DOWN, DOWN) => INIT,
            (DOWN, INIT) | (INIT, INIT | UP) => UP,
            (UP, 0 | DOWN) => {
                self.heard.down = self.heard.down.or(Some(stamp));
                DOWN
            }
            (state, _) => state,
        };
        flags & 0x20 != 0
    }
}

/// Rules that cut the wire of that name silently: nothing comes and nothing
/// goes, but that one still hears the other end speak of BFD.
pub(super) fn cut(netns: &Netns, wire: &str) -> Result<()> {
    let rules = format!(
        "table ip cut {{\n\
         chain out {{ type filter hook output priority raw; oifname {wire} drop; }}\n\
         chain in {{ type filter hook prerouting priority raw; iifname {wire} udp dport != {PORT} drop\n\
         iifname {wire} ip protocol != udp drop; }}\n}}\n"
    );
    netns.exec_with(["nft", "-f", "-"], &rules)?.ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_comes_up_answers_polls_and_notes_when_it_is_called_down() {
        let mut end = End { state: DOWN, yours: 0, heard: Heard::default() };
        let say = |state: u8, poll: u8| [0x20, state << 6 | poll, 3, 24, 0, 0, 0, 7, 0, 0, 0, 0];
        let stamp = Moment::now();
        assert!(!end.hear(&say(DOWN, 0), stamp));
        assert_eq!((end.state, end.yours), (INIT, 7));
        assert!(end.hear(&say(UP, 0x20), stamp), "a poll wants an answer");
        assert_eq!((end.state, end.packet(true)[1], end.packet(true)[7]), (UP, 0xd0, 179));
        assert_eq!(end.heard.down, None);
        end.hear(&say(DOWN, 0), stamp);
        end.hear(&say(DOWN, 0), Moment::now());
        assert_eq!((end.state, end.heard.down), (INIT, Some(stamp)));
        assert!(!end.hear(&[0x20], stamp));
    }
}
