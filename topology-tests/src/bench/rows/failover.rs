//! The next hop of every route dies: until packets take the other path.

use std::{net::Ipv4Addr, time::Duration};

use crate::{
    Error, Result,
    bench::{
        Options,
        engine::{Engine, Running, Task},
        fib::Watch,
        flow::Flow,
        link,
        prefixes::{Prefix, mix, samples},
        progress,
        sheet::Sheet,
        stage::{EXITS, Stage},
        wire::{Teller, announce},
    },
    wait::{pause, wait_until},
};

/// Patience with a router.
const LIMIT: Duration = Duration::from_secs(300);
/// How long packets may take to find the other way: past the hold time is no failover.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a router is left alone before its link goes.
const QUIET: Duration = Duration::from_secs(3);
/// How many routes are watched.
const TARGETS: usize = 64;
/// The figures of a run, from the kernel's word that the link is down.
const COLUMNS: [&str; 3] = ["first packet ms", "all of 64 targets ms", "link to the kernel's word ms"];

/// The cable of the better path is pulled under 100,000 and 1,000,000 routes.
pub(crate) fn run(options: &Options) -> Result<Vec<Sheet>> {
    [100_000, 1_000_000].map(|full| row(options.size(full), options)).into_iter().collect()
}

fn row(count: usize, options: &Options) -> Result<Sheet> {
    let prefixes = mix(count);
    let mut sheet = Sheet::new(
        format!("the link to the next hop of {count} routes goes down, a second path is known"),
        &COLUMNS,
    );
    for run in 1..=options.runs {
        for engine in options.engines(|engine| engine.has_fib() && engine != Engine::FrrQuick) {
            progress(&format!("failover of {count}, run {run}: {}", engine.name()));
            sheet.add(engine.name(), &measure(engine, &prefixes, options)?);
        }
    }
    sheet.note(
        "From the link message of the router's kernel to the first packet that comes out of the other exit; a packet is sent every 0.1 to 0.2 ms, so each target has its turn every 10 ms. No figure: not within 30 s.",
    );
    Ok(sheet)
}

fn measure(engine: Engine, prefixes: &[Prefix], options: &Options) -> Result<[Option<f64>; 3]> {
    let stage = Stage::new("failover", 1)?;
    let ends = [stage.ends()[0], stage.second()];
    let task = Task { peers: ends.to_vec(), fib: true, transit: false };
    let mut router = engine.start(&stage.router, &task, &options.binaries())?;
    let source = stage.source()?;
    let swarm = stage.dial_ends(&ends)?;
    let watch = Watch::new(&stage.router, prefixes)?;
    for (session, longer) in [(0, 0), (1, 3)] {
        let teller = Teller { asn: ends[session].asn, next_hop: ends[session].local, longer };
        swarm.tell(vec![(session, announce(teller, prefixes).into())])?;
        watch.until(prefixes.len(), LIMIT)?;
        knows(&router, engine, prefixes.len() * (session + 1))?;
    }
    pause(QUIET);

    let targets: Vec<Ipv4Addr> = samples(prefixes, TARGETS);
    let flow = Flow::start(&stage, &source, targets)?;
    pause(QUIET);
    let word = link::listen(&stage.router, EXITS[0])?;
    let cut = stage.load.run(|| link::down(EXITS[0]))?.map_err(Error::io("take a link down"))?;
    let heard = word.join().map_err(|_| Error::Claim("the listener panicked".to_owned()))?;
    let heard = heard.map_err(Error::io("hear of the link"))?;
    let moved = flow.all_by_second(PATIENCE);
    let seen = flow.finish()?;
    if let Err(why) = moved {
        progress(&format!("{}: {why}", engine.name()));
    }
    router.check()?;
    let early = seen.second.iter().flatten().find(|first| **first < cut);
    if early.is_some() {
        return Err(Error::Claim("packets took the other exit before the link went".to_owned()));
    }
    let after =
        |at: Option<std::time::Instant>| at.map(|at| at.saturating_duration_since(heard).as_secs_f64() * 1e3);
    let first = seen.second.iter().flatten().min().copied();
    // None where a target was not heard.
    let last = seen.second.iter().copied().min().flatten().and(seen.second.iter().copied().max().flatten());
    let word = heard.saturating_duration_since(cut).as_secs_f64() * 1e3;
    Ok([after(first), after(last), Some(word)])
}

/// Waits until the router has both paths of all prefixes.
fn knows(router: &Running, engine: Engine, paths: usize) -> Result<()> {
    wait_until(&format!("{} has {paths} paths", engine.name()), LIMIT, || {
        let has = router.paths().map_err(|why| why.to_string())?;
        if has == paths { Ok(()) } else { Err(format!("{has}")) }
    })
}
