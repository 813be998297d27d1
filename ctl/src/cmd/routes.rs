//! `routes`: the table.

use std::net::IpAddr;

use api::v1::route_service_client::RouteServiceClient;
use api::v1::{
    AnnounceRouteRequest, Family, ListRoutesRequest, LookupRouteRequest, Protocol, RouteView as View,
    WatchRoutesRequest, WithdrawRouteRequest,
};
use clap::{Args, Subcommand};
use tonic::transport::Channel;

use super::{Context, conflict};
use crate::cli::value;
use crate::failure::Failure;
use crate::view::Level;
use crate::view::route::{AnnouncementView, RouteEventView, RouteView};

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl routes
  routectl routes 10.244.0.0/16 --longer --protocol bgp
  routectl routes --all                            every candidate, and why it lost
  routectl routes --peer 192.0.2.2 --received      what the peer told us, before filters
  routectl routes --peer 192.0.2.2 --advertised    what we tell the peer
  routectl routes lookup 10.244.2.7
  routectl routes watch -o json
  routectl routes announce 10.9.0.0/16 --community 64512:100
  routectl routes withdraw 10.9.0.0/16";

/// Routes that are held back to be aligned with each other: a table of a million
/// is written as it comes.
const ALIGNED: usize = 4096;

/// Without a subcommand: the best routes.
#[derive(Debug, Args)]
pub(crate) struct Routes {
    #[command(flatten)]
    list: List,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    condition: Condition,
    /// Only routes from this peer; with --advertised, those that go to it
    #[arg(long, value_name = "ADDRESS", value_parser = value::peer)]
    peer: Option<String>,
    /// What the peer told us, before filters
    #[arg(long, requires = "peer", group = "view")]
    received: bool,
    /// What we tell the peer
    #[arg(long, requires = "peer", group = "view")]
    advertised: bool,
    /// Every candidate, with the reason it won or lost
    #[arg(long, group = "view")]
    all: bool,
}

/// Which routes.
#[derive(Debug, PartialEq, Eq, Args)]
struct Condition {
    /// Only this prefix
    #[arg(value_parser = value::prefix)]
    prefix: Option<String>,
    /// The more specific ones of PREFIX too
    #[arg(long, requires = "prefix")]
    longer: bool,
    /// Only routes of this protocol
    #[arg(long, value_parser = value::protocol())]
    protocol: Option<Protocol>,
    /// Only this address family
    #[arg(long, value_parser = value::family())]
    family: Option<Family>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The route to an address, by longest match
    Lookup {
        /// The address
        address: IpAddr,
    },
    /// The best routes, and every change of them, until interrupted
    Watch {
        #[command(flatten)]
        condition: Condition,
    },
    /// Originate a prefix from this node, until it is withdrawn or the daemon ends
    Announce {
        #[command(flatten)]
        route: Announcement,
    },
    /// End an announcement
    Withdraw {
        /// The prefix
        #[arg(value_parser = value::prefix)]
        prefix: String,
    },
}

#[derive(Debug, Args)]
struct Announcement {
    /// The prefix
    #[arg(value_parser = value::prefix)]
    prefix: String,
    /// The next hop to tell [default: this node]
    #[arg(long, value_name = "ADDRESS")]
    next_hop: Option<IpAddr>,
    /// Local preference
    #[arg(long, value_name = "N")]
    local_pref: Option<u32>,
    /// Multi-exit discriminator
    #[arg(long, value_name = "N")]
    med: Option<u32>,
    /// A community, as 64512:100 or by its registered name; may be repeated
    #[arg(long = "community", value_name = "COMMUNITY")]
    communities: Vec<String>,
    /// A large community, as 64512:1:2; may be repeated
    #[arg(long = "large-community", value_name = "COMMUNITY")]
    large_communities: Vec<String>,
}

impl Routes {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        if let Some(action) = &self.action
            && !self.list.is_empty()
        {
            return Err(conflict("arguments of the list of routes", action.name()));
        }
        let client = RouteServiceClient::new(context.connect().await?);
        match self.action {
            Some(action) => action.run(client, context).await,
            None => self.list.run(client, context).await,
        }
    }
}

impl List {
    fn is_empty(&self) -> bool {
        let nothing = Condition { prefix: None, longer: false, protocol: None, family: None };
        self.condition == nothing && self.peer.is_none() && self.view() == View::Best
    }

    fn view(&self) -> View {
        match (self.received, self.advertised, self.all) {
            (true, ..) => View::Received,
            (_, true, _) => View::Advertised,
            (.., true) => View::All,
            (false, false, false) => View::Best,
        }
    }

    async fn run(
        self,
        mut client: RouteServiceClient<Channel>,
        context: &mut Context,
    ) -> Result<(), Failure> {
        let level = match self.view() {
            View::All | View::Received => Level::Reasons,
            _ => Level::Short,
        };
        let mut pages = client.list_routes(self.request()).await?.into_inner();
        let mut list = context.printer.begin(level);
        let mut waiting: Vec<RouteView> = Vec::new();
        while let Some(page) = pages.message().await? {
            waiting.extend(page.routes.into_iter().map(RouteView::from));
            if waiting.len() >= ALIGNED {
                list.push(&waiting)?;
                waiting.clear();
            }
        }
        list.push(&waiting)?;
        Ok(list.end()?)
    }

    fn request(self) -> ListRoutesRequest {
        let view = self.view().into();
        let Condition { prefix, longer, protocol, family } = self.condition;
        ListRoutesRequest {
            prefix,
            longer,
            protocol: protocol.unwrap_or_default().into(),
            peer: self.peer,
            view,
            family: family.unwrap_or_default().into(),
        }
    }
}

impl Action {
    fn name(&self) -> &'static str {
        match self {
            Self::Lookup { .. } => "lookup",
            Self::Watch { .. } => "watch",
            Self::Announce { .. } => "announce",
            Self::Withdraw { .. } => "withdraw",
        }
    }

    async fn run(
        self,
        mut client: RouteServiceClient<Channel>,
        context: &mut Context,
    ) -> Result<(), Failure> {
        match self {
            Self::Lookup { address } => {
                let request = LookupRouteRequest { address: address.to_string() };
                let route = client.lookup_route(request).await?.into_inner();
                Ok(context.printer.sheet(&RouteView::from(route))?)
            }
            Self::Watch { condition } => watch(condition, client, context).await,
            Self::Announce { route } => {
                let prefix = route.prefix.clone();
                let answer = client.announce_route(route.request()).await?.into_inner();
                let view = AnnouncementView { prefix, outcome: answer.outcome().to_string() };
                Ok(context
                    .printer
                    .line(&view, format_args!("announced {} ({})", view.prefix, view.outcome))?)
            }
            Self::Withdraw { prefix } => {
                client.withdraw_route(WithdrawRouteRequest { prefix: prefix.clone() }).await?;
                let view = AnnouncementView { prefix, outcome: api::v1::Outcome::Removed.to_string() };
                Ok(context.printer.line(&view, format_args!("withdrawn {}", view.prefix))?)
            }
        }
    }
}

async fn watch(
    condition: Condition,
    mut client: RouteServiceClient<Channel>,
    context: &mut Context,
) -> Result<(), Failure> {
    let Condition { prefix, longer, protocol, family } = condition;
    let request = WatchRoutesRequest {
        prefix,
        longer,
        protocol: protocol.unwrap_or_default().into(),
        family: family.unwrap_or_default().into(),
    };
    let mut events = client.watch_routes(request).await?.into_inner();
    while let Some(event) = events.message().await? {
        let view = RouteEventView::from(event);
        context.printer.event(&view, &view)?;
    }
    Err(Failure::Unreachable("routed has ended the watch; it was stopped, or is about to be".into()))
}

impl Announcement {
    fn request(self) -> AnnounceRouteRequest {
        AnnounceRouteRequest {
            prefix: self.prefix,
            next_hop: self.next_hop.map(|address| address.to_string()),
            local_pref: self.local_pref,
            med: self.med,
            communities: self.communities,
            large_communities: self.large_communities,
        }
    }
}
