//! `docker`: what Docker on this host should know of this node.

mod bip;
mod document;
mod file;

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use api::v1::ipam_service_client::IpamServiceClient;
use api::v1::{Block, BlockState, ListBlocksRequest};
use clap::{Args, Subcommand};

use self::bip::Bip;
use self::document::Document;
use self::file::{Original, Unreplaced};
use super::Context;
use crate::cli::Format;
use crate::failure::Failure;
use crate::view::diff;
use crate::view::docker::{ConfigureView, Outcome};

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl docker configure                        shows the change, and asks
  routectl docker configure --yes
  routectl docker configure --bip 10.244.7.1/24    no daemon is asked

docs/docker.md says how routed and Docker live on one host.";

#[derive(Debug, Subcommand)]
pub(crate) enum Docker {
    /// Give docker0 this node's block: write `bip` into Docker's daemon.json
    #[command(after_help = EXAMPLES)]
    Configure(Configure),
}

#[derive(Debug, Args)]
pub(crate) struct Configure {
    /// The configuration file of dockerd
    #[arg(long, value_name = "FILE", default_value = "/etc/docker/daemon.json")]
    file: PathBuf,
    /// Address and length for docker0 [default: the first host of this node's IPv4 block]
    #[arg(long, value_name = "CIDR")]
    bip: Option<Bip>,
    /// Write without asking
    #[arg(short, long)]
    yes: bool,
}

impl Docker {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Configure(configure) => configure.run(context).await,
        }
    }
}

impl Configure {
    async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let original = Original::read(&self.file).map_err(|error| denied(&self.file, error))?;
        let document = Document::parse(original.text().unwrap_or_default())
            .map_err(|error| malformed(&self.file, &error))?;
        let previous = document.get("bip");
        let bip = match self.bip {
            Some(bip) => bip,
            None => choose(&blocks(context).await?, previous.as_deref())?,
        };
        if let Some(clash) = document.clash(bip) {
            return Err(Failure::Faulty(format!("{}: {clash}; nothing was written", self.file.display())));
        }
        let new = document.with_bip(bip);
        let unchanged = previous.as_deref() == Some(&bip.to_string());
        let mut view = ConfigureView {
            file: self.file.display().to_string(),
            outcome: if unchanged { Outcome::Unchanged } else { Outcome::Planned },
            bip: bip.to_string(),
            previous,
            diff: String::new(),
            backup: None,
            next_steps: Vec::new(),
        };
        if unchanged {
            return Ok(context.printer.object(&view, || view.text())?);
        }
        view.diff = diff::unified(&view.file, original.text(), &new);
        view.next_steps = next_steps(&document);
        let answer = self.ask(&view, context)?;
        if answer == Answer::Yes {
            let backup = original.replace(&new).map_err(|why| unreplaced(&self.file, why))?;
            view.backup = backup.map(|backup| backup.display().to_string());
            view.outcome = Outcome::Written;
        }
        context.printer.object(&view, || view.text())?;
        context.printer.flush()?;
        answer.verdict(&self.file)
    }

    /// Shows the change, and asks a person who sits there.
    fn ask(&self, view: &ConfigureView, context: &mut Context) -> Result<Answer, Failure> {
        let person = !self.yes && io::stdin().is_terminal() && io::stderr().is_terminal();
        match context.printer.format() {
            Format::Table | Format::Wide => context.printer.text(&view.diff)?,
            // It will be in the object, after the answer.
            Format::Json | Format::Yaml if person => io::stderr().write_all(view.diff.as_bytes())?,
            Format::Json | Format::Yaml => {}
        }
        context.printer.flush()?;
        match (self.yes, person) {
            (true, _) => Ok(Answer::Yes),
            (false, false) => Ok(Answer::Nobody),
            (false, true) => prompt(&view.file),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// There is nobody to ask.
    Nobody,
}

impl Answer {
    fn verdict(self, file: &Path) -> Result<(), Failure> {
        let file = file.display();
        match self {
            Self::Yes => Ok(()),
            Self::No => Err(Failure::Faulty(format!("{file} was not written"))),
            Self::Nobody => {
                Err(Failure::Faulty(format!("{file} was not written; say --yes to write the change")))
            }
        }
    }
}

/// Anything but a yes is a no; so is the end of the input.
fn prompt(file: &str) -> Result<Answer, Failure> {
    eprint!("write {file}? [y/N] ");
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|error| Failure::file("standard input", error))?;
    let yes = matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    Ok(if yes { Answer::Yes } else { Answer::No })
}

async fn blocks(context: &Context) -> Result<Vec<Block>, Failure> {
    let mut client = IpamServiceClient::new(context.connect().await?);
    Ok(client.list_blocks(ListBlocksRequest { pool: None }).await?.into_inner().blocks)
}

/// The `bip` for this node: what is there where it fits one of the node's
/// blocks, else the first host of its one block.
fn choose(blocks: &[Block], present: Option<&str>) -> Result<Bip, Failure> {
    let in_state = |state: BlockState| -> Vec<Bip> {
        let blocks = blocks.iter().filter(|block| block.state() == state);
        blocks.filter_map(|block| Bip::first_of(&block.prefix)).collect()
    };
    let owned = in_state(BlockState::Owned);
    let present: Option<Bip> = present.and_then(|text| text.parse().ok());
    if let Some(present) = present.filter(|bip| owned.iter().any(|own| own.subnet() == bip.subnet())) {
        return Ok(present);
    }
    match owned[..] {
        [one] => Ok(one),
        [] if !in_state(BlockState::Claiming).is_empty() => Err(Failure::Faulty(
            "this node is still claiming its IPv4 block; ask again in some seconds, or name a subnet with \
             --bip"
                .into(),
        )),
        [] => Err(Failure::Faulty(
            "this node owns no IPv4 block that Docker could use; see `routectl ipam blocks` and `routectl \
             status`, or name a subnet with --bip"
                .into(),
        )),
        ref several => {
            let several: Vec<_> = several.iter().map(|bip| format!("--bip {bip}")).collect();
            Err(Failure::Faulty(format!(
                "this node owns several IPv4 blocks; choose one: {}",
                several.join(", ")
            )))
        }
    }
}

/// What docs/docker.md asks for beside the `bip`, as far as the file does not
/// have it.
fn next_steps(document: &Document<'_>) -> Vec<String> {
    let restart = "restart dockerd: systemctl restart docker; containers on docker0 restart and get new \
                   addresses (with live-restore, stop them first)";
    let flag = "if dockerd is started with --bip, remove it there: dockerd refuses the flag beside the file";
    let masquerade = "keep containers' own addresses between nodes: \"ip-masq\": false in the file";
    let forwarding = "let forwarding be on before dockerd starts: routed first, or net.ipv4.ip_forward=1 in \
                      sysctl.d";
    let raw = "Docker 28 and newer: make networks with -o com.docker.network.bridge.gateway_mode_ipv4=routed";
    let masqueraded = document.get("ip-masq").as_deref() != Some("false");
    let masquerade = masqueraded.then_some(masquerade);
    [restart, flag].into_iter().chain(masquerade).chain([forwarding, raw]).map(Into::into).collect()
}

fn malformed(file: &Path, error: &serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    let (file, column) = (file.display(), column.max(1));
    Failure::Faulty(format!("{file}:{line}:{column}: {text}; nothing was written, correct the file first"))
}

fn unreplaced(file: &Path, why: Unreplaced) -> Failure {
    match why {
        Unreplaced::Io(error) => denied(file, error),
        Unreplaced::Changed => Failure::Faulty(format!(
            "{}: somebody changed it since it was read; it was not written: look at the change again",
            file.display()
        )),
    }
}

fn denied(file: &Path, error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            Failure::Faulty(format!("{}: permission denied; run routectl as root", file.display()))
        }
        _ => Failure::file(file.display().to_string(), error),
    }
}

#[cfg(test)]
mod tests;
