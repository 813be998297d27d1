//! Benchmarks: this router beside others, each in namespaces of its own, in one run.
//!
//! *In*: which rows, which routers, how often. *Out*: tables with least, median
//! and greatest of all runs, and in brackets the median in relation to ours.
//!
//! Every row checks the end state of every router (routes in the kernel,
//! prefixes that each session has), so that nobody is fast by doing nothing.
//! Routers take turns within a row: what disturbs one run disturbs all. The
//! [load](swarm) is our own and needs a fraction of the time of what it loads.

mod bfd;
mod clock;
mod config;
mod cost;
mod engine;
mod fib;
mod flow;
mod limit;
mod link;
mod netlink;
mod prefixes;
mod rows;
mod session;
mod sheet;
mod stage;
mod swarm;
mod wire;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;

pub use self::engine::Engine;
use self::{cost::Span, engine::Binaries, sheet::Sheet};
use crate::{Error, Result, wait};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// One peer's prefixes: from the wire to the last in the kernel, memory,
    /// and until the kernel is empty after the session drops.
    #[value(alias = "a")]
    Fib,
    /// The same to the last in the table, no kernel.
    #[value(alias = "b")]
    Table,
    /// 10, 50 and 200 peers with 1,000 prefixes each: until everyone has
    /// everything; then one withdraw until everyone has heard of it.
    #[value(alias = "d", alias = "f")]
    Peers,
    /// 50 peers with 20,000 prefixes each: until a monitor has all.
    #[value(alias = "e")]
    Monitor,
    /// The link to the next hop of 100,000 and 1,000,000 routes goes down:
    /// until packets take the other path.
    #[value(alias = "c")]
    Failover,
    /// 1,000 prefix changes a second over a full table: CPU.
    #[value(alias = "g")]
    Churn,
    /// A full table and 50 peers, and nothing happens: CPU.
    #[value(alias = "h")]
    Idle,
    /// The daemon restarts under a full table: packets lost, time to adopt.
    #[value(alias = "i")]
    Restart,
}

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What to measure; without one, everything.
    pub rows: Vec<Row>,
    /// Which routers.
    #[arg(long, value_delimiter = ',')]
    pub engines: Vec<Engine>,
    /// A tenth of the load.
    #[arg(long)]
    pub quick: bool,
    /// How often each router.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// The binary of routed to measure, with routectl beside it; else the one beside lab.
    #[arg(long)]
    pub routed: Option<PathBuf>,
    /// How many peers in the row `peers`, instead of 10, 50 and 200.
    #[arg(long)]
    pub peers: Vec<u8>,
    /// Put the tables into this file, between its marks `<!-- bench ROW -->` and `<!-- end -->`.
    #[arg(long)]
    pub write: Option<PathBuf>,
}

impl Options {
    fn binaries(&self) -> Binaries {
        Binaries { routed: self.routed.clone() }
    }

    /// The routers asked for, of those that a row can have.
    fn engines(&self, fit: impl Fn(Engine) -> bool) -> Vec<Engine> {
        let all = Engine::value_variants().iter().copied();
        all.filter(|e| fit(*e) && (self.engines.is_empty() || self.engines.contains(e))).collect()
    }

    /// A size of the load.
    fn size(&self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }
}

/// Measures and prints. Who fails in a row stands in its table with the
/// reason; the other rows are measured all the same, and the end is an error.
pub fn run(options: &Options) -> Result<()> {
    let rows = if options.rows.is_empty() { Row::value_variants() } else { &options.rows[..] };
    let environment = environment(options);
    anstream::println!("{environment}");
    let write = |row: String, text: String| match &options.write {
        Some(path) => put(path, &(row, text)),
        None => Ok(()),
    };
    write("environment".to_owned(), environment)?;
    let mut failed = Vec::new();
    for row in rows {
        let began = wait::now();
        let sheets = match row {
            Row::Fib => vec![rows::fib::run(options)],
            Row::Table => vec![rows::table::run(options)],
            Row::Peers => rows::peers::run(options),
            Row::Monitor => vec![rows::peers::monitor(options)],
            Row::Failover => rows::failover::run(options),
            Row::Churn => vec![rows::steady::churn(options)],
            Row::Idle => vec![rows::steady::idle(options)],
            Row::Restart => vec![rows::restart::run(options)],
        };
        let text = sheets.iter().map(Sheet::to_string).collect::<Vec<_>>().join("\n");
        anstream::println!("{text}");
        let name = row.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        progress(&format!("{name} took {} s", began.elapsed().as_secs()));
        failed.extend(sheets.iter().flat_map(Sheet::failures).map(|why| format!("{name}: {why}")));
        write(name, text)?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::Claim(format!("the tables say what failed:\n{}", failed.join("\n"))))
}

/// Says which run of which router is under way.
fn progress(what: &str) {
    anstream::eprintln!("lab: {what}");
}

/// Kernel, processor, versions.
fn environment(options: &Options) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let span = Span::begin(&[]);
    wait::pause(Duration::from_secs(1));
    let mut text = format!(
        "{cores} cores of {}, Linux {}; {:.2} CPUs were used by others before the first run.\n\n",
        model.map_or("?", |model| model.1),
        kernel.trim(),
        span.end().others
    );
    for engine in options.engines(|engine| engine != Engine::FrrQuick) {
        let version = engine.version(&options.binaries()).unwrap_or_else(|why| why.to_string());
        // Writing to a string does not fail.
        let _ = writeln!(text, "- {}: {version}", engine.name());
    }
    text
}

/// Replaces what stands between the marks of a row.
fn put(path: &Path, (row, text): &(String, String)) -> Result<()> {
    let old = fs::read_to_string(path).map_err(Error::file(path))?;
    let (begin, end) = (format!("<!-- bench {row} -->\n"), "<!-- end -->");
    let parts = old.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(end)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| {
        Error::Claim(format!("{} has no marks for the row {row}: write {begin}{end}", path.display()))
    })?;
    fs::write(path, format!("{before}{begin}\n{text}\n{end}{after}")).map_err(Error::file(path))
}
