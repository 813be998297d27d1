//! RFC 4271 §8.2.2 as a table: every state, every event.

use super::*;
use crate::conn::CloseReason;
use crate::peer::Admin;
use crate::wire::Update;

/// An event, with the number that RFC 4271 §8.1 gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// 1
    Start,
    /// 2
    Shutdown,
    /// 9, 10, 11, 13: whichever timer is due first.
    TimerExpires,
    /// 16
    Dialled,
    /// 17
    Accepted,
    /// 18 of a dial
    DialFailed,
    /// 18 of a connection
    Closed,
    /// 19
    Open,
    /// 22
    BadOpen,
    /// 21
    BadHeader,
    /// 25
    Notification,
    /// 26
    Keepalive,
    /// 27
    Update,
}

use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};

/// Where a row begins. `Idle` twice: stopped, and held after a failure.
const COLUMNS: [&str; 7] = ["Stopped", "Held", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"];

type Cell = (State, &'static str);

/// What is not for a state leaves it as it is.
const STAY_STOPPED: Cell = (Idle, "");

#[rustfmt::skip]
const TABLE: [(What, [Cell; 7]); 13] = {
    use What::*;
    [
    //               Stopped        Held                Connect                   Active               OpenSent                         OpenConfirm                      Established
    (Start,        [(Connect, "dial"), (Connect, "dial"), (Connect, ""),          (Active, ""),        (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")]),
    (Shutdown,     [STAY_STOPPED, (Idle, ""),     (Idle, "cancel"),               (Idle, ""),          (Idle, "notify 6/2 D, close D"), (Idle, "notify 6/2 D, close D"), (Idle, "notify 6/2 D, close D, down")]),
    (TimerExpires, [STAY_STOPPED, (Connect, "dial"), (Connect, "cancel, dial"),   (Connect, "dial"),   (OpenSent, ""),                  (OpenConfirm, "keepalive D"),    (Established, "keepalive D")]),
    (Dialled,      [(Idle, "close D"), (Idle, "close D"), (OpenSent, "open D"),   (Active, "close D"), (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")]),
    (Accepted,     [(Idle, "notify 6/5 A, close A"), (Idle, "close A"), (OpenSent, "open A"), (OpenSent, "open A"), (OpenSent, "open A"), (OpenConfirm, ""),             (Established, "")]),
    (DialFailed,   [STAY_STOPPED, (Idle, ""),     (Active, ""),                   (Active, ""),        (OpenSent, ""),                  (OpenConfirm, ""),               (Established, "")]),
    (Closed,       [STAY_STOPPED, (Idle, ""),     (Connect, ""),                  (Active, ""),        (Active, ""),                    (Idle, ""),                      (Idle, "down")]),
    (Open,         [STAY_STOPPED, (Idle, ""),     (Connect, ""),                  (Active, ""),        (OpenConfirm, "keepalive D"),    (Idle, "notify 5/2 D, close D"), (Idle, "notify 5/3 D, close D, down")]),
    (BadOpen,      [STAY_STOPPED, (Idle, ""),     (Connect, ""),                  (Active, ""),        (Idle, "notify 2/2 D, close D"), (Idle, "notify 5/2 D, close D"), (Idle, "notify 5/3 D, close D, down")]),
    (BadHeader,    [STAY_STOPPED, (Idle, ""),     (Connect, ""),                  (Active, ""),        (Idle, "notify 1/2 D, close D"), (Idle, "notify 1/2 D, close D"), (Idle, "notify 1/2 D, close D, down")]),
    (Notification, [STAY_STOPPED, (Idle, ""),     (Connect, ""),                  (Active, ""),        (Idle, "close D"),               (Idle, "close D"),               (Idle, "close D, down")]),
    (Keepalive,    [STAY_STOPPED, (Idle, ""),     (Connect, ""),                  (Active, ""),        (Idle, "notify 5/1 D, close D"), (Established, "up"),             (Established, "")]),
    (Update,       [STAY_STOPPED, (Idle, ""),     (Connect, ""),                  (Active, ""),        (Idle, "notify 5/1 D, close D"), (Idle, "notify 5/2 D, close D"), (Established, "update")]),
    ]
};

/// Brings a peer to where a column begins.
fn begin(column: &str) -> Bench {
    let mut bench = Bench::new(ours());
    if column == "Stopped" {
        return bench;
    }
    bench.event(Event::Start);
    match column {
        "Connect" => {}
        "Active" => {
            bench.event(Event::DialFailed(DIALLED, "connection refused".into()));
        }
        "Held" => {
            bench.event(Event::Dialled(DIALLED, ends())).message(DIALLED, notification(3, 1));
        }
        _ => {
            bench.event(Event::Dialled(DIALLED, ends()));
            if column != "OpenSent" {
                bench.their_open(DIALLED, "10.0.0.9");
            }
            if column == "Established" {
                bench.message(DIALLED, Message::Keepalive);
            }
        }
    }
    bench
}

fn apply(bench: &mut Bench, what: What) {
    let open = their_open(&ours(), "10.0.0.9");
    match what {
        What::Start => bench.event(Event::Start),
        What::Shutdown => bench.event(Event::Stop(Admin::Shutdown(None))),
        What::TimerExpires => {
            bench.out.clear();
            if bench.peer.next_deadline().is_some() {
                bench.tick();
            }
            bench
        }
        What::Dialled => bench.event(Event::Dialled(DIALLED, ends())),
        What::Accepted => bench.event(Event::Accepted(ACCEPTED, ends())),
        What::DialFailed => bench.event(Event::DialFailed(DIALLED, "no route to host".into())),
        What::Closed => bench.event(Event::Closed(DIALLED, CloseReason::Eof)),
        What::Open => bench.message(DIALLED, Message::Open(open)),
        What::BadOpen => {
            bench.message(DIALLED, Message::Open(Open { my_as: 1, capabilities: vec![], ..open }))
        }
        What::BadHeader => {
            let answer = Notification { code: 1, subcode: 2, data: [0, 1].into() };
            bench.event(Event::Received(DIALLED, Err(answer)))
        }
        What::Notification => bench.message(DIALLED, notification(3, 1)),
        What::Keepalive => bench.message(DIALLED, Message::Keepalive),
        What::Update => bench.message(DIALLED, Message::Update(Update::default())),
    };
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    for (what, cells) in TABLE {
        for (column, (state, did)) in COLUMNS.into_iter().zip(cells) {
            let mut bench = begin(column);
            let before = bench.peer.state();
            apply(&mut bench, what);
            let after = bench.peer.state();
            assert_eq!((after, bench.did().as_str()), (state, did), "{what:?} in {column}");
            let told = matches!(bench.out.last(), Some(Action::StateChanged(told)) if *told == after);
            assert_eq!(told, before != after, "{what:?} in {column}: change of state");
        }
    }
}

#[test]
fn a_state_prints_as_the_rfc_spells_it() {
    let names = [Idle, Connect, Active, OpenSent, OpenConfirm, Established].map(|state| state.to_string());
    assert_eq!(names.join(" "), "Idle Connect Active OpenSent OpenConfirm Established");
}
