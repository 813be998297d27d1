//! `lab`: the demo, benchmarks beside peers, a cluster to play with, and the broom.

use std::{io::BufRead as _, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use lab::{Lab, Result, cluster::Mesh, undertaker};

/// Clusters of network namespaces with real peers.
#[derive(Debug, Parser)]
#[command(version, after_help = "Needs root. Nothing outside the lab's own namespaces is touched.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a cluster, enter it with `ip netns exec`, end it with Ctrl-C or an empty line.
    Run {
        /// What to build.
        topology: Topology,
        /// How many hosts.
        #[arg(long, default_value_t = 3)]
        nodes: usize,
        /// How many containers on each host.
        #[arg(long, default_value_t = 1)]
        containers: usize,
    },
    /// Three nodes become one container network: shown, checked, cleaned up.
    Demo,
    /// BGP and kernel routes beside other routers: time, CPU, memory, and ratios.
    Bench(lab::bench::Options),
    /// RIP beside BIRD and FRR: CPU and packets of an update cycle, and ratios.
    BenchRip {
        /// How many neighbours tell routes, at most 100.
        #[arg(long, default_value_t = 20)]
        neighbors: u8,
        /// How many routes each tells.
        #[arg(long, default_value_t = 500)]
        routes: u32,
        /// Seconds between two updates, at least 5.
        #[arg(long, default_value_t = 5)]
        period: u64,
    },
    /// BFD beside BIRD and FRR: how long traffic stands still when a path is cut.
    BenchBfd,
    /// Remove what labs of dead processes left.
    Clean,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Topology {
    /// Hosts with containers on a LAN, no daemons.
    Line,
    /// The same with routed on each host, all peers of all.
    Mesh,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run { topology, nodes, containers } => run(topology, nodes, containers),
        Command::Demo => lab::demo::run(),
        Command::Bench(options) => lab::bench::run(&options),
        Command::BenchRip { neighbors, routes, period } => {
            lab::bench_rip::run(neighbors.clamp(1, 100), routes, period.max(5))
        }
        Command::BenchBfd => lab::bench_bfd::run(),
        Command::Clean => clean(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            anstream::eprintln!("lab: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Builds a cluster and keeps it until standard input says otherwise. The first
/// line names the lab, for scripts; namespaces are `ID` + host (+ `-` + container).
fn run(topology: Topology, nodes: usize, containers: usize) -> Result<()> {
    match topology {
        Topology::Line => {
            let lab = Lab::new("run")?;
            anstream::println!("lab {}", lab.id());
            for n in 1..=nodes {
                let host = lab.host(&format!("n{n}"))?;
                for c in 1..=containers {
                    host.container(&format!("c{c}"))?;
                }
            }
            stay(&lab)
        }
        Topology::Mesh => {
            let mesh = Mesh::start("run", nodes, containers)?;
            anstream::println!("lab {}", mesh.lab.id());
            for node in &mesh.nodes {
                anstream::println!(
                    "{}: routectl --socket {}",
                    node.host.name(),
                    node.routed.socket().display()
                );
            }
            stay(&mesh.lab)
        }
    }
}

fn stay(lab: &Lab) -> Result<()> {
    anstream::println!(
        "ip netns exec {}n1 bash enters the first host; Enter or Ctrl-C ends the lab",
        lab.id()
    );
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map(drop).map_err(lab::Error::io("read standard input"))
}

fn clean() -> Result<()> {
    let removed = undertaker::sweep()?;
    anstream::println!("removed {} stale labs {}", removed.len(), removed.join(" "));
    Ok(())
}
