//! `ipam`: addresses of containers.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use api::v1::ipam_service_client::IpamServiceClient;
use api::v1::release_request::Target;
use api::v1::{
    AllocateRequest, CheckRequest, ExportRequest, Families, ImportRequest, ListAddressesRequest,
    ListBlocksRequest, ListPoolsRequest, ReleaseRequest, ReserveRequest, Severity,
};
use clap::{Args, Subcommand, ValueEnum};
use tonic::transport::Channel;

use super::{Context, read};
use crate::cli::{Format, value};
use crate::failure::Failure;
use crate::view::address::{AddressView, BlockView, ImportView, PoolView, ReservationView};
use crate::view::node::FindingView;

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl ipam blocks
  routectl ipam addresses --handle web-1
  routectl ipam allocate --handle web-1 --label app=web
  routectl ipam allocate 10.244.1.20
  routectl ipam release --handle web-1
  routectl ipam reserve 10.244.1.0/29
  routectl ipam export addresses.json";

/// An export holds every address of the node; a gRPC message is otherwise at
/// most 4 MiB.
const MAX_DOCUMENT: usize = 512 << 20;

type Client = IpamServiceClient<Channel>;

#[derive(Debug, Subcommand)]
pub(crate) enum Ipam {
    /// The pools of the cluster
    Pools,
    /// The blocks, of this node and of others
    Blocks {
        /// Only blocks of this pool
        #[arg(long, value_name = "CIDR", value_parser = value::prefix)]
        pool: Option<String>,
    },
    /// The addresses that this node has handed out
    Addresses {
        /// Only addresses of this pool
        #[arg(long, value_name = "CIDR", value_parser = value::prefix)]
        pool: Option<String>,
        /// Only addresses of this handle
        #[arg(long, value_name = "HANDLE")]
        handle: Option<String>,
    },
    /// Hand out an address and print it; the same handle gets the same address
    Allocate(Allocate),
    /// Take back an address, or all addresses of a handle
    Release(Release),
    /// Keep addresses from being handed out
    Reserve {
        /// The addresses
        #[arg(value_name = "CIDR", value_parser = value::prefix)]
        prefix: String,
    },
    /// Compare pools, blocks, addresses and the store; exit code 1 if there is an error
    Check,
    /// Write all that is handed out as a JSON document
    Export {
        /// The file [default: standard output]
        file: Option<PathBuf>,
    },
    /// Take over a document of `export`, all or nothing
    Import {
        /// The file; `-` is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Allocate {
    /// This address and no other
    address: Option<IpAddr>,
    /// Who will have it, a container id for example
    #[arg(long, value_name = "HANDLE")]
    handle: Option<String>,
    /// From this pool
    #[arg(long, value_name = "CIDR", value_parser = value::prefix)]
    pool: Option<String>,
    /// Of which family; both is one of each, or none
    #[arg(long, value_enum, value_name = "FAMILY")]
    family: Option<FamilyChoice>,
    /// Kept beside the address; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = value::label)]
    labels: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FamilyChoice {
    #[value(name = "4")]
    V4,
    #[value(name = "6")]
    V6,
    // One of each, or none.
    Both,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Release {
    /// The address
    address: Option<IpAddr>,
    /// All addresses of this handle
    #[arg(long, value_name = "HANDLE")]
    handle: Option<String>,
}

impl Ipam {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let client = IpamServiceClient::new(context.connect().await?)
            .max_decoding_message_size(MAX_DOCUMENT)
            .max_encoding_message_size(MAX_DOCUMENT);
        match self {
            Self::Pools => pools(client, context).await,
            Self::Blocks { pool } => blocks(ListBlocksRequest { pool }, client, context).await,
            Self::Addresses { pool, handle } => {
                addresses(ListAddressesRequest { pool, handle }, client, context).await
            }
            Self::Allocate(allocate) => allocate.run(client, context).await,
            Self::Release(release) => release.run(client, context).await,
            Self::Reserve { prefix } => reserve(prefix, client, context).await,
            Self::Check => check(client, context).await,
            Self::Export { file } => export(file, client, context).await,
            Self::Import { file } => import(read(&file)?, client, context).await,
        }
    }
}

async fn pools(mut client: Client, context: &mut Context) -> Result<(), Failure> {
    let pools = client.list_pools(ListPoolsRequest {}).await?.into_inner().pools;
    let views: Vec<PoolView> = pools.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&views)?)
}

async fn blocks(
    request: ListBlocksRequest,
    mut client: Client,
    context: &mut Context,
) -> Result<(), Failure> {
    let blocks = client.list_blocks(request).await?.into_inner().blocks;
    let views: Vec<BlockView> = blocks.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&views)?)
}

async fn addresses(
    request: ListAddressesRequest,
    mut client: Client,
    context: &mut Context,
) -> Result<(), Failure> {
    let addresses = client.list_addresses(request).await?.into_inner().addresses;
    let views: Vec<AddressView> = addresses.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&views)?)
}

impl Allocate {
    /// Scripts read the address from the first line, so that is all there is.
    async fn run(self, mut client: Client, context: &mut Context) -> Result<(), Failure> {
        let addresses = client.allocate(self.request()).await?.into_inner().addresses;
        let views: Vec<AddressView> = addresses.into_iter().map(Into::into).collect();
        match (context.printer.format(), &views[..]) {
            (Format::Wide, _) => context.printer.list(&views)?,
            (_, [one]) => context.printer.line(one, one.address())?,
            (Format::Table, several) => {
                for view in several {
                    context.printer.line(view, view.address())?;
                }
            }
            (Format::Json | Format::Yaml, several) => context.printer.list(several)?,
        }
        Ok(())
    }

    fn request(self) -> AllocateRequest {
        let families = match self.family {
            None => Families::Unspecified,
            Some(FamilyChoice::V4) => Families::Ipv4,
            Some(FamilyChoice::V6) => Families::Ipv6,
            Some(FamilyChoice::Both) => Families::Both,
        };
        AllocateRequest {
            address: self.address.map(|address| address.to_string()),
            handle: self.handle,
            pool: self.pool,
            families: families.into(),
            labels: self.labels.into_iter().collect(),
        }
    }
}

impl Release {
    async fn run(self, mut client: Client, context: &mut Context) -> Result<(), Failure> {
        let by_address = self.address.map(|address| Target::Address(address.to_string()));
        let target = by_address.or(self.handle.map(Target::Handle));
        let released = client.release(ReleaseRequest { target }).await?.into_inner().released;
        let views: Vec<AddressView> = released.into_iter().map(Into::into).collect();
        if context.printer.format() != Format::Table {
            return Ok(context.printer.list(&views)?);
        }
        for view in &views {
            context.printer.line(view, format_args!("released {}", view.address()))?;
        }
        Ok(())
    }
}

async fn reserve(prefix: String, mut client: Client, context: &mut Context) -> Result<(), Failure> {
    let answer = client.reserve(ReserveRequest { prefix: prefix.clone() }).await?.into_inner();
    let view = ReservationView { prefix, outcome: answer.outcome().to_string() };
    Ok(context.printer.line(&view, format_args!("reserved {} ({})", view.prefix, view.outcome))?)
}

async fn check(mut client: Client, context: &mut Context) -> Result<(), Failure> {
    let findings = client.check(CheckRequest {}).await?.into_inner().findings;
    let faulty = findings.iter().any(|finding| finding.severity() == Severity::Error);
    let views: Vec<FindingView> = findings.into_iter().map(Into::into).collect();
    context.printer.list(&views)?;
    context.printer.flush()?;
    if faulty {
        return Err(Failure::Faulty("the check found errors; each names its cure".into()));
    }
    Ok(())
}

async fn export(file: Option<PathBuf>, mut client: Client, context: &mut Context) -> Result<(), Failure> {
    let document = client.export(ExportRequest {}).await?.into_inner().document;
    match file {
        Some(file) if file.as_os_str() != "-" => {
            fs::write(&file, document).map_err(|error| Failure::file(file.display().to_string(), error))
        }
        _ => Ok(context.printer.text(&document)?),
    }
}

async fn import(document: String, mut client: Client, context: &mut Context) -> Result<(), Failure> {
    let answer = client.import(ImportRequest { document }).await?.into_inner();
    let view = ImportView { created: answer.created, unchanged: answer.unchanged };
    let sentence = format!("imported: {} new, {} already here", view.created, view.unchanged);
    Ok(context.printer.line(&view, sentence)?)
}
