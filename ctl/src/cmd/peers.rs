//! `peers`: BGP peers.

use std::collections::HashMap;

use api::v1::peer_service_client::PeerServiceClient;
use api::v1::{
    AddPeerRequest, DisablePeerRequest, EnablePeerRequest, Family, GetPeerRequest, ListPeersRequest,
    RefreshPeerRequest, RemovePeerRequest, ResetPeerRequest,
};
use clap::{Args, Subcommand};
use tonic::transport::Channel;

use super::{Context, conflict};
use crate::cli::value;
use crate::failure::Failure;
use crate::view::peer::{PeerActionView, PeerDetailView, PeerView};

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl peers
  routectl peers -o wide
  routectl peers 192.0.2.2
  routectl peers eth1
  routectl peers add 192.0.2.9 --asn 64513 --group leaves --set hold_time=9
  routectl peers disable 192.0.2.2 --message 'maintenance until 14:00'
  routectl peers refresh 192.0.2.2 --family 4";

/// Without a subcommand: all peers, or one in detail.
#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// Show everything about this peer, named by its address or interface
    #[arg(value_parser = value::peer)]
    address: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a peer; it is kept over restarts, and not in the configuration file
    Add {
        /// The peer
        #[arg(value_parser = value::peer)]
        address: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Remove a peer that was added
    Remove {
        /// The peer
        #[arg(value_parser = value::peer)]
        address: String,
    },
    /// Let a disabled peer connect again
    Enable {
        /// The peer
        #[arg(value_parser = value::peer)]
        address: String,
    },
    /// End the session and keep it down until it is enabled
    Disable {
        /// The peer
        #[arg(value_parser = value::peer)]
        address: String,
        /// Told to the peer (RFC 9003 shutdown communication)
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// End the session and connect anew
    Reset {
        /// The peer
        #[arg(value_parser = value::peer)]
        address: String,
        /// Told to the peer (RFC 9003 shutdown communication)
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Ask the peer to send its routes again (RFC 2918 route refresh)
    Refresh {
        /// The peer
        #[arg(value_parser = value::peer)]
        address: String,
        /// Only this family
        #[arg(long, value_parser = value::family())]
        family: Vec<Family>,
    },
}

/// What a peer is added with.
#[derive(Debug, Args)]
struct Settings {
    /// Its AS number, or `external` for any but ours, `internal` for ours; not
    /// needed where its group has one
    #[arg(long, value_name = "N")]
    asn: Option<String>,
    /// A word for operators
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The [[bgp.group]] whose keys it has
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// The filter that its routes pass
    #[arg(long, value_name = "FILTER")]
    import: Option<String>,
    /// The filter that routes to it pass
    #[arg(long, value_name = "FILTER")]
    export: Option<String>,
    /// The file with the TCP-MD5 key, on the node
    #[arg(long, value_name = "PATH")]
    password_file: Option<String>,
    /// Any other key of [[bgp.peer]], with its value as in the file
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?}: write KEY=VALUE, as hold_time=9"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl Settings {
    /// The keys with their values as in TOML, where a text of JSON is one too.
    fn into_map(self) -> HashMap<String, String> {
        let digits = |asn: &String| asn.bytes().all(|byte| byte.is_ascii_digit());
        let asn = self.asn.map(|asn| if digits(&asn) { asn } else { quoted(&asn) });
        let texts = [
            ("description", self.description),
            ("group", self.group),
            ("import", self.import),
            ("export", self.export),
            ("password_file", self.password_file),
        ];
        let texts = texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), quoted(&text?))));
        asn.map(|asn| ("asn".to_owned(), asn)).into_iter().chain(texts).chain(self.set).collect()
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Peers {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        if let (Some(address), Some(action)) = (&self.address, &self.action) {
            return Err(conflict(&format!("'{address}'"), action.name()));
        }
        let client = PeerServiceClient::new(context.connect().await?);
        match (self.action, self.address) {
            (Some(action), _) => action.run(client, context).await,
            (None, Some(address)) => show(address, client, context).await,
            (None, None) => list(client, context).await,
        }
    }
}

async fn list(mut client: PeerServiceClient<Channel>, context: &mut Context) -> Result<(), Failure> {
    let peers = client.list_peers(ListPeersRequest {}).await?.into_inner().peers;
    let views: Vec<PeerView> = peers.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&views)?)
}

async fn show(
    address: String,
    mut client: PeerServiceClient<Channel>,
    context: &mut Context,
) -> Result<(), Failure> {
    let request = GetPeerRequest { address };
    let detail = client.get_peer(request).await?.into_inner();
    Ok(context.printer.sheet(&PeerDetailView::from(detail))?)
}

impl Action {
    fn name(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add",
            Self::Remove { .. } => "remove",
            Self::Enable { .. } => "enable",
            Self::Disable { .. } => "disable",
            Self::Reset { .. } => "reset",
            Self::Refresh { .. } => "refresh",
        }
    }

    fn done(&self) -> &'static str {
        match self {
            Self::Add { .. } => "added",
            Self::Remove { .. } => "removed",
            Self::Enable { .. } => "enabled",
            Self::Disable { .. } => "disabled",
            Self::Reset { .. } => "reset",
            Self::Refresh { .. } => "asked for its routes",
        }
    }

    async fn run(self, mut client: PeerServiceClient<Channel>, context: &mut Context) -> Result<(), Failure> {
        let done = self.done();
        let (address, answer) = match self {
            Self::Add { address, settings } => {
                let settings = settings.into_map();
                (address.clone(), client.add_peer(AddPeerRequest { address, settings }).await?)
            }
            Self::Remove { address } => {
                client.remove_peer(RemovePeerRequest { address: address.clone() }).await?;
                let sentence = format!("peer {address}: {done}");
                let view = PeerActionView { address, state: "removed".to_owned() };
                return Ok(context.printer.line(&view, sentence)?);
            }
            Self::Enable { address } => {
                (address.clone(), client.enable_peer(EnablePeerRequest { address }).await?)
            }
            Self::Disable { address, message } => {
                (address.clone(), client.disable_peer(DisablePeerRequest { address, message }).await?)
            }
            Self::Reset { address, message } => {
                (address.clone(), client.reset_peer(ResetPeerRequest { address, message }).await?)
            }
            Self::Refresh { address, family } => {
                let families = family.into_iter().map(Into::into).collect();
                (address.clone(), client.refresh_peer(RefreshPeerRequest { address, families }).await?)
            }
        };
        let view = PeerActionView { address, state: answer.into_inner().state().to_string() };
        let sentence = format!("peer {}: {done}, state {}", view.address, view.state);
        Ok(context.printer.line(&view, sentence)?)
    }
}
