//! RFC 4271 §8.2.2 as a table: every state, every event of §8.1 by its number.

use super::*;
use crate::conn::CloseReason;
use crate::peer::{Admin, TimersDue};
use crate::wire::Update;

use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};

/// What happens.
#[derive(Clone, Copy)]
enum What {
    Start,
    /// The peer is passive: it begins with a connection that was accepted.
    StartPassive,
    Shutdown,
    TooManyPrefixes,
    /// One that does not run cannot expire: then nothing happens.
    Expires(fn(TimersDue) -> Option<Instant>),
    Dialled,
    Accepted,
    DialFailed,
    Closed,
    Open,
    BadOpen,
    BadHeader,
    /// The peer has dialled as well, and has the higher identifier.
    Collision,
    VersionNotification,
    Notification,
    Keepalive,
    Update,
    BadUpdate,
}

/// Where a row begins. `Idle` twice: stopped, and held after a failure.
const COLUMNS: [&str; 7] = ["Stopped", "Held", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"];

type Cell = (State, &'static str);

/// What is not for a state leaves it as it is.
const STAY_STOPPED: Cell = (Idle, "");
const STAY_HELD: Cell = (Idle, "");

/// An event of RFC 4271 §8.1.
enum Row {
    /// What the state becomes, and what is done.
    Does(What, [Cell; 7]),
    /// It is optional and not supported, or comes as another one.
    NotApplicable(&'static str),
}

#[rustfmt::skip]
const TABLE: &[(u8, &str, Row)] = {
    use Row::{Does, NotApplicable};
    use What::*;
    &[
    //                                                       Stopped        Held                Connect                   Active               OpenSent                         OpenConfirm                      Established
    (1,  "ManualStart",               Does(Start,        [(Connect, "dial"), (Connect, "dial"), (Connect, ""),          (Active, ""),        (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")])),
    (2,  "ManualStop",                Does(Shutdown,     [STAY_STOPPED, STAY_HELD,      (Idle, "cancel"),               (Idle, ""),          (Idle, "notify 6/2 D, close D"), (Idle, "notify 6/2 D, close D"), (Idle, "notify 6/2 D, close D, down")])),
    (3,  "AutomaticStart",            NotApplicable("optional event not supported: a peer is started by its shell (1) and comes back by 13")),
    (4,  "ManualStart_with_PassiveTcpEstablishment",
                                      Does(StartPassive, [(Active, ""), (Active, ""),   (Active, ""),                   (Active, ""),        (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")])),
    (5,  "AutomaticStart_with_PassiveTcpEstablishment",
                                      NotApplicable("optional event not supported: see 3")),
    (6,  "AutomaticStart_with_DampPeerOscillations",
                                      NotApplicable("optional event that comes as 13")),
    (7,  "AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment",
                                      NotApplicable("optional event that comes as 13")),
    (8,  "AutomaticStop",             Does(TooManyPrefixes, [STAY_STOPPED, STAY_HELD,   (Idle, "cancel"),               (Idle, ""),          (Idle, "notify 6/1 D, close D"), (Idle, "notify 6/1 D, close D"), (Idle, "notify 6/1 D, close D, down")])),
    (9,  "ConnectRetryTimer_Expires", Does(Expires(|due| due.connect_retry),
                                                         [STAY_STOPPED, STAY_HELD,      (Connect, "cancel, dial"),      (Connect, "dial"),   (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")])),
    (10, "HoldTimer_Expires",         Does(Expires(|due| due.hold),
                                                         [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (Idle, "notify 4/0 D, close D"), (Idle, "notify 4/0 D, close D"), (Idle, "notify 4/0 D, close D, down")])),
    (11, "KeepaliveTimer_Expires",    Does(Expires(|due| due.keepalive),
                                                         [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (OpenSent, ""),                  (OpenConfirm, "keepalive D"),    (Established, "keepalive D")])),
    (12, "DelayOpenTimer_Expires",    NotApplicable("optional event not supported: DelayOpen")),
    (13, "IdleHoldTimer_Expires",     Does(Expires(|due| due.idle_hold),
                                                         [STAY_STOPPED, (Connect, "dial"), (Connect, ""),               (Active, ""),        (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")])),
    (14, "TcpConnection_Valid",       NotApplicable("optional event not supported: TrackTcpState; the kernel does it and tells 17")),
    (15, "Tcp_CR_Invalid",            NotApplicable("optional event not supported: TrackTcpState; the listener refuses whom nobody knows")),
    (16, "Tcp_CR_Acked",              Does(Dialled,      [(Idle, "close D"), (Idle, "close D"), (OpenSent, "open D"),   (Active, "close D"), (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")])),
    (17, "TcpConnectionConfirmed",    Does(Accepted,     [(Idle, "notify 6/5 A, close A"), (Idle, "close A"), (OpenSent, "open A"), (OpenSent, "open A"), (OpenSent, "open A"), (OpenConfirm, ""),          (Established, "")])),
    (18, "TcpConnectionFails",        Does(DialFailed,   [STAY_STOPPED, STAY_HELD,      (Active, ""),                   (Active, ""),        (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")])),
    (18, "TcpConnectionFails",        Does(Closed,       [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (Active, ""),                    (Idle, ""),                      (Idle, "down")])),
    (19, "BGPOpen",                   Does(Open,         [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (OpenConfirm, "keepalive D"),    (Idle, "notify 5/2 D, close D"), (Idle, "notify 5/3 D, close D, down")])),
    (20, "BGPOpen with DelayOpenTimer running", NotApplicable("optional event not supported: DelayOpen")),
    (21, "BGPHeaderErr",              Does(BadHeader,    [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (Idle, "notify 1/2 D, close D"), (Idle, "notify 1/2 D, close D"), (Idle, "notify 1/2 D, close D, down")])),
    (22, "BGPOpenMsgErr",             Does(BadOpen,      [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (Idle, "notify 2/2 D, close D"), (Idle, "notify 5/2 D, close D"), (Idle, "notify 5/3 D, close D, down")])),
    (23, "OpenCollisionDump",         Does(Collision,    [STAY_STOPPED, STAY_HELD,      (OpenConfirm, "keepalive A"),   (OpenConfirm, "keepalive A"), (OpenConfirm, "keepalive A"), (OpenConfirm, "notify 6/7 D, close D, open A, keepalive A"), (Established, "notify 6/7 A, close A")])),
    (24, "NotifMsgVerErr",            Does(VersionNotification, [STAY_STOPPED, STAY_HELD, (Connect, ""),                (Active, ""),        (Idle, "close D"),               (Idle, "close D"),               (Idle, "close D, down")])),
    (25, "NotifMsg",                  Does(Notification, [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (Idle, "close D"),               (Idle, "close D"),               (Idle, "close D, down")])),
    (26, "KeepAliveMsg",              Does(Keepalive,    [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (Idle, "notify 5/1 D, close D"), (Established, "up"),             (Established, "")])),
    (27, "UpdateMsg",                 Does(Update,       [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (Idle, "notify 5/1 D, close D"), (Idle, "notify 5/2 D, close D"), (Established, "update")])),
    (28, "UpdateMsgErr",              Does(BadUpdate,    [STAY_STOPPED, STAY_HELD,      (Connect, ""),                  (Active, ""),        (Idle, "notify 5/1 D, close D"), (Idle, "notify 5/2 D, close D"), (Idle, "notify 3/1 D, close D, down")])),
    ]
};

/// Brings a peer to where a column begins.
fn begin(column: &str, passive: bool) -> Bench {
    let mut bench = Bench::new(PeerConfig { passive, ..ours() });
    if column == "Stopped" {
        return bench;
    }
    bench.event(Event::Start);
    let id = if passive { ACCEPTED } else { DIALLED };
    match (column, passive) {
        // A passive peer never dials: it is in Active.
        ("Connect", _) | ("Active", true) => &mut bench,
        ("Active", false) => bench.event(Event::DialFailed(DIALLED, "connection refused".into())),
        (_, true) => bench.event(Event::Accepted(ACCEPTED, ends())),
        (_, false) => bench.event(Event::Dialled(DIALLED, ends())),
    };
    if column == "Held" {
        bench.message(id, notification(3, 1));
    }
    if matches!(column, "OpenConfirm" | "Established") {
        bench.their_open(id, "10.0.0.9");
    }
    if column == "Established" {
        bench.message(id, Message::Keepalive);
    }
    bench
}

fn apply(bench: &mut Bench, what: What) {
    let open = their_open(&ours(), "10.0.0.9");
    match what {
        What::Start | What::StartPassive => bench.event(Event::Start),
        What::Shutdown => bench.event(Event::Stop(Admin::Shutdown(None))),
        What::TooManyPrefixes => {
            let family = net::Family::Ipv4Unicast;
            bench.event(Event::Stop(Admin::MaxPrefixes { family, limit: 1 }))
        }
        What::Expires(timer) => expire(bench, timer),
        What::Dialled => bench.event(Event::Dialled(DIALLED, ends())),
        What::Accepted => bench.event(Event::Accepted(ACCEPTED, ends())),
        What::DialFailed => bench.event(Event::DialFailed(DIALLED, "no route to host".into())),
        What::Closed => bench.event(Event::Closed(DIALLED, CloseReason::Eof)),
        What::Open => bench.message(DIALLED, Message::Open(open)),
        What::BadOpen => {
            bench.message(DIALLED, Message::Open(Open { my_as: 1, capabilities: vec![], ..open }))
        }
        What::BadHeader => bad(bench, 1, 2),
        What::Collision => {
            bench.event(Event::Accepted(ACCEPTED, ends())).message(ACCEPTED, Message::Open(open))
        }
        What::VersionNotification => bench.message(DIALLED, notification(2, 1)),
        What::Notification => bench.message(DIALLED, notification(3, 1)),
        What::Keepalive => bench.message(DIALLED, Message::Keepalive),
        What::Update => bench.message(DIALLED, Message::Update(Update::default())),
        What::BadUpdate => bad(bench, 3, 1),
    };
}

/// Octets for which the codec wants this answer.
fn bad(bench: &mut Bench, code: u8, subcode: u8) -> &mut Bench {
    bench.event(Event::Received(DIALLED, Err(Notification { code, subcode, data: [0, 1].into() })))
}

/// Lets time pass until a timer has expired, if it runs.
fn expire(bench: &mut Bench, timer: fn(TimersDue) -> Option<Instant>) -> &mut Bench {
    bench.out.clear();
    if let Some(due) = timer(bench.peer.status().timers) {
        while bench.now < due {
            bench.tick();
        }
    }
    bench
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    for (number, name, row) in TABLE {
        let Row::Does(what, cells) = row else { continue };
        for (column, (state, did)) in COLUMNS.into_iter().zip(cells) {
            let mut bench = begin(column, matches!(what, What::StartPassive));
            let before = bench.peer.state();
            apply(&mut bench, *what);
            let after = bench.peer.state();
            assert_eq!((after, bench.did().as_str()), (*state, *did), "{number} {name} in {column}");
            let told = matches!(bench.out.last(), Some(Action::StateChanged(told)) if *told == after);
            assert_eq!(told, before != after, "{number} {name} in {column}: change of state");
        }
    }
}

#[test]
fn the_table_has_every_event_and_says_why_some_are_not_applicable() {
    let mut numbers: Vec<u8> = TABLE.iter().map(|(number, ..)| *number).collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=28).collect::<Vec<u8>>());
    let absent = TABLE.iter().filter_map(|(number, _, row)| match row {
        Row::NotApplicable(why) => Some((*number, why.starts_with("optional event"))),
        Row::Does(..) => None,
    });
    assert_eq!(absent.collect::<Vec<_>>(), [3, 5, 6, 7, 12, 14, 15, 20].map(|number| (number, true)));
}

#[test]
fn a_state_prints_as_the_rfc_spells_it() {
    let names = [Idle, Connect, Active, OpenSent, OpenConfirm, Established].map(|state| state.to_string());
    assert_eq!(names.join(" "), "Idle Connect Active OpenSent OpenConfirm Established");
}
