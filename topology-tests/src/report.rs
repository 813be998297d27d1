//! What the demo prints: headings, commands with their output, claims kept.

use anstyle::{AnsiColor, Style};

use crate::{Error, Output, Result, undertaker::PREFIX};

const HEADING: Style = AnsiColor::Cyan.on_default().bold();
const COMMAND: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const QUIET: Style = Style::new().dimmed();

/// A story in numbered steps with claims; colours only on a terminal.
#[derive(Debug, Default)]
pub struct Report {
    steps: u32,
    claims: u32,
}

impl Report {
    /// Begins a step.
    pub fn step(&mut self, title: &str) {
        self.steps += 1;
        anstream::println!("\n{HEADING}{}. {title}{HEADING:#}", self.steps);
    }

    /// States a claim that was checked; an unkept claim is an error.
    pub fn claim(&mut self, kept: bool, text: &str) -> Result<()> {
        if !kept {
            return Err(Error::Claim(format!("this should hold and does not: {text}")));
        }
        self.claims += 1;
        anstream::println!("   {GOOD}ok{GOOD:#} {text}");
        Ok(())
    }

    /// The last line.
    pub fn end(&self) {
        anstream::println!("\n{GOOD}{} claims, all kept.{GOOD:#}", self.claims);
    }
}

/// A sentence of explanation.
pub fn say(text: &str) {
    anstream::println!("   {QUIET}{text}{QUIET:#}");
}

/// Echoes a command `on` a host or container and what it answered.
pub fn command(on: &str, output: &Output) {
    anstream::println!("   {QUIET}{on}{QUIET:#} {COMMAND}$ {}{COMMAND:#}", shorten(&output.command));
    for line in output.stdout.lines().chain(output.stderr.lines()) {
        anstream::println!("     {line}");
    }
}

/// A command as a reader would type it: no socket, and no directories of
/// binaries and of the lab's files.
fn shorten(command: &str) -> String {
    let mut words = command.split(' ').peekable();
    let mut shown: Vec<&str> = Vec::new();
    if let Some(program) = words.next() {
        shown.push(program.rsplit('/').next().unwrap_or(program));
    }
    while let Some(word) = words.next() {
        if word == "--socket" {
            words.next();
        } else {
            let ours = word.starts_with('/') && word.contains(PREFIX);
            shown.push(if ours { word.rsplit('/').next().unwrap_or(word) } else { word });
        }
    }
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn command_is_shown_as_one_would_type_it() {
        let shown = super::shorten(
            "/t/debug/routectl --socket /tmp/x/routed.sock policy apply -f /tmp/rlab-1-1-a-x/p.yaml",
        );
        assert_eq!(shown, "routectl policy apply -f p.yaml");
    }
}
