//! One file for each noun: its arguments, its requests, its views.

pub(crate) mod bfd;
pub(crate) mod bmp;
pub(crate) mod docker;
pub(crate) mod ipam;
pub(crate) mod mrt;
pub(crate) mod node;
pub(crate) mod pages;
pub(crate) mod peers;
pub(crate) mod policy;
pub(crate) mod rip;
pub(crate) mod routes;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use api::v1::{Diagnostic, Severity};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use tonic::transport::Channel;

use crate::cli::{Cli, Command, Global};
use crate::connect::{self, Proofs, Target};
use crate::failure::Failure;
use crate::view::Printer;
use crate::view::node::DiagnosticView;

/// What every command needs: the way to the daemon, and the way to the user.
pub(crate) struct Context {
    target: Target,
    proofs: Proofs,
    /// Standard output.
    pub(crate) printer: Printer,
}

impl Context {
    /// Nothing is connected yet: some commands need no daemon.
    pub(crate) fn new(global: &Global) -> Self {
        let (target, proofs) = (global.socket.clone(), global.proofs.clone());
        Self { target, proofs, printer: Printer::stdout(global.output, global.no_color) }
    }

    /// A connection to the daemon.
    pub(crate) async fn connect(&self) -> Result<Channel, Failure> {
        connect::connect(&self.target, &self.proofs).await
    }
}

/// Does what the command line asks.
pub(crate) async fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Status => node::status(context).await,
        Command::Peers(peers) => peers.run(context).await,
        Command::Routes(routes) => routes.run(context).await,
        Command::Bfd => bfd::run(context).await,
        Command::Bmp => bmp::run(context).await,
        Command::Mrt(mrt) => mrt.run(context).await,
        Command::Rip(rip) => rip.run(context).await,
        Command::Ipam(ipam) => ipam.run(context).await,
        Command::Docker(docker) => docker.run(context).await,
        Command::Policy(policy) => policy.run(context).await,
        Command::Reload => node::reload(context).await,
        Command::Drain => node::drain(context).await,
        Command::Undrain => node::undrain(context).await,
        Command::Completions { shell } => pages::completions(shell, context),
        Command::Man { dir } => pages::man(dir.as_deref(), context),
    }
}

/// A mistake that the parser cannot see: arguments that exclude a subcommand.
fn conflict(arguments: &str, subcommand: &str) -> Failure {
    let message = format!("{arguments} cannot be used together with the subcommand '{subcommand}'");
    Failure::Usage(Cli::command().error(ErrorKind::ArgumentConflict, message))
}

/// The text of a file; `-` is standard input.
fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let result = match file.to_str() {
        Some("-") => io::stdin().read_to_string(&mut text).map(|_| text),
        _ => fs::read_to_string(file),
    };
    result.map_err(|error| Failure::file(file.display().to_string(), error))
}

/// Tells the user what is to be said of a text; true if there was an error in it.
fn complain_of(diagnostics: Vec<Diagnostic>) -> Result<bool, Failure> {
    let faulty = diagnostics.iter().any(|diagnostic| diagnostic.severity() == Severity::Error);
    let mut stderr = io::stderr().lock();
    for diagnostic in diagnostics {
        writeln!(stderr, "{}", DiagnosticView::from(diagnostic))?;
    }
    Ok(faulty)
}
