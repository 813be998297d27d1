use super::*;
use crate::wire::decode;

const MS: Duration = Duration::from_millis(1);

fn config() -> Config {
    Config { interval: 100 * MS, multiplier: 3, auth: None }
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
            let went = rig.out.iter().any(|output| matches!(output, Output::Down(_)));
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
        assert!(rig.out.contains(&Output::Down(why)));
    };
    down(State::Down, Diag::NeighborDown, WhyDown::Neighbor);
    down(State::AdminDown, Diag::NeighborDown, WhyDown::NeighborAdmin);
    let mut silent = Rig::at(State::Up);
    silent.wait(301 * MS);
    assert_eq!(silent.session.diag, Diag::DetectionExpired);
    assert!(silent.out.contains(&Output::Down(WhyDown::Silent)));
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
    let slower = Config { interval: 400 * MS, ..config() };
    rig.session.configure(rig.now, slower, &mut rig.out);
    let told = rig.sent();
    assert!(told.iter().all(|packet| packet.poll && packet.desired_tx == 400_000));
    assert_eq!(told.len(), 1);
    assert_eq!(rig.session.tx_interval(), 100 * MS, "the other end may still be fast in losing us");
    assert_eq!(rig.session.pace.used.rx, 400 * MS);
    rig.hear_packet(Packet { fin: true, ..said() });
    assert_eq!(rig.session.tx_interval(), 400 * MS);

    rig.session.configure(rig.now, config(), &mut rig.out);
    assert_eq!(rig.session.tx_interval(), 100 * MS, "faster is right at once");
    assert_eq!(rig.session.pace.used.rx, 400 * MS, "the other end may still be slow");
    rig.session.configure(rig.now, Config { interval: 50 * MS, ..config() }, &mut rig.out);
    rig.hear_packet(Packet { fin: true, ..said() });
    assert!(rig.session.pace.polls(), "values changed in the poll: another one follows");
    rig.hear_packet(Packet { fin: true, ..said() });
    assert_eq!((rig.session.pace.polls(), rig.session.pace.used.rx), (false, 50 * MS));
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
