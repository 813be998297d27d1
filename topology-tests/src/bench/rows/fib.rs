//! A million prefixes from one peer: wire to kernel, and back to nothing.

use std::{sync::Arc, time::Duration};

use super::cause;
use crate::{
    Error, Result,
    bench::{
        Options,
        cost::{self, Span},
        engine::{Engine, Task},
        fib::Watch,
        limit::{self, Limit},
        prefixes::{Prefix, mix},
        progress,
        sheet::Sheet,
        stage::Stage,
        wire::{Teller, announce},
    },
};

/// Patience with a router.
const LIMIT: Duration = Duration::from_secs(300);
/// The figures of a run.
const COLUMNS: [&str; 6] =
    ["wire to kernel s", "CPU s", "peak MB", "withdraw s", "withdraw CPU s", "CPUs of others"];

/// Measures every router that writes into the kernel, and the bare limit.
pub(crate) fn run(options: &Options) -> Sheet {
    let prefixes = mix(options.size(1_000_000));
    let title = format!("{} prefixes from one peer into the kernel", prefixes.len());
    let mut sheet = Sheet::new(title, &COLUMNS);
    let engines = options.engines(Engine::has_fib);
    for run in 1..=options.runs {
        progress(&format!("fib, run {run}: bare netlink"));
        let mut one_by_one = None;
        let seconds = |time: Duration| Some(time.as_secs_f64());
        sheet.attempt("bare netlink, nexthop object", run, || {
            let limit = bare(&prefixes)?;
            one_by_one = seconds(limit.delete);
            Ok([seconds(limit.add), None, None, seconds(limit.object)])
        });
        sheet.add("bare netlink, one by one", &[None, None, None, one_by_one]);
        for engine in &engines {
            progress(&format!("fib, run {run}: {}", engine.name()));
            sheet.attempt(engine.name(), run, || measure(*engine, &prefixes, options));
        }
    }
    sheet.note("Bare netlink: routes encoded beforehand, 256 a send, by one nexthop object; withdrawn by deleting the object, or one by one.");
    sheet
}

/// The limit of the kernel, in namespaces of its own.
fn bare(prefixes: &[Prefix]) -> Result<Limit> {
    let stage = Stage::new("limit", 1)?;
    let gateway = stage.ends()[0].local;
    let prefixes = prefixes.to_vec();
    let measured = stage.router.run(move || {
        let interface = nix::net::if_::if_nametoindex("wire0")?;
        limit::measure(&prefixes, gateway, interface)
    })?;
    measured.map_err(Error::io("write routes by netlink"))
}

fn measure(engine: Engine, prefixes: &[Prefix], options: &Options) -> Result<[Option<f64>; 6]> {
    let stage = Stage::new("fib", 1)?;
    let ends = stage.ends();
    let task = Task { peers: ends.clone(), fib: true, transit: true, watched: None };
    let mut router = engine.start(&stage.router, &task, &options.binaries())?;
    let swarm = stage.dial()?;
    let watch = Watch::new(&stage.router, prefixes)?;
    let updates: Arc<[u8]> =
        announce(Teller { asn: ends[0].asn, next_hop: ends[0].local, longer: 0 }, prefixes).into();

    let pids = router.pids();
    let span = Span::begin(&pids);
    let began = swarm.tell(vec![(0, updates)])?;
    let installed = watch.until(prefixes.len(), LIMIT);
    let installed = installed.map_err(|why| cause(why, &mut router, &swarm))?;
    let (spent, peak) = (span.end(), cost::peak(&pids));
    swarm.check()?;
    let learned = router.learned()?;
    if learned != prefixes.len() {
        return Err(Error::Claim(format!("{} says it learned {learned} prefixes", engine.name())));
    }

    let span = Span::begin(&pids);
    let dropped = swarm.drop_session(0)?;
    let empty = watch.until(0, LIMIT).map_err(|why| cause(why, &mut router, &swarm))?;
    router.check()?;
    Ok([
        Some((installed - began).as_secs_f64()),
        Some(spent.cpu),
        Some(peak),
        Some((empty - dropped).as_secs_f64()),
        Some(span.end().cpu),
        Some(spent.others),
    ])
}
