//! Many peers: until everyone has what everyone else tells.

use std::{sync::Arc, time::Duration};

use super::cause;
use crate::{
    Error, Result,
    bench::{
        Options,
        cost::{self, Span},
        engine::{Engine, Running, Task},
        prefixes::plain,
        progress,
        sheet::Sheet,
        stage::Stage,
        swarm::Swarm,
        wire::{Teller, announce, withdraw},
    },
    wait::pause,
};

/// Patience with a router.
const LIMIT: Duration = Duration::from_secs(150);
/// How long a router is left alone before the withdraw.
const QUIET: Duration = Duration::from_secs(2);
/// The figures of a run.
const COLUMNS: [&str; 6] = [
    "until all have all s",
    "CPU s",
    "peak MB",
    "one withdraw seen by all ms",
    "load's CPU s",
    "CPUs of others",
];

/// 10, 50 and 200 peers.
pub(crate) fn run(options: &Options) -> Vec<Sheet> {
    let sizes = if options.peers.is_empty() { vec![10, 50, 200] } else { options.peers.clone() };
    let each = options.size(1_000);
    sizes.into_iter().map(|peers| row(peers, each, peers, options)).collect()
}

/// 50 peers with many prefixes each, of whom one only listens.
pub(crate) fn monitor(options: &Options) -> Sheet {
    row(51, options.size(20_000), 50, options)
}

/// `tellers` of the peers tell `each` prefixes. If all of them tell, all must
/// have all; else the last, which only listens, must.
fn row(peers: u8, each: usize, tellers: u8, options: &Options) -> Sheet {
    let load = Load { peers, each, tellers: tellers.into() };
    let title = if load.monitor() {
        format!("{tellers} peers with {each} prefixes each, a monitor has all")
    } else {
        format!("{peers} peers with {each} prefixes each, everyone has everything")
    };
    let mut sheet = Sheet::new(title, &COLUMNS);
    sheet.measure(options.runs, &options.engines(|engine| load.suits(engine)), |run, engine| {
        progress(&format!("{peers} peers, run {run}: {}", engine.name()));
        load.measure(engine, options)
    });
    if !options.engines(|engine| engine == Engine::Gobgp && !load.suits(engine)).is_empty() {
        sheet.note("GoBGP is left out: it does not finish within 150 s.");
    }
    sheet
}

struct Load {
    peers: u8,
    each: usize,
    tellers: usize,
}

impl Load {
    fn monitor(&self) -> bool {
        self.tellers < usize::from(self.peers)
    }

    /// Who is known to take minutes is left out.
    fn suits(&self, engine: Engine) -> bool {
        engine != Engine::Gobgp || usize::from(self.peers) * self.each <= 10_000
    }

    /// Which sessions must have how many prefixes once all is told.
    fn goals(&self) -> Vec<(usize, usize)> {
        let all = self.tellers * self.each;
        if self.monitor() {
            return vec![(self.tellers, all)];
        }
        (0..usize::from(self.peers)).map(|session| (session, all - self.each)).collect()
    }

    fn measure(&self, engine: Engine, options: &Options) -> Result<[Option<f64>; 6]> {
        let stage = Stage::new("peers", self.peers)?;
        let ends = stage.ends();
        let task = Task { peers: ends.clone(), fib: false, transit: true, watched: None };
        let mut router = engine.start(&stage.router, &task, &options.binaries())?;
        let swarm = stage.dial_counting(self.tellers, self.each)?;
        // What a session brings by itself is over when the prefixes come.
        pause(QUIET);
        let updates: Vec<(usize, Arc<[u8]>)> = (0..self.tellers)
            .map(|session| {
                let teller = Teller { asn: ends[session].asn, next_hop: ends[session].local, longer: 0 };
                (session, announce(teller, &plain(session * self.each, self.each)).into())
            })
            .collect();

        let pids = router.pids();
        let span = Span::begin(&pids);
        let goals = self.goals();
        let waiting = goals.len();
        swarm.aim(goals)?;
        let began = swarm.tell(updates)?;
        let reached = swarm.reached(waiting, LIMIT).map_err(|why| cause(why, &mut router, &swarm))?;
        let (spent, peak) = (span.end(), cost::peak(&pids));
        self.check(&router, &swarm)?;
        let withdraw = self.withdraw(&swarm)?;
        router.check()?;
        Ok([
            Some((reached - began).as_secs_f64()),
            Some(spent.cpu),
            Some(peak),
            Some(withdraw.as_secs_f64() * 1e3),
            Some(spent.load),
            Some(spent.others),
        ])
    }

    /// The router learned all, and everyone has what the others told, no more.
    fn check(&self, router: &Running, swarm: &Swarm) -> Result<()> {
        let (learned, counts) = (router.learned()?, swarm.counts()?);
        let total = self.tellers * self.each;
        let right = self.goals().into_iter().all(|(session, goal)| counts.get(session) == Some(&goal));
        if learned == total && right {
            return Ok(());
        }
        Err(Error::Claim(format!(
            "of {total} prefixes it learned {learned}, and the sessions have {counts:?}"
        )))
    }

    /// The first peer withdraws one prefix: how long until all others know.
    fn withdraw(&self, swarm: &Swarm) -> Result<Duration> {
        pause(QUIET);
        let goals: Vec<(usize, usize)> =
            self.goals().into_iter().filter(|goal| goal.0 != 0).map(|(at, goal)| (at, goal - 1)).collect();
        let waiting = goals.len();
        swarm.aim(goals)?;
        let began = swarm.tell(vec![(0, withdraw(&plain(0, 1)).into())])?;
        Ok(swarm.reached(waiting, Duration::from_secs(30))? - began)
    }
}
