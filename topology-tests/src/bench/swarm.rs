//! Many BGP sessions from one process and one thread: injector and monitor.
//!
//! Messages are encoded before they are needed and written in large pieces;
//! what comes is counted, not kept. So that the load is not what is measured,
//! the thread does nothing else and says only what was asked for.

use std::{
    io,
    os::fd::AsFd as _,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    eventfd::{EfdFlags, EventFd},
};

use super::session::{Ends, Heard, Session, Wanted};
use crate::{
    Error, Netns, Result,
    wait::{now, wait_until},
};

/// Between two KEEPALIVEs.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How long a router may take until it accepts a session.
const OPEN: Duration = Duration::from_secs(40);
/// The number under which commands wake the thread.
const WAKE: u64 = u64::MAX;

/// The sessions; they end with the handle.
#[derive(Debug)]
pub(super) struct Swarm {
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    /// Write; what each session is to write.
    Tell(Vec<(usize, Arc<[u8]>)>),
    /// Say when these sessions have so many prefixes.
    Aim(Vec<(usize, usize)>),
    /// End a session with a Cease.
    Drop(usize),
    /// Say how many prefixes each session has.
    Counts(mpsc::Sender<Vec<usize>>),
    /// End all.
    Stop,
}

enum Event {
    /// The first byte of a command is about to be written.
    Began(Instant),
    /// A session has what was asked for.
    Reached(Instant),
    /// A session ended that should not.
    Lost(usize, String),
}

impl Swarm {
    /// Dials from inside `netns`, one session after the other, each until the
    /// router accepts it. Each may count.
    pub(super) fn dial(netns: &Netns, sessions: Vec<(Ends, Option<Wanted>)>) -> Result<Swarm> {
        let sessions = netns.run(move || {
            let dial = |(ends, wanted): (Ends, Option<Wanted>)| {
                let what = format!("{} takes a session from {}", ends.router, ends.local);
                wait_until(&what, OPEN, || {
                    Session::open(ends, wanted.as_ref()).map_err(|why| why.to_string())
                })
            };
            sessions.into_iter().map(dial).collect::<Result<Vec<_>>>()
        })??;
        let (commands, inbox) = mpsc::channel();
        let (outbox, events) = mpsc::channel();
        let failed = || Error::io("start the load");
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).map_err(|e| failed()(e.into()))?);
        let mut driver = Driver::new(sessions, inbox, outbox, Arc::clone(&wake)).map_err(failed())?;
        let thread = std::thread::Builder::new().name("load".to_owned());
        let thread = thread.spawn(move || driver.run()).map_err(failed())?;
        Ok(Swarm { commands, events, wake, thread: Some(thread) })
    }

    fn command(&self, command: Command) -> Result<()> {
        let gone = |_| Error::Claim("the load's thread has ended".to_owned());
        self.commands.send(command).map_err(gone)?;
        self.wake.write(1).map(drop).map_err(|errno| Error::io("wake the load")(errno.into()))
    }

    /// Writes messages; gives the instant before the first byte.
    pub(super) fn tell(&self, what: Vec<(usize, Arc<[u8]>)>) -> Result<Instant> {
        self.command(Command::Tell(what))?;
        self.began()
    }

    /// Ends a session as its operator would; gives the instant before the first byte.
    pub(super) fn drop_session(&self, session: usize) -> Result<Instant> {
        self.command(Command::Drop(session))?;
        self.began()
    }

    fn began(&self) -> Result<Instant> {
        loop {
            match self.next(Duration::from_secs(10))? {
                Event::Began(at) => return Ok(at),
                Event::Reached(_) => {}
                Event::Lost(session, why) => return Err(lost(session, &why)),
            }
        }
    }

    /// From now on [`Swarm::reached`] waits for these sessions to have so many
    /// prefixes.
    pub(super) fn aim(&self, goals: Vec<(usize, usize)>) -> Result<()> {
        self.command(Command::Aim(goals))
    }

    /// Waits until `sessions` of those asked have what they were asked for;
    /// gives the instant of the last.
    pub(super) fn reached(&self, sessions: usize, limit: Duration) -> Result<Instant> {
        let end = now() + limit;
        let (mut last, mut left) = (now(), sessions);
        while left > 0 {
            match self.next(end.saturating_duration_since(now())) {
                Ok(Event::Reached(at)) => {
                    last = at;
                    left -= 1;
                }
                Ok(Event::Began(_)) => {}
                Ok(Event::Lost(session, why)) => return Err(lost(session, &why)),
                Err(_) => {
                    let counts = self.counts()?;
                    let (fewest, most) = (counts.iter().min(), counts.iter().max());
                    return Err(Error::Claim(format!(
                        "{left} of {sessions} sessions do not have all within {} s: they have {fewest:?} to {most:?}",
                        limit.as_secs()
                    )));
                }
            }
        }
        Ok(last)
    }

    /// How many prefixes each session has.
    pub(super) fn counts(&self) -> Result<Vec<usize>> {
        let (reply, answer) = mpsc::channel();
        self.command(Command::Counts(reply))?;
        answer.recv().map_err(|_| Error::Claim("the load's thread has ended".to_owned()))
    }

    /// Fails if a session ended.
    pub(super) fn check(&self) -> Result<()> {
        match self.events.try_iter().find(|event| matches!(event, Event::Lost(..))) {
            Some(Event::Lost(session, why)) => Err(lost(session, &why)),
            _ => Ok(()),
        }
    }

    fn next(&self, limit: Duration) -> Result<Event> {
        self.events.recv_timeout(limit).map_err(|_| Error::Claim("the load does not answer".to_owned()))
    }
}

fn lost(session: usize, why: &str) -> Error {
    Error::Claim(format!("session {session} of the load ended: {why}"))
}

impl Drop for Swarm {
    fn drop(&mut self) {
        // A thread that has ended needs no command.
        let _ = self.command(Command::Stop);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            anstream::eprintln!("lab: the load's thread panicked");
        }
    }
}

/// What the thread has.
struct Driver {
    sessions: Vec<Option<Session>>,
    /// Sessions that have nothing more to say: kept open, so that the router closes.
    ended: Vec<Session>,
    epoll: Epoll,
    wake: Arc<EventFd>,
    inbox: mpsc::Receiver<Command>,
    outbox: mpsc::Sender<Event>,
}

impl Driver {
    fn new(
        sessions: Vec<Session>,
        inbox: mpsc::Receiver<Command>,
        outbox: mpsc::Sender<Event>,
        wake: Arc<EventFd>,
    ) -> io::Result<Driver> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(wake.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        for (number, session) in sessions.iter().enumerate() {
            epoll.add(session.stream(), EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        }
        let sessions = sessions.into_iter().map(Some).collect();
        Ok(Driver { sessions, ended: Vec::new(), epoll, wake, inbox, outbox })
    }

    fn run(&mut self) {
        let keepalive: Arc<[u8]> = crate::bench::wire::keepalive().into();
        let mut events = [EpollEvent::empty(); 64];
        let mut next = now() + KEEPALIVE;
        loop {
            let left = next.saturating_duration_since(now());
            let timeout =
                EpollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(EpollTimeout::ZERO);
            let ready = self.epoll.wait(&mut events, timeout).unwrap_or(0);
            for event in &events[..ready] {
                if event.data() != WAKE {
                    self.serve(usize::try_from(event.data()).unwrap_or(0), event.events());
                } else if self.obey() {
                    return;
                }
            }
            if now() >= next {
                next += KEEPALIVE;
                (0..self.sessions.len()).for_each(|session| self.queue(session, Arc::clone(&keepalive)));
            }
        }
    }

    /// A socket is ready.
    fn serve(&mut self, number: usize, flags: EpollFlags) {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.flush(number);
        }
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        match session.read() {
            Heard::Nothing => {}
            Heard::Goal => self.say(Event::Reached(now())),
            Heard::End(why) => self.lose(number, why),
        }
    }

    /// Carries out what was asked; says whether to stop.
    fn obey(&mut self) -> bool {
        // Only a wake-up: how many does not matter.
        let _ = self.wake.read();
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Tell(all) => {
                    self.say(Event::Began(now()));
                    for (session, bytes) in all {
                        self.queue(session, bytes);
                    }
                }
                Command::Aim(goals) => {
                    for (number, goal) in goals {
                        let session = self.sessions.get_mut(number).and_then(Option::as_mut);
                        if session.is_some_and(|session| session.aim(goal)) {
                            self.say(Event::Reached(now()));
                        }
                    }
                }
                Command::Drop(number) => self.end(number),
                Command::Counts(reply) => {
                    let counts = self.sessions.iter().flatten().map(Session::count).collect();
                    // Who no longer waits needs no answer.
                    let _ = reply.send(counts);
                }
                Command::Stop => return true,
            }
        }
        false
    }

    fn end(&mut self, number: usize) {
        let Some(mut session) = self.sessions.get_mut(number).and_then(Option::take) else { return };
        // It was added when the session began.
        let _ = self.epoll.delete(session.stream());
        match session.cease() {
            Ok(began) => self.say(Event::Began(began)),
            Err(why) => self.say(Event::Lost(number, why.to_string())),
        }
        self.ended.push(session);
    }

    fn queue(&mut self, number: usize, bytes: Arc<[u8]>) {
        if let Some(Some(session)) = self.sessions.get_mut(number) {
            let idle = !session.pending();
            session.queue(bytes);
            if idle {
                self.flush(number);
            }
        }
    }

    /// Writes, and asks to be woken while something is left.
    fn flush(&mut self, number: usize) {
        let Some(Some(session)) = self.sessions.get_mut(number) else { return };
        let before = session.pending();
        let written = session.write();
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, session.pending());
        let mut event = EpollEvent::new(flags, number as u64);
        let asked = if before { self.epoll.modify(session.stream(), &mut event) } else { Ok(()) };
        if let Err(why) = written.and(asked.map_err(io::Error::from)) {
            self.lose(number, why.to_string());
        }
    }

    fn lose(&mut self, number: usize, why: String) {
        self.sessions[number] = None;
        self.say(Event::Lost(number, why));
    }

    fn say(&self, event: Event) {
        // Without a listener the swarm is being dropped.
        let _ = self.outbox.send(event);
    }
}
