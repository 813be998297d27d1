//! routectl: the command line of routed.
//!
//! Each noun (`peers`, `routes`, `rip`, `bfd`, `ipam`, `docker`, `policy`) is a file under `cmd`: its
//! arguments, one request to the daemon, one view of the answer. `view` holds
//! what is printed: types with the field names that scripts rely on, and the
//! table, JSON and YAML forms of them. `connect` is the only place that knows
//! how the daemon is reached.
//!
//! *In*: arguments, files that they name, the daemon's answers. *Out*: text on
//! standard output, complaints on standard error, an exit code: 0 done,
//! 1 refused or failed, 2 usage, 3 daemon not reachable. *Must not know*: any
//! crate of the daemon; the gRPC contract (`api`) is all it has.

mod cli;
mod cmd;
mod connect;
mod failure;
mod view;

use std::process::ExitCode;

use clap::Parser as _;

use crate::failure::Failure;

fn main() -> ExitCode {
    let result = cli::Cli::try_parse().map_err(Failure::Usage).and_then(run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: cli::Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::file("the event loop of this process", error))?;
    let mut context = cmd::Context::new(&cli.global);
    runtime.block_on(cmd::run(cli.command, &mut context))?;
    context.printer.flush().map_err(Failure::Output)
}
