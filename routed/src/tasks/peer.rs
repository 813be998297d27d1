//! One task a peer: it owns the `bgp::Peer` machine and its sockets.
//!
//! ```text
//!  listener ──Accepted──┐                        ┌─► TableInput (bounded; what does not fit
//!  speaker ──commands───┼─► machine ─► actions ──┤    waits here, and the socket is not read)
//!  sockets, deadlines ──┘                        └─► sockets
//!  table ──Letter (written already)──► mailbox ─► socket, when it can take it
//! ```
//! There is no protocol logic here: what happens is in `bgp`, what is told in `rib`.

mod connect;
mod keys;
mod outbox;
mod path;
mod show;
mod stay;

use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bfd::{Fate, WhyDown};
use bgp::conn::{CloseReason, ConnId, Up};
use bgp::peer::{Action, Admin, Event, State};
use bgp::wire::{Message, WireError};
use net::Family;
use rib::PeerId;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{debug, error, warn};

use self::keys::Keys;
use self::outbox::Outbox;
use self::path::Recovery;
use self::stay::Stay;
use super::bfd::{BfdCommand, Client};
use super::conn::{Conn, OUTPUT_LOW, Read};
use super::report::{PeerReport, Traffic};
use super::sleep_until;
use super::table::post::{Letter, Mailbox, Sent, mailbox};
use super::table::{SessionUp, TableInput};
use super::told::Told;
use crate::config::{self, Secret};

/// What others ask of a peer task.
#[derive(Debug)]
pub(crate) enum PeerCommand {
    /// The listener has accepted a connection from the peer's address, with
    /// this TCP-MD5 key.
    Accepted(TcpStream, SocketAddr, Option<Secret>),
    /// Connect again after a shutdown.
    Enable,
    /// End the session as the operator says.
    Stop(Admin),
    /// Ask the peer for its routes again.
    Refresh(Vec<Family>),
    /// Filters, limits, keys, BFD or `shutdown` changed; the session stays.
    Reconfigure(Box<config::Peer>),
    /// Tell how the peer is.
    Report(oneshot::Sender<PeerReport>),
    /// BFD says that the path to the peer has failed, unless it is the peer
    /// that restarts.
    BfdDown(WhyDown, Fate),
    /// The neighbour is heard no more: end the task, unless there is a session
    /// or its routes are kept.
    Unheard,
    /// End the session, then the task.
    Finish(Admin),
}

/// So many closed connections of a peer may hand over their last messages at a
/// time; of others what the socket takes at once goes.
const LINGERING: usize = 4;

/// A dial that is under way.
type Dialing = (ConnId, JoinHandle<std::io::Result<TcpStream>>);

/// The task; see the module's page.
pub(crate) struct PeerTask {
    id: PeerId,
    config: Box<config::Peer>,
    machine: bgp::Peer,
    conns: Vec<(ConnId, Conn)>,
    dialing: Option<Dialing>,
    accepted: u32,
    commands: mpsc::Receiver<PeerCommand>,
    control: mpsc::Sender<PeerCommand>,
    bfd: mpsc::Sender<BfdCommand>,
    outbox: Outbox,
    session: Option<Session>,
    finishing: bool,
    told: Told,
    keys: Keys,
    stay: Stay,
    /// BFD has told of the restart of the peer before it was back.
    restart_heard: bool,
    traffic: Traffic,
    /// Why no session may be had: the kernel cannot sign as is configured.
    obstacle: Option<String>,
    /// Connections that may be left to end in peace at a time.
    lingering: Arc<Semaphore>,
}

/// What exists only while the session is up.
struct Session {
    up: Arc<Up>,
    mailbox: Mailbox,
    recovery: Recovery,
    /// What went out of the mailbox.
    sent: Sent,
}

/// Why the task woke.
enum Wake {
    Command(Option<PeerCommand>),
    Dialled(ConnId, std::io::Result<TcpStream>),
    Socket(ConnId),
    Deadline,
    Table,
    Letter(Letter),
}

impl PeerTask {
    pub(crate) fn new(
        id: PeerId,
        config: config::Peer,
        machine: bgp::Peer,
        (control, commands): (mpsc::Sender<PeerCommand>, mpsc::Receiver<PeerCommand>),
        (table, bfd): (mpsc::Sender<TableInput>, mpsc::Sender<BfdCommand>),
    ) -> Self {
        Self {
            id,
            control,
            bfd,
            keys: Keys::new(config.passwords.clone()),
            stay: Stay::default(),
            restart_heard: false,
            traffic: Traffic::default(),
            obstacle: config::ao::obstacle(config.address, &config.tcp_ao),
            lingering: Arc::new(Semaphore::new(LINGERING)),
            config: Box::new(config),
            machine,
            conns: Vec::new(),
            dialing: None,
            accepted: 0,
            commands,
            outbox: Outbox::new(id, table),
            session: None,
            finishing: false,
            told: Told::default(),
        }
    }

    /// Runs until it is told to finish, or the daemon is gone.
    pub(crate) async fn run(mut self) {
        if let Some(obstacle) = &self.obstacle {
            error!(peer = %self.config.address, "peer stays Idle: {obstacle}");
        }
        self.watch().await;
        self.handle(stay::start(self.config.shutdown.clone()));
        while !(self.finishing && self.outbox.is_empty()) {
            match self.wake().await {
                Wake::Command(Some(PeerCommand::Reconfigure(config))) => {
                    let watched_otherwise = config.bfd != self.config.bfd;
                    self.reconfigure(config);
                    if watched_otherwise {
                        self.watch().await;
                    }
                }
                Wake::Command(Some(command)) => self.command(command),
                Wake::Command(None) => self.finish(Admin::Restart),
                Wake::Dialled(id, result) => self.dialled(id, result),
                Wake::Socket(id) => self.socket(id),
                Wake::Deadline => {
                    let mut actions = Vec::new();
                    self.machine.tick(Instant::now(), &mut actions);
                    self.perform(actions);
                    self.told.attempt(&self.config, self.machine.status().last_error);
                    self.due(Instant::now());
                }
                Wake::Table => {}
                Wake::Letter(letter) => self.tell(letter),
            }
            if self.is_over() && !self.finishing {
                self.finish(Admin::Deconfigured);
            }
        }
        // A task that is gone watches nothing.
        let _ = self.bfd.send(BfdCommand::Unwant(Client::Bgp(self.config.address, self.config.scope))).await;
    }

    async fn wake(&mut self) -> Wake {
        let deadline = stay::sooner(self.machine.next_deadline(), self.next_due());
        let reading = self.outbox.is_empty();
        let telling = self.can_tell();
        let Self { conns, dialing, commands, outbox, session, .. } = self;
        tokio::select! {
            command = commands.recv() => Wake::Command(command),
            () = outbox.hand_over(), if !reading => Wake::Table,
            id = socket_ready(conns, reading) => Wake::Socket(id),
            (id, result) = dial_done(dialing) => Wake::Dialled(id, result),
            letter = next_letter(session), if telling => Wake::Letter(letter),
            () = sleep_until(deadline) => Wake::Deadline,
        }
    }

    fn handle(&mut self, event: Event) {
        if self.obstacle.is_some() && matches!(event, Event::Start | Event::Stop(_)) {
            return;
        }
        let mut actions = Vec::new();
        self.machine.handle(Instant::now(), event, &mut actions);
        self.perform(actions);
        self.told.attempt(&self.config, self.machine.status().last_error);
    }

    fn command(&mut self, command: PeerCommand) {
        match command {
            PeerCommand::Accepted(stream, remote, key) => self.accept(stream, remote, key),
            PeerCommand::Enable => self.handle(Event::Start),
            PeerCommand::Stop(admin) => self.handle(Event::Stop(admin)),
            PeerCommand::Refresh(families) => self.ask_refresh(&families),
            // Taken before it came here.
            // `run` does it, because BFD has to be told.
            PeerCommand::Reconfigure(_) => {}
            PeerCommand::Report(reply) => {
                // Whoever asked may have gone; then nobody misses the answer.
                let _ = reply.send(self.report());
            }
            PeerCommand::BfdDown(why, fate) => self.path_failed(why, fate),
            PeerCommand::Unheard => {
                if self.is_alone() {
                    self.finish(Admin::Deconfigured);
                }
            }
            PeerCommand::Finish(admin) => self.finish(admin),
        }
    }

    fn finish(&mut self, admin: Admin) {
        let restart = admin == Admin::Restart;
        self.handle(Event::Stop(admin));
        if !restart && !self.finishing {
            self.outbox.push(TableInput::PeerRemoved { id: self.id });
        }
        self.finishing = true;
    }

    fn ask_refresh(&mut self, families: &[Family]) {
        let Some(session) = &self.session else { return };
        let up = Arc::clone(&session.up);
        if !up.route_refresh {
            return;
        }
        for family in up.families.iter().filter(|family| families.is_empty() || families.contains(family)) {
            let refresh = bgp::wire::RouteRefresh { afi: family.afi(), subtype: 0, safi: family.safi() };
            self.send(up.conn, &Message::RouteRefresh(refresh));
            self.handle(Event::RefreshesSent(up.conn, 1));
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Dial(id) => {
                    let dial =
                        super::socket::dial((*self.config).clone(), self.external(), self.keys.to_dial());
                    self.dialing = Some((id, tokio::spawn(dial)));
                }
                Action::CancelDial(_) => {
                    if let Some((_, dial)) = self.dialing.take() {
                        dial.abort();
                        if self.conns.is_empty() {
                            self.keys.dial_failed();
                        }
                    }
                }
                Action::Send(id, message) => self.send(id, &message),
                Action::Close(id) => self.close(id),
                Action::Up(up) => self.up(up),
                Action::Down(down) => {
                    self.told.down(&self.config, &down, self.machine.status().last_error.1);
                    self.session = None;
                    self.went_down(&down);
                    self.outbox.push(TableInput::PeerDown { id: self.id, down });
                }
                Action::Update(update) => self.outbox.gather(update),
                Action::FamilyDisabled { family, what } => self.family_disabled(family, what),
                Action::EndOfRib(family) => {
                    self.session.iter_mut().for_each(|session| session.recovery.told(family));
                    self.outbox.push(TableInput::EndOfRib { id: self.id, family });
                }
                Action::RefreshRequest(family) => {
                    self.outbox.push(TableInput::RefreshRequest { id: self.id, family });
                }
                Action::RefreshBegin(family) => {
                    self.outbox.push(TableInput::RefreshBegin { id: self.id, family });
                }
                Action::RefreshEnd(family) => {
                    self.outbox.push(TableInput::RefreshEnd { id: self.id, family });
                }
                Action::StateChanged(state) => self.state_changed(state),
            }
        }
    }

    /// From now on the peer's messages are read without a family.
    fn family_disabled(&mut self, family: Family, what: &'static str) {
        let Some(session) = &mut self.session else { return };
        session.recovery.told(family);
        if let Some((_, conn)) = self.conns.iter_mut().find(|(id, _)| *id == session.up.conn) {
            conn.rx.disabled[family.index()] = true;
        }
        self.outbox.push(TableInput::FamilyDisabled { id: self.id, family, what });
    }

    fn state_changed(&self, state: State) {
        debug!(peer = %self.config.name(), %state, "state");
    }

    fn up(&mut self, up: Arc<Up>) {
        self.told.up(&self.config, &up);
        if let Some((_, conn)) = self.conns.iter_mut().find(|(id, _)| *id == up.conn) {
            conn.negotiated(&up, self.config.offers.aigp.unwrap_or(up.internal));
        }
        let (slot, mailbox) = mailbox();
        let heard = std::mem::take(&mut self.restart_heard);
        let recovery = Recovery::of(Instant::now(), &up, heard);
        self.session = Some(Session { up: Arc::clone(&up), mailbox, recovery, sent: Sent::default() });
        let config = (*self.config).clone();
        let control = self.control.clone();
        self.outbox.push(TableInput::PeerUp(Box::new(SessionUp { id: self.id, config, up, slot, control })));
    }

    fn send(&mut self, id: ConnId, message: &Message) {
        let Some((_, conn)) = self.conns.iter_mut().find(|(other, _)| *other == id) else { return };
        if let Err(error) = conn.queue(message) {
            warn!(peer = %self.config.name(), %error, "message not sent");
        }
        self.flush(id);
    }

    fn close(&mut self, id: ConnId) {
        if let Some(index) = self.conns.iter().position(|(other, _)| *other == id) {
            let (_, conn) = self.conns.swap_remove(index);
            let linger = conn.linger();
            // Whoever dials again and again is not waited for each time.
            if let Ok(permit) = Arc::clone(&self.lingering).try_acquire_owned() {
                tokio::spawn(async move {
                    linger.await;
                    drop(permit);
                });
            }
        }
    }

    /// Reads and writes what the socket has and takes.
    fn socket(&mut self, id: ConnId) {
        self.flush(id);
        if !self.outbox.is_empty() {
            return;
        }
        let Some((_, conn)) = self.conns.iter_mut().find(|(other, _)| *other == id) else { return };
        let read = conn.read();
        if let Ok(Read::Some(count)) = read {
            self.traffic.received += count as u64;
        }
        while let Some((_, conn)) = self.conns.iter_mut().find(|(other, _)| *other == id) {
            let told = &mut self.told;
            let judge = |message: &Result<Message, WireError>, octets: &[u8]| {
                told.malformed(&self.config, message, octets);
            };
            let Some(message) = conn.next_message(judge) else { break };
            self.handle(Event::Received(id, message.map_err(|error| error.notification())));
        }
        self.outbox.flush();
        if let Some((_, conn)) = self.conns.iter_mut().find(|(other, _)| *other == id) {
            conn.keep_rest();
        }
        match read {
            Ok(Read::Nothing | Read::Some(_)) => {}
            Ok(Read::End) => self.closed(id, CloseReason::Eof),
            Err(error) => self.closed(id, CloseReason::Failed(error.to_string())),
        }
    }

    fn closed(&mut self, id: ConnId, reason: CloseReason) {
        let before = self.conns.len();
        self.conns.retain(|(other, _)| *other != id);
        if self.conns.len() < before {
            self.handle(Event::Closed(id, reason));
        }
    }

    fn flush(&mut self, id: ConnId) {
        let Some((_, conn)) = self.conns.iter_mut().find(|(other, _)| *other == id) else { return };
        let before = conn.unsent();
        match conn.flush() {
            Ok(()) => {
                let after = conn.unsent();
                self.traffic.sent += (before - after) as u64;
                // A peer that reads slowly is not one that has stopped reading.
                if after < before {
                    self.handle(Event::Writable(id));
                }
                if after > 0 {
                    self.handle(Event::Blocked(id));
                }
            }
            Err(error) => self.closed(id, CloseReason::Failed(error.to_string())),
        }
    }

    /// True when a letter can be put on its way: the socket has taken most of
    /// what it was given.
    fn can_tell(&self) -> bool {
        let Some(session) = &self.session else { return false };
        self.conns.iter().any(|(id, conn)| *id == session.up.conn && conn.unsent() < OUTPUT_LOW)
    }

    /// Sends a letter, and those that wait behind it.
    fn tell(&mut self, letter: Letter) {
        let Some(session) = &mut self.session else { return };
        let id = session.up.conn;
        let Some((_, conn)) = self.conns.iter_mut().find(|(other, _)| *other == id) else { return };
        let (mut sent, mut called) = (Sent::default(), false);
        let mut next = Some(letter);
        while let Some(letter) = next {
            sent += letter.for_peer(self.id, |octets| conn.push(octets));
            called |= session.mailbox.took(&letter);
            next = if conn.unsent() < OUTPUT_LOW { session.mailbox.more() } else { None };
        }
        if called {
            self.outbox.push(TableInput::Ready);
        }
        session.sent += sent;
        if sent.updates > 0 {
            self.handle(Event::UpdatesSent(id, sent.updates));
        }
        if sent.refreshes > 0 {
            self.handle(Event::RefreshesSent(id, sent.refreshes));
        }
        self.flush(id);
    }
}

async fn socket_ready(conns: &[(ConnId, Conn)], read: bool) -> ConnId {
    poll_fn(|context| {
        let ready = conns.iter().find(|(_, conn)| conn.poll_ready(context, read).is_ready());
        ready.map_or(std::task::Poll::Pending, |(id, _)| std::task::Poll::Ready(*id))
    })
    .await
}

async fn dial_done(dialing: &mut Option<Dialing>) -> (ConnId, std::io::Result<TcpStream>) {
    match dialing {
        Some((id, dial)) => {
            let result = dial.await;
            (*id, result.unwrap_or_else(|error| Err(std::io::Error::other(error))))
        }
        None => pending().await,
    }
}

async fn next_letter(session: &mut Option<Session>) -> Letter {
    match session {
        Some(session) => session.mailbox.next().await,
        None => pending().await,
    }
}
