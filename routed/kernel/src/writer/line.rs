//! The socket, and a thread that sends: while the kernel works off one load of
//! routes, the writer prepares the next.
//!
//! ```text
//!  writer ── load, socket ──► thread: send, answers; send, answers; ...
//!         ◄── load, socket ──
//! ```
//! There is one socket, because the watcher knows it by its port. It travels
//! with the load: so whoever needs it waits until the load is back, and nobody
//! can send in between.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::Notify;

use super::flush::Job;
use crate::msg::Messages;
use crate::socket::{Answers, RouteSocket};

/// Why the thread is there when it is needed.
const LIVES: &str = "the sending thread ends only after the line, and never panics";

/// Routes that are written together.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// In the order of the messages.
    pub(super) jobs: Vec<Job>,
    /// The sends; the first [`Load::sends`] are in use.
    packets: Vec<Packet>,
    sends: usize,
    /// The last batch of the table that is settled with this load.
    pub(super) settles: Option<u64>,
}

/// One send.
#[derive(Debug, Default)]
struct Packet {
    messages: Messages,
    /// `None` until it was sent.
    outcome: Option<io::Result<Answers>>,
}

impl Load {
    /// Forgets everything and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.jobs.clear();
        self.sends = 0;
        self.settles = None;
    }

    /// All jobs, and a further send, empty.
    pub(super) fn packet(&mut self) -> (&[Job], &mut Messages) {
        if self.packets.len() == self.sends {
            self.packets.push(Packet::default());
        }
        let packet = &mut self.packets[self.sends];
        self.sends += 1;
        packet.messages.clear();
        packet.outcome = None;
        (&self.jobs, &mut packet.messages)
    }

    /// All jobs, and each send in order: how many of them it has, and what came of it.
    pub(super) fn outcomes(
        &mut self,
    ) -> (&[Job], impl Iterator<Item = (usize, Option<io::Result<Answers>>)>) {
        let sent = self.packets[..self.sends].iter_mut();
        (&self.jobs, sent.map(|packet| (packet.messages.len(), packet.outcome.take())))
    }
}

/// What travels.
#[derive(Debug)]
struct Errand {
    socket: RouteSocket,
    load: Load,
}

/// The way to the kernel; see the module's page.
#[derive(Debug)]
pub(super) struct Line {
    /// Away while a load is under way.
    socket: Option<RouteSocket>,
    /// A load that is back, and that nobody has taken yet.
    landed: Option<Load>,
    /// How many jobs the load has that was sent last.
    jobs: usize,
    port: u32,
    out: SyncSender<Errand>,
    back: Receiver<Errand>,
    /// Rung when a load is back.
    bell: Arc<Notify>,
    /// What was not sent yet is to come back unsent.
    halt: Arc<AtomicBool>,
}

impl Line {
    /// Starts the thread.
    pub(super) fn new(socket: RouteSocket) -> io::Result<Self> {
        let port = socket.port();
        let (out, errands) = sync_channel::<Errand>(1);
        let (home, back) = sync_channel(1);
        let (bell, halt) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (rings, halts) = (Arc::clone(&bell), Arc::clone(&halt));
        std::thread::Builder::new().name("fib-send".to_owned()).spawn(move || {
            for mut errand in errands {
                let Load { packets, sends, .. } = &mut errand.load;
                for packet in &mut packets[..*sends] {
                    if halts.load(Ordering::Relaxed) {
                        break;
                    }
                    packet.outcome = Some(errand.socket.exchange(&mut packet.messages));
                }
                if home.send(errand).is_err() {
                    return;
                }
                rings.notify_one();
            }
        })?;
        Ok(Self { socket: Some(socket), landed: None, jobs: 0, port, out, back, bell, halt })
    }

    /// The socket's port id.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// The socket; waits for a load that is under way.
    pub(super) fn socket(&mut self) -> &mut RouteSocket {
        let Self { socket, landed, back, .. } = self;
        socket.get_or_insert_with(|| {
            let Errand { socket, load } = back.recv().expect(LIVES);
            *landed = Some(load);
            socket
        })
    }

    /// Has a load sent. The one before must have been taken.
    pub(super) fn send(&mut self, mut load: Load) {
        self.socket();
        self.jobs = load.jobs.len();
        let Some(mut socket) = self.socket.take() else { return };
        if load.sends > 1 {
            self.halt.store(false, Ordering::Relaxed);
            self.out.send(Errand { socket, load }).expect(LIVES);
            return;
        }
        // To wake the thread would cost more than it saves.
        for packet in &mut load.packets[..load.sends] {
            packet.outcome = Some(socket.exchange(&mut packet.messages));
        }
        (self.socket, self.landed) = (Some(socket), Some(load));
    }

    /// True from [`Line::send`] until the load is taken.
    pub(super) fn is_out(&self) -> bool {
        self.socket.is_none() || self.landed.is_some()
    }

    /// How many jobs are under way.
    pub(super) fn jobs(&self) -> usize {
        if self.is_out() { self.jobs } else { 0 }
    }

    /// Takes the load that is under way; waits for it.
    pub(super) fn take(&mut self) -> Option<Load> {
        self.socket();
        self.landed.take()
    }

    /// The same, but what was not sent yet comes back unsent.
    pub(super) fn recall(&mut self) -> Option<Load> {
        self.halt.store(true, Ordering::Relaxed);
        self.take()
    }

    /// True while a load is under way and not back yet.
    pub(super) fn is_busy(&mut self) -> bool {
        if self.socket.is_none()
            && let Ok(Errand { socket, load }) = self.back.try_recv()
        {
            self.socket = Some(socket);
            self.landed = Some(load);
        }
        self.socket.is_none()
    }

    /// Comes back when a load may be back.
    pub(super) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }
}
