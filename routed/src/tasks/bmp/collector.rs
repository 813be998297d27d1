//! One collector: its connection, and what goes over it.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use bgp::wire::{Capability, EncodeError, Open};
use bytes::BytesMut;
use monitor::bmp::{self, Rib, Termination, Writer};
use net::Family;
use rib::PeerId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use super::{Link, Node, Status};
use crate::config::bmp::Bmp;
use crate::tasks::table::ask::Ask;
use crate::tasks::table::monitors::{Monitor, NEWS, News, Statistics};

/// The first wait before dialling again; it doubles. RFC 7854 §3.2 suggests
/// half a minute, which is long where the collector was only restarted.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest one; that RFC's 720 s would hide a node for too long.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A collector that takes nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module's page.
pub(super) struct Collector {
    node: Node,
    config: Bmp,
    status: watch::Sender<Status>,
}

/// Why a connection ended.
enum End {
    /// It failed, or the collector closed it.
    Lost(io::Error),
    /// We were told to end.
    Stopped(Termination),
    /// The daemon ends.
    TableGone,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl Collector {
    pub(super) fn new(node: Node, config: Bmp, status: watch::Sender<Status>) -> Self {
        Self { node, config, status }
    }

    /// Runs until it is told to end.
    pub(super) async fn run(self, mut stop: oneshot::Receiver<Termination>) {
        let mut wait = FIRST_WAIT;
        loop {
            let dial = tokio::time::timeout(PATIENCE, TcpStream::connect(self.config.collector));
            let stream = tokio::select! {
                _ = &mut stop => return,
                dialled = dial => dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            };
            let error = match stream {
                Err(error) => error,
                Ok(stream) => {
                    let since = Instant::now();
                    match self.serve(stream, &mut stop).await {
                        End::Lost(error) if since.elapsed() < wait => error,
                        End::Lost(error) => {
                            wait = FIRST_WAIT;
                            error
                        }
                        End::Stopped(_) | End::TableGone => return,
                    }
                }
            };
            self.lost(&error);
            tokio::select! {
                _ = &mut stop => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn lost(&self, error: &io::Error) {
        let text = error.to_string();
        let mut said_before = false;
        self.status.send_modify(|status| {
            said_before = status.link == Link::Down(Some(text.clone()));
            status.link = Link::Down(Some(text));
        });
        if !said_before {
            warn!(collector = %self.config.collector, %error, "no connection to the BMP collector; tried again");
        }
    }

    async fn serve(&self, stream: TcpStream, stop: &mut oneshot::Receiver<Termination>) -> End {
        let socket = socket2::SockRef::from(&stream);
        if let Err(error) =
            socket.set_keepalive(true).and_then(|()| socket.set_tcp_user_timeout(Some(PATIENCE)))
        {
            return End::Lost(error);
        }
        let (news, receiver) = mpsc::channel(NEWS);
        let monitor = Monitor { ribs: self.config.monitor.clone(), news };
        if !self.node.table.monitor(monitor).await {
            return End::TableGone;
        }
        info!(collector = %self.config.collector, "BMP collector connected");
        self.status.send_modify(|status| {
            status.link = Link::Up(Instant::now());
            status.connects += 1;
        });
        let (read, write) = stream.into_split();
        let mut session = Session {
            collector: self,
            write,
            out: BytesMut::new(),
            messages: 0,
            writer: Writer::default(),
            up: BTreeSet::new(),
        };
        let end = match session.run(read, receiver, stop).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let why = match &end {
            End::Lost(_) => return end,
            End::Stopped(why) => *why,
            End::TableGone => Termination::Administrative,
        };
        bmp::termination(&mut session.out, why);
        // The last words of a connection that is closed either way.
        let _ = session.flush().await;
        end
    }
}

/// A connection that stands.
struct Session<'a> {
    collector: &'a Collector,
    write: OwnedWriteHalf,
    /// What is to be written next.
    out: BytesMut,
    /// How many messages that is.
    messages: u64,
    writer: Writer,
    /// The peers that were said to be up.
    up: BTreeSet<PeerId>,
}

impl Session<'_> {
    async fn run(
        &mut self,
        mut read: OwnedReadHalf,
        mut news: mpsc::Receiver<Vec<News>>,
        stop: &mut oneshot::Receiver<Termination>,
    ) -> Result<std::convert::Infallible, End> {
        let description = concat!("routed ", env!("CARGO_PKG_VERSION"));
        bmp::initiation(&mut self.out, &self.collector.node.name, description);
        self.messages += 1;
        let every = self.collector.config.statistics;
        let mut due = every.map(|every| Instant::now() + every);
        let mut ignored = [0; 512];
        loop {
            // Written before anything else is waited for; a stop is heard meanwhile.
            tokio::select! {
                why = &mut *stop => return Err(End::Stopped(why.unwrap_or(Termination::Administrative))),
                written = self.flush() => written?,
            }
            tokio::select! {
                why = &mut *stop => return Err(End::Stopped(why.unwrap_or(Termination::Administrative))),
                batch = news.recv() => {
                    for one in batch.ok_or(End::TableGone)? {
                        self.show(one);
                    }
                }
                // RFC 7854 §3.2: nothing comes; what does is of no interest.
                count = read.read(&mut ignored) => if count? == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the collector closed the connection").into());
                },
                () = crate::tasks::sleep_until(due) => {
                    due = every.map(|every| Instant::now() + every);
                    let ribs = self.collector.config.monitor.clone();
                    let stats = self.collector.node.table.ask(|reply| Ask::Statistics(ribs, reply)).await;
                    self.count(stats.ok_or(End::TableGone)?);
                }
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        let octets = self.out.len() as u64;
        self.write.write_all_buf(&mut self.out).await?;
        let messages = std::mem::take(&mut self.messages);
        if messages > 0 {
            self.collector.status.send_modify(|status| {
                status.messages += messages;
                status.octets += octets;
            });
        }
        Ok(())
    }

    fn show(&mut self, news: News) {
        let Self { out, writer, up, .. } = self;
        let written = match news {
            News::LocUp(header) => bmp::loc_up(out, &header, &loc_open(&header)).map(|()| 1),
            News::Up(session) => {
                up.insert(session.id);
                let ends = session.up.endpoints;
                let header = session.header(Rib::AdjInPre, session.since);
                bmp::peer_up(out, &header, (ends.local, ends.remote), &session.up.opens).map(|()| 1)
            }
            News::Down(session, ended, at) => {
                up.remove(&session.id);
                let header = session.header(Rib::AdjInPre, at);
                bmp::peer_down(out, &header, &ended).map(|()| 1)
            }
            News::Reach(header, family, attrs, nlri) => writer.reach(out, &header, (family, &attrs), &nlri),
            News::Unreach(header, family, nlri) => writer.unreach(out, &header, family, &nlri),
            News::End(header, family) => Ok(writer.end_of_rib(out, &header, family)),
        };
        self.wrote(written);
    }

    fn wrote(&mut self, written: Result<u64, EncodeError>) {
        match written {
            Ok(messages) => self.messages += messages,
            Err(error) => warn!(collector = %self.collector.config.collector, %error, "not shown"),
        }
    }

    fn count(&mut self, all: Vec<Statistics>) {
        for (id, header, stats) in all {
            if id.is_none_or(|id| self.up.contains(&id)) {
                bmp::statistics(&mut self.out, &header, &stats);
                self.messages += 1;
            }
        }
    }
}

/// The OPEN that says how the routes of Loc-RIB are written (RFC 9069 §5.3).
fn loc_open(header: &bmp::Header) -> Open {
    let families =
        Family::ALL.map(|family| Capability::Multiprotocol { afi: family.afi(), safi: family.safi() });
    let capabilities = families.into_iter().chain([Capability::FourOctetAs(header.of.asn)]).collect();
    Open {
        version: 4,
        my_as: header.of.asn.as_two_octets(),
        hold_time: 0,
        identifier: header.of.router_id.into(),
        capabilities,
    }
}
