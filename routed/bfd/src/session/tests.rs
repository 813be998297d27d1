use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;

use super::*;
use crate::config::Interval;
use crate::wire::decode;

const MS: Duration = Duration::from_millis(1);
const PATH: Path = Path::OneHop { interface: 1, remote: IpAddr::V4(Ipv4Addr::LOCALHOST) };

fn config() -> Config {
    with_interval(100)
}

fn with_interval(ms: u32) -> Config {
    let interval = Interval::new(ms * MS).unwrap();
    Config { interval, multiplier: NonZeroU8::new(3).unwrap(), least_ttl: 1, auth: None }
}

/// A session with discriminator 1 under test, and what it wants.
struct Rig {
    session: Session,
    now: Instant,
    out: Vec<Output>,
}

impl Rig {
    fn new() -> Self {
        let now = Instant::now();
        Self { session: Session::new(now, config(), 1, 7), now, out: Vec::new() }
    }

    /// A session that has come to a state by what it heard.
    fn at(state: State) -> Self {
        let mut rig = Self::new();
        match state {
            State::Down => {}
            State::Init => rig.hear(State::Down),
            State::Up => rig.hear(State::Init),
            State::AdminDown => {
                rig.session.stop(rig.now, &mut rig.out);
            }
        }
        assert_eq!(rig.session.state, state);
        rig.out.clear();
        rig
    }

    fn hear(&mut self, state: State) {
        self.hear_packet(Packet { state, ..said() });
    }

    fn hear_packet(&mut self, packet: Packet) {
        let bytes = encode(&packet);
        let result = self.session.receive(self.now, &decode(&bytes).unwrap(), &mut self.out);
        assert_eq!(result.is_err(), self.session.state == State::AdminDown);
    }

    /// Lets time pass, ticking when asked to.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.session.next_deadline().filter(|at| *at <= until) {
            self.now = at;
            self.session.tick(at, &mut self.out);
            assert!(self.session.next_deadline().is_none_or(|next| next > at), "no deadline stays");
        }
        self.now = until;
    }

    fn sent(&mut self) -> Vec<Packet> {
        let sent = self.out.iter().filter_map(|output| match output {
            Output::Send(bytes) => Some(decode(bytes).unwrap().packet),
            _ => None,
        });
        let sent = sent.collect();
        self.out.clear();
        sent
    }
}

/// A packet of the other end, which has discriminator 9 and our settings.
fn said() -> Packet {
    Packet {
        diag: Diag::None,
        state: State::Up,
        poll: false,
        fin: false,
        independent: false,
        demand: false,
        multiplier: 3,
        mine: 9,
        yours: 1,
        desired_tx: 100_000,
        required_rx: 100_000,
        required_echo: 0,
    }
}

#[test]
fn the_transition_table_is_exhaustive_and_correct() {
    use State::{AdminDown, Down, Init, Up};
    // Rows: our state; columns: AdminDown, Down, Init, Up heard; then silence.
    let table = [
        (AdminDown, [AdminDown, AdminDown, AdminDown, AdminDown], AdminDown),
        (Down, [Down, Init, Up, Down], Down),
        (Init, [Down, Init, Up, Up], Down),
        (Up, [Down, Down, Up, Up], Down),
    ];
    for (from, heard, silence) in table {
        for (said, to) in State::ALL.into_iter().zip(heard) {
            let mut rig = Rig::at(from);
            rig.hear(said);
            assert_eq!(rig.session.state, to, "{from:?} hears {said:?}");
            let came = rig.out.contains(&Output::Up);
            let went = rig.out.iter().any(|output| matches!(output, Output::Down(..)));
            assert_eq!(came, to == Up && from != Up, "{from:?} hears {said:?}");
            assert_eq!(went, from == Up && to != Up, "{from:?} hears {said:?}");
        }
        let mut rig = Rig::at(from);
        rig.wait(Duration::from_secs(10));
        assert_eq!(rig.session.state, silence, "{from:?} and silence");
    }
}

#[test]
fn a_diagnostic_says_why_up_was_left() {
    let down = |state, diag, why| {
        let mut rig = Rig::at(State::Up);
        rig.hear(state);
        assert_eq!(rig.session.diag, diag);
        assert!(rig.out.contains(&Output::Down(why, Fate::Shared)));
    };
    down(State::Down, Diag::NeighborDown, WhyDown::Neighbor);
    down(State::AdminDown, Diag::NeighborDown, WhyDown::NeighborAdmin);
    let mut silent = Rig::at(State::Up);
    silent.wait(301 * MS);
    assert_eq!(silent.session.diag, Diag::DetectionExpired);
    assert!(silent.out.contains(&Output::Down(WhyDown::Silent, Fate::Shared)));
    assert_eq!(silent.session.remote.discriminator, 0, "§6.8.1: it is forgotten");
    silent.hear(State::Init);
    assert_eq!(silent.session.diag, Diag::None, "it is up again");
}

#[test]
fn silence_is_noticed_at_the_detection_time_and_not_before() {
    let mut rig = Rig::at(State::Up);
    rig.wait(299 * MS);
    assert_eq!(rig.session.state, State::Up);
    rig.wait(MS);
    assert_eq!(rig.session.state, State::Down);
}

#[test]
fn packets_go_once_a_second_until_up_and_then_at_the_interval() {
    let mut rig = Rig::new();
    rig.wait(Duration::from_secs(100));
    let slow = rig.sent();
    assert!((100..=135).contains(&slow.len()), "{}", slow.len());
    assert!(slow.iter().all(|packet| packet.desired_tx == 1_000_000 && packet.required_rx == 100_000));
    rig.hear(State::Init);
    rig.sent();
    for _ in 0..100 {
        rig.hear(State::Up);
        rig.wait(100 * MS);
    }
    let fast = rig.sent();
    assert!((100..=135).contains(&fast.len()), "{}", fast.len());
    assert!(fast.iter().all(|packet| packet.desired_tx == 100_000 && packet.yours == 9));
}

#[test]
fn the_slower_of_sender_and_receiver_sets_the_interval() {
    let mut rig = Rig::at(State::Up);
    rig.hear_packet(Packet { required_rx: 500_000, desired_tx: 700_000, ..said() });
    assert_eq!(rig.session.tx_interval(), 500 * MS);
    assert_eq!(rig.session.detection_of(&rig.session.remote), 2100 * MS);
    rig.hear_packet(Packet { required_rx: 0, ..said() });
    rig.out.clear();
    rig.wait(299 * MS);
    assert_eq!(rig.sent(), [], "0 means: send nothing");
}

#[test]
fn a_poll_runs_from_up_until_it_is_answered() {
    let mut rig = Rig::at(State::Init);
    rig.hear(State::Up);
    rig.wait(100 * MS);
    assert!(rig.sent().iter().all(|packet| packet.poll && !packet.fin && packet.state == State::Up));
    rig.hear_packet(Packet { fin: true, ..said() });
    rig.wait(100 * MS);
    assert!(rig.sent().iter().all(|packet| !packet.poll));
}

#[test]
fn a_poll_is_answered_at_once_without_one_of_our_own() {
    let mut rig = Rig::at(State::Up);
    rig.hear_packet(Packet { poll: true, ..said() });
    let answer = rig.sent();
    assert_eq!((answer.len(), answer[0].fin, answer[0].poll), (1, true, false));
}

#[test]
fn slower_intervals_are_used_when_the_other_end_knows() {
    let mut rig = Rig::at(State::Up);
    rig.hear_packet(Packet { fin: true, ..said() });
    let slower = with_interval(400);
    rig.session.configure(rig.now, slower, &mut rig.out);
    let told = rig.sent();
    assert!(told.iter().all(|packet| packet.poll && packet.desired_tx == 400_000));
    assert_eq!(told.len(), 1);
    assert_eq!(rig.session.tx_interval(), 100 * MS, "the other end may still be fast in losing us");
    assert_eq!(rig.session.pace.used.rx, 400 * MS);
    rig.hear_packet(Packet { fin: true, ..said() });
    assert_eq!(rig.session.tx_interval(), 400 * MS);
}

#[test]
fn a_poll_that_was_overtaken_is_followed_by_another_after_a_packet_without_p() {
    let mut rig = Rig::at(State::Up);
    rig.session.configure(rig.now, with_interval(400), &mut rig.out);
    rig.hear_packet(Packet { fin: true, ..said() });
    rig.hear_packet(Packet { fin: true, ..said() });
    rig.hear_packet(Packet { fin: true, ..said() });
    rig.wait(200 * MS);
    rig.hear_packet(Packet { fin: true, ..said() });
    assert!(!rig.session.pace.polls());
    rig.sent();

    rig.session.configure(rig.now, config(), &mut rig.out);
    assert_eq!(rig.session.tx_interval(), 100 * MS, "faster is right at once");
    assert_eq!(rig.session.pace.used.rx, 400 * MS, "the other end may still be slow");
    rig.session.configure(rig.now, with_interval(50), &mut rig.out);
    rig.hear_packet(Packet { fin: true, ..said() });
    rig.hear_packet(Packet { fin: true, ..said() });
    assert_eq!(rig.session.pace.used.rx, 400 * MS, "the second F may answer what was said before");
    rig.sent();
    rig.wait(100 * MS);
    let gap = rig.sent();
    assert!(!gap[0].poll && gap[0].required_rx == 50_000, "{gap:?}");
    rig.hear(State::Up);
    rig.wait(100 * MS);
    assert!(rig.sent()[0].poll, "another one follows");
    rig.hear_packet(Packet { fin: true, ..said() });
    assert_eq!((rig.session.pace.polls(), rig.session.pace.used.rx), (false, 50 * MS));
}

#[test]
fn f_that_answers_no_p_changes_nothing() {
    let mut rig = Rig::at(State::Up);
    rig.hear_packet(Packet { fin: true, ..said() });
    rig.sent();
    // The change is told at once, so what comes after it may be its answer;
    // what came before it may not.
    rig.session.pace.retime(true, Timing { tx: 400 * MS, rx: 400 * MS });
    rig.session.pace.answered();
    assert_eq!(rig.session.pace.used.tx, 100 * MS);
}

#[test]
fn required_min_rx_of_zero_stops_periodic_packets_and_nothing_else() {
    let mut rig = Rig::at(State::Up);
    rig.hear_packet(Packet { required_rx: 0, fin: true, ..said() });
    rig.sent();
    rig.wait(299 * MS);
    assert_eq!(rig.sent(), [], "§6.8.7: no periodic packets");
    rig.hear_packet(Packet { required_rx: 0, poll: true, ..said() });
    let answer = rig.sent();
    assert!(answer.len() == 1 && answer[0].fin, "§6.8.7: a poll is answered without respect to it");
    rig.hear_packet(Packet { required_rx: 0, state: State::Down, ..said() });
    let told = rig.sent();
    assert_eq!((told.len(), told[0].state), (1, State::Down), "§6.8.7: a change of state is told");
    rig.hear_packet(Packet { required_rx: 0, state: State::Down, ..said() });
    assert_eq!(rig.sent()[0].state, State::Init);
    rig.session.configure(rig.now, with_interval(200), &mut rig.out);
    assert_eq!(rig.sent()[0].required_rx, 200_000, "so is a change of timers");
    // Who is silent wants nothing any more.
    rig.wait(Duration::from_secs(10));
    assert!(rig.sent().len() > 5);
}

#[test]
fn the_end_of_demand_mode_makes_a_packet_due_now_and_not_in_the_past() {
    let demand = Packet { demand: true, fin: true, ..said() };
    let mut rig = Rig::at(State::Up);
    rig.hear_packet(demand);
    assert!(rig.session.demanded());
    // Nothing has been sent for longer than an interval, and nobody minds.
    rig.wait(250 * MS);
    rig.hear_packet(said());
    assert_eq!(rig.session.next_deadline(), Some(rig.now));
    rig.sent();
    rig.wait(Duration::ZERO);
    assert_eq!(rig.sent().len(), 1);
}

#[test]
fn who_asks_for_demand_mode_gets_no_periodic_packets_while_both_are_up() {
    let demand = Packet { demand: true, ..said() };
    let mut rig = Rig::at(State::Init);
    rig.hear_packet(Packet { state: State::Init, ..demand });
    assert!(!rig.session.demanded(), "the other end is not Up yet");
    rig.hear_packet(Packet { fin: true, ..demand });
    rig.sent();
    let hear = |rig: &mut Rig, packet: Packet| {
        for _ in 0..10 {
            rig.hear_packet(packet);
            rig.wait(100 * MS);
        }
    };
    hear(&mut rig, demand);
    assert_eq!((rig.sent(), rig.session.state), (vec![], State::Up), "§6.6");
    assert!(rig.session.status(PATH).remote_demand);
    rig.hear_packet(Packet { poll: true, ..demand });
    assert!(rig.sent()[0].fin, "it asks whether we live");
    // Our own changes are told by a poll sequence, which has to go on.
    rig.session.configure(rig.now, with_interval(200), &mut rig.out);
    hear(&mut rig, demand);
    let polls = rig.sent();
    assert!(polls.len() > 5 && polls.iter().all(|packet| packet.poll));
    rig.hear_packet(Packet { fin: true, ..demand });
    hear(&mut rig, demand);
    assert_eq!(rig.sent(), []);
    hear(&mut rig, said());
    assert!(rig.sent().len() > 3, "it is over");
    hear(&mut rig, demand);
    rig.sent();
    rig.wait(Duration::from_secs(1));
    let down = rig.sent();
    assert_eq!(
        (down[0].state, down[0].diag),
        (State::Down, Diag::DetectionExpired),
        "§6.8.4: we still listen"
    );
}

#[test]
fn the_c_bit_of_the_other_end_says_what_a_failure_means() {
    for (independent, fate) in [(false, Fate::Shared), (true, Fate::Independent)] {
        let mut rig = Rig::at(State::Up);
        rig.hear_packet(Packet { independent, ..said() });
        assert_eq!(rig.session.status(PATH).remote_independent, independent);
        assert!(rig.sent().iter().all(|packet| !packet.independent), "ours ends with the daemon");
        rig.wait(Duration::from_secs(1));
        assert!(rig.out.contains(&Output::Down(WhyDown::Silent, fate)));
    }
}

#[test]
fn what_the_other_end_said_is_forgotten_after_silence_in_admin_down_too() {
    let mut rig = Rig::at(State::Up);
    rig.session.stop(rig.now, &mut rig.out);
    rig.hear(State::Down);
    assert_eq!((rig.session.remote.discriminator, rig.session.remote.state), (9, State::Down));
    rig.wait(Duration::from_secs(1));
    assert_eq!((rig.session.remote.discriminator, rig.session.state), (0, State::AdminDown));
}

#[test]
fn a_change_is_told_at_once_and_only_once() {
    let mut rig = Rig::new();
    rig.session.tick(rig.now, &mut rig.out);
    rig.out.clear();
    rig.hear(State::Down);
    rig.hear(State::Down);
    let told = rig.sent();
    assert_eq!((told.len(), told[0].state, told[0].yours), (1, State::Init, 9));
}
