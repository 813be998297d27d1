//! `rip`: both versions of RIP on this node's interfaces, and who is heard there.

use api::v1::rip_service_client::RipServiceClient;
use api::v1::{ListRipInterfacesRequest, ListRipNeighborsRequest};
use clap::{Args, Subcommand};
use tonic::transport::Channel;

use super::Context;
use crate::cli::Format;
use crate::failure::Failure;
use crate::view::rip::{RipInterfaceView, RipNeighborView, RipView};

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl rip
  routectl rip interfaces -o wide
  routectl rip neighbors
  routectl rip neighbors -o json | jq '.[] | select(.auth_failures > 0)'
  routectl routes --protocol rip";

type Client = RipServiceClient<Channel>;

/// Without a subcommand: interfaces and neighbours.
#[derive(Debug, Args)]
pub(crate) struct Rip {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Part {
    /// The interfaces: timers, authentication, counters
    #[command(alias = "interface")]
    Interfaces,
    /// The neighbours: when they were heard, what was wrong with it
    #[command(alias = "neighbor")]
    Neighbors,
}

impl Rip {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mut client = RipServiceClient::new(context.connect().await?);
        match self.part {
            Some(Part::Interfaces) => Ok(context.printer.list(&interfaces(&mut client).await?)?),
            Some(Part::Neighbors) => Ok(context.printer.list(&neighbors(&mut client).await?)?),
            None => both(client, context).await,
        }
    }
}

async fn interfaces(client: &mut Client) -> Result<Vec<RipInterfaceView>, Failure> {
    let answer = client.list_interfaces(ListRipInterfacesRequest {}).await?.into_inner();
    Ok(answer.interfaces.into_iter().map(Into::into).collect())
}

async fn neighbors(client: &mut Client) -> Result<Vec<RipNeighborView>, Failure> {
    let answer = client.list_neighbors(ListRipNeighborsRequest {}).await?.into_inner();
    Ok(answer.neighbors.into_iter().map(Into::into).collect())
}

/// Two tables, or one object with two lists.
async fn both(mut client: Client, context: &mut Context) -> Result<(), Failure> {
    let view =
        RipView { interfaces: interfaces(&mut client).await?, neighbors: neighbors(&mut client).await? };
    let printer = &mut context.printer;
    match printer.format() {
        Format::Table | Format::Wide => {
            printer.list(&view.interfaces)?;
            printer.text("\n")?;
            printer.list(&view.neighbors)?;
        }
        Format::Json | Format::Yaml => printer.object(&view, String::new)?,
    }
    Ok(())
}
