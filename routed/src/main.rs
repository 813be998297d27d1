//! The `routed` binary: arguments, configuration, logs, exit code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use routed::config::{self, Config, Diagnostic, Severity, defaults};
use tracing::error;

/// Routes container subnets between hosts by BGP, without encapsulation.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    /// The configuration file; without one the defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read and validate the configuration, print every problem, and exit with 0 or 2.
    #[arg(long)]
    check: bool,
    /// Print the effective configuration as TOML, secrets masked.
    #[arg(long)]
    print_config: bool,
    /// Remove every route, rule, table and sysctl that routed made, and nothing else.
    #[arg(long)]
    cleanup: bool,
    /// Where to keep what must survive the daemon [default: `node.state_dir`].
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The API's Unix socket [default: api.socket].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// What to log, as `info` or `info,routed::tasks=debug`.
    #[arg(long, value_name = "FILTER", env = "ROUTED_LOG", default_value = "info")]
    log: String,
}

const EXAMPLES: &str = "\
Examples:
  routed                                   run with /etc/routed/routed.toml
  routed --config n1.toml --check          find what is wrong with a file
  routed --config n1.toml --print-config   show what it comes to
  routed --cleanup                         leave the host as it was found";

/// Exit code of a runtime failure.
const FAILED: u8 = 1;
/// Exit code of bad usage or configuration.
const BAD_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut config = match load(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Some(dir) = &args.state_dir {
        config.node.state_dir.clone_from(dir);
    }
    if let Some(socket) = &args.socket {
        config.api.socket.clone_from(socket);
    }
    if args.print_config {
        return print(&config);
    }
    if args.check {
        return ExitCode::SUCCESS;
    }
    if let Err(problem) = routed::observe::log::start(&args.log) {
        eprintln!("routed: --log {:?}: {problem}", args.log);
        return ExitCode::from(BAD_CONFIG);
    }
    let file = args.config.unwrap_or_else(|| PathBuf::from(defaults::CONFIG_FILE));
    let source = routed::Source { file, state_dir: args.state_dir, socket: args.socket };
    let outcome = if args.cleanup { routed::cleanup(&config) } else { routed::start(config, source) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            error!("{fatal}");
            ExitCode::from(FAILED)
        }
    }
}

/// Reads the configuration and prints its findings on stderr.
fn load(file: Option<&Path>) -> Result<Config, ExitCode> {
    match routed::load(file) {
        Ok((config, warnings)) => {
            report(&warnings);
            Ok(config)
        }
        Err(findings) => {
            report(&findings);
            let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
            eprintln!("routed: {errors} error{} in the configuration", if errors == 1 { "" } else { "s" });
            Err(ExitCode::from(BAD_CONFIG))
        }
    }
}

fn report(findings: &[Diagnostic]) {
    for finding in findings {
        eprintln!("{finding}");
    }
}

#[expect(clippy::print_stdout, reason = "the configuration is what was asked for")]
fn print(config: &config::Config) -> ExitCode {
    match config.to_toml() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("routed: the configuration cannot be written as TOML: {problem}");
            ExitCode::from(FAILED)
        }
    }
}
