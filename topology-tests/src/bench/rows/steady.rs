//! A full table at work: CPU under steady churn, and while nothing happens.

use std::{sync::Arc, time::Duration};

use super::cause;
use crate::{
    Error, Result,
    bench::{
        Options,
        cost::{self, Span},
        engine::{Engine, Running, Task},
        fib::Watch,
        prefixes::{Prefix, mix, plain},
        progress,
        sheet::Sheet,
        stage::Stage,
        swarm::Swarm,
        wire::{Teller, announce, withdraw},
    },
    wait::{now, pause},
};

/// Patience with a router that learns.
const LIMIT: Duration = Duration::from_secs(300);
/// How long a router is left alone after it has learned everything.
const QUIET: Duration = Duration::from_secs(5);
/// Between two messages of the churn.
const BEAT: Duration = Duration::from_millis(10);
/// Prefixes withdrawn, and announced again, in a beat.
const AT_ONCE: usize = 5;
/// Beats between the two.
const GONE: usize = 10;
/// Peers of the idle row.
const PEERS: u8 = 50;

/// 1,000 changes a second: 500 prefixes go, 500 come back.
pub(crate) fn churn(options: &Options) -> Sheet {
    let prefixes = mix(options.size(1_000_000));
    let time = Duration::from_secs(if options.quick { 10 } else { 30 });
    let title = format!(
        "1,000 prefix changes a second for {} s over {} routes in the kernel",
        time.as_secs(),
        prefixes.len()
    );
    let mut sheet = Sheet::new(title, &["CPU s", "% of a core", "peak MB", "CPUs of others"]);
    let engines = options.engines(|engine| engine.has_fib() && engine != Engine::FrrQuick);
    sheet.measure(options.runs, &engines, |run, engine| {
        progress(&format!("churn, run {run}: {}", engine.name()));
        measure_churn(engine, &prefixes, time, options)
    });
    sheet
}

fn measure_churn(
    engine: Engine,
    prefixes: &[Prefix],
    time: Duration,
    options: &Options,
) -> Result<[Option<f64>; 4]> {
    let stage = Stage::new("churn", 1)?;
    let ends = stage.ends();
    let task = Task { peers: ends.clone(), fib: true, transit: true, watched: None };
    let mut router = engine.start(&stage.router, &task, &options.binaries())?;
    let swarm = stage.dial()?;
    let watch = Watch::new(&stage.router, prefixes)?;
    let teller = Teller { asn: ends[0].asn, next_hop: ends[0].local, longer: 0 };
    swarm.tell(vec![(0, announce(teller, prefixes).into())])?;
    watch.until(prefixes.len(), LIMIT).map_err(|why| cause(why, &mut router, &swarm))?;
    pause(QUIET);

    let beats: Vec<Arc<[u8]>> = beats(teller, prefixes, time);
    let span = Span::begin(&router.pids());
    let began = now();
    for (number, beat) in beats.iter().enumerate() {
        let due = began + BEAT * u32::try_from(number).unwrap_or(u32::MAX);
        pause(due.saturating_duration_since(now()));
        swarm.tell(vec![(0, Arc::clone(beat))])?;
    }
    let (took, spent) = (began.elapsed().as_secs_f64(), span.end());
    watch.until(prefixes.len(), LIMIT)?;
    swarm.check()?;
    router.check()?;
    let percent = spent.cpu / took * 100.0;
    Ok([Some(spent.cpu), Some(percent), Some(cost::peak(&router.pids())), Some(spent.others)])
}

/// What is written in each beat; after the last, everything is there again.
fn beats(teller: Teller, prefixes: &[Prefix], time: Duration) -> Vec<Arc<[u8]>> {
    let count = usize::try_from(time.as_millis() / BEAT.as_millis()).unwrap_or(0);
    let groups: Vec<&[Prefix]> = prefixes.chunks(AT_ONCE).cycle().take(count).collect();
    let beat = |number: usize| {
        let mut bytes = groups.get(number).map_or_else(Vec::new, |group| withdraw(group));
        if let Some(group) = number.checked_sub(GONE).and_then(|back| groups.get(back)) {
            bytes.extend(announce(teller, group));
        }
        bytes.into()
    };
    (0..count + GONE).map(beat).collect()
}

/// 50 peers that have all, and nothing to say.
pub(crate) fn idle(options: &Options) -> Sheet {
    let each = options.size(20_000);
    let time = Duration::from_secs(if options.quick { 20 } else { 60 });
    let title = format!(
        "idle for {} s with {} routes in the kernel and {PEERS} peers that have them",
        time.as_secs(),
        each * usize::from(PEERS)
    );
    let mut sheet = Sheet::new(title, &["CPU s", "peak MB", "CPUs of others"]);
    // A minute is a mean already.
    let engines = options.engines(|engine| engine.has_fib() && engine != Engine::Frr);
    sheet.measure(options.runs.min(1), &engines, |run, engine| {
        progress(&format!("idle, run {run}: {}", engine.name()));
        measure_idle(engine, each, time, options)
    });
    sheet.note("FRR with its waits before updates is left out: when it is idle they play no part.");
    sheet
}

fn measure_idle(engine: Engine, each: usize, time: Duration, options: &Options) -> Result<[Option<f64>; 3]> {
    let stage = Stage::new("idle", PEERS)?;
    let ends = stage.ends();
    let tellers = usize::from(PEERS);
    let task = Task { peers: ends.clone(), fib: true, transit: true, watched: None };
    let mut router = engine.start(&stage.router, &task, &options.binaries())?;
    let swarm = stage.dial_counting(tellers, each)?;
    let all = plain(0, tellers * each);
    let watch = Watch::new(&stage.router, &all)?;
    swarm.aim((0..tellers).map(|session| (session, all.len() - each)).collect())?;
    let updates = ends.iter().zip(all.chunks(each)).enumerate().map(|(session, (ends, prefixes))| {
        let teller = Teller { asn: ends.asn, next_hop: ends.local, longer: 0 };
        (session, announce(teller, prefixes).into())
    });
    swarm.tell(updates.collect())?;
    let reached = swarm.reached(tellers, LIMIT).and_then(|_| watch.until(all.len(), LIMIT));
    reached.map_err(|why| cause(why, &mut router, &swarm))?;
    pause(QUIET);

    let span = Span::begin(&router.pids());
    pause(time);
    let spent = span.end();
    router.check()?;
    still_there(&router, &swarm, all.len())?;
    Ok([Some(spent.cpu), Some(cost::peak(&router.pids())), Some(spent.others)])
}

/// Nothing went while nothing happened.
fn still_there(router: &Running, swarm: &Swarm, total: usize) -> Result<()> {
    swarm.check()?;
    match router.learned()? {
        learned if learned == total => Ok(()),
        learned => {
            Err(Error::Claim(format!("the router has {learned} of {total} prefixes after the idle time")))
        }
    }
}
