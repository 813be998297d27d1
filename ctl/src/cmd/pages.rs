//! `completions` and `man`: what needs no daemon.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Context;
use crate::cli::Cli;
use crate::failure::Failure;

/// `completions SHELL`.
pub(crate) fn completions(shell: Shell, context: &mut Context) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "routectl", &mut script);
    Ok(context.printer.text(&String::from_utf8_lossy(&script))?)
}

/// `man`: the page of routectl, or with a directory a page for each command.
pub(crate) fn man(dir: Option<&Path>, context: &mut Context) -> Result<(), Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return Ok(context.printer.text(&String::from_utf8_lossy(&page))?);
    };
    fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(|error| Failure::file(dir.display().to_string(), error))
}
