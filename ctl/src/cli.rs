//! The command line: what is global, and the list of nouns.

pub(crate) mod value;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cmd::{bfd, bmp, docker, ipam, mrt, node, peers, policy, rip, routes};
use crate::connect::{Proofs, Target};

const EXAMPLES: &str = "\
Examples:
  routectl status
  routectl peers
  routectl peers 192.0.2.2
  routectl routes 10.244.0.0/16 --longer
  routectl routes lookup 10.244.2.7
  routectl rip
  routectl ipam allocate --handle web-1
  routectl policy apply -f web.yaml
  routectl --socket https://n1:7179 --ca ca.pem --cert alice.pem --key alice.key status
  routectl -o json peers | jq '.[] | select(.state != \"Established\")'

Exit codes: 0 done, 1 refused or failed, 2 usage, 3 daemon not reachable.";

/// The command line of routed, the container network daemon.
#[derive(Debug, Parser)]
#[command(name = "routectl", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where the daemon listens: a path, or http(s)://HOST:PORT
    #[arg(
        long,
        global = true,
        env = "ROUTED_SOCKET",
        hide_env_values = true,
        value_name = "SOCKET",
        default_value = "/run/routed/routed.sock"
    )]
    pub(crate) socket: Target,
    #[command(flatten)]
    pub(crate) proofs: Proofs,
    /// Form of the output
    #[arg(short, long, global = true, value_enum, value_name = "FORM", default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// No colours, not even on a terminal
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum Format {
    // Aligned columns.
    Table,
    // Aligned columns, more of them.
    Wide,
    // An array of objects, or one object.
    Json,
    // The same as JSON, as YAML.
    Yaml,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The node: version, uptime, protocols, alarms
    Status,
    /// BGP peers: list, one in detail, enable, disable, reset, refresh
    #[command(alias = "peer", after_help = peers::EXAMPLES)]
    Peers(peers::Peers),
    /// Routes: list, look up, watch, announce, withdraw
    #[command(alias = "route", after_help = routes::EXAMPLES)]
    Routes(routes::Routes),
    /// RIP, version 2 and next generation: interfaces, neighbours
    #[command(after_help = rip::EXAMPLES)]
    Rip(rip::Rip),
    /// BFD: the sessions that watch the paths to neighbours
    #[command(after_help = bfd::EXAMPLES)]
    Bfd,
    /// BMP: the collectors that are shown sessions and routes
    #[command(after_help = bmp::EXAMPLES)]
    Bmp,
    /// MRT: the table as a file
    #[command(subcommand, after_help = mrt::EXAMPLES)]
    Mrt(mrt::Mrt),
    /// Addresses of containers: pools, blocks, who has what
    #[command(subcommand, after_help = ipam::EXAMPLES)]
    Ipam(ipam::Ipam),
    /// Docker on this host: give docker0 this node's block
    #[command(subcommand, after_help = docker::EXAMPLES)]
    Docker(docker::Docker),
    /// Network policy: apply, delete, list, show, trace, counters
    #[command(subcommand, after_help = policy::EXAMPLES)]
    Policy(policy::Policy),
    /// Read the configuration again; what did not change keeps its sessions
    Reload,
    /// Take traffic off this node, until undrain; sessions stay
    #[command(after_help = node::DRAIN_EXAMPLES)]
    Drain,
    /// Let traffic come to this node again
    #[command(after_help = node::UNDRAIN_EXAMPLES)]
    Undrain,
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  routectl completions bash > /etc/bash_completion.d/routectl")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write a page for each command into this directory instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
