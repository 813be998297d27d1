//! The services of the stand-in.

use std::pin::Pin;

use api::Problem;
use api::problem::Kind;
use api::v1::bfd_service_server::BfdService;
use api::v1::ipam_service_server::IpamService;
use api::v1::monitor_service_server::MonitorService;
use api::v1::node_service_server::NodeService;
use api::v1::peer_service_server::PeerService;
use api::v1::policy_service_server::PolicyService;
use api::v1::rip_service_server::RipService;
use api::v1::route_service_server::RouteService;
use api::v1::*;
use tokio_stream::{self as stream, Stream};
use tonic::{Request, Response, Status};

use super::fixtures;

type Answer<T> = Result<Response<T>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers the same whatever is asked, and refuses one thing of each kind.
pub(crate) struct Fixed;

#[expect(clippy::unnecessary_wraps, reason = "every method of a service answers in this shape")]
fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

fn known_peer(address: &str) -> Result<(), Status> {
    match address {
        "192.0.2.2" => Ok(()),
        _ => Err(Problem::not_found(format!("peer {address}")).hint("`routectl peers` lists them").into()),
    }
}

#[tonic::async_trait]
impl NodeService for Fixed {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Answer<NodeStatus> {
        answer(fixtures::status())
    }

    async fn reload(&self, _: Request<ReloadRequest>) -> Answer<ReloadResponse> {
        let diagnostic = Diagnostic {
            severity: Severity::Error.into(),
            file: "/etc/routed/routed.toml".into(),
            line: Some(7),
            column: Some(3),
            object: "bgp.peer".into(),
            text: "unknown key adress".into(),
            hint: "did you mean address?".into(),
        };
        answer(ReloadResponse { applied: false, changes: Vec::new(), diagnostics: vec![diagnostic] })
    }

    async fn drain(&self, _: Request<DrainRequest>) -> Answer<DrainResponse> {
        answer(DrainResponse { outcome: Outcome::Changed.into(), told: true })
    }

    async fn undrain(&self, _: Request<UndrainRequest>) -> Answer<UndrainResponse> {
        answer(UndrainResponse { outcome: Outcome::Unchanged.into(), told: false })
    }
}

#[tonic::async_trait]
impl PeerService for Fixed {
    async fn list_peers(&self, _: Request<ListPeersRequest>) -> Answer<ListPeersResponse> {
        answer(ListPeersResponse { peers: vec![fixtures::up(), fixtures::down()] })
    }

    async fn get_peer(&self, request: Request<GetPeerRequest>) -> Answer<PeerDetail> {
        known_peer(&request.get_ref().address)?;
        answer(fixtures::detail())
    }

    async fn add_peer(&self, request: Request<AddPeerRequest>) -> Answer<PeerActionResponse> {
        let mut settings: Vec<_> = request.into_inner().settings.into_iter().collect();
        settings.sort();
        let wanted = [("asn", "64513"), ("description", "\"\\\"n9\\\"\""), ("hold_time", "9")];
        assert_eq!(settings, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
        answer(PeerActionResponse { state: PeerState::Connect.into() })
    }

    async fn remove_peer(&self, request: Request<RemovePeerRequest>) -> Answer<RemovePeerResponse> {
        known_peer(&request.get_ref().address)?;
        answer(RemovePeerResponse {})
    }

    async fn enable_peer(&self, request: Request<EnablePeerRequest>) -> Answer<PeerActionResponse> {
        known_peer(&request.get_ref().address)?;
        answer(PeerActionResponse { state: PeerState::Connect.into() })
    }

    async fn disable_peer(&self, request: Request<DisablePeerRequest>) -> Answer<PeerActionResponse> {
        known_peer(&request.get_ref().address)?;
        answer(PeerActionResponse { state: PeerState::Idle.into() })
    }

    async fn reset_peer(&self, _: Request<ResetPeerRequest>) -> Answer<PeerActionResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn refresh_peer(&self, request: Request<RefreshPeerRequest>) -> Answer<PeerActionResponse> {
        let families: Vec<_> = request.get_ref().families().collect();
        assert_eq!(families, [Family::Ipv6]);
        answer(PeerActionResponse { state: PeerState::Established.into() })
    }
}

#[tonic::async_trait]
impl RouteService for Fixed {
    type ListRoutesStream = Streamed<RoutePage>;
    type WatchRoutesStream = Streamed<RouteEvent>;

    /// Two pages for "all", one for "best", none for a prefix.
    async fn list_routes(&self, request: Request<ListRoutesRequest>) -> Answer<Self::ListRoutesStream> {
        let page = |route| Ok(RoutePage { routes: vec![route] });
        let pages = match (request.get_ref().view(), &request.get_ref().prefix) {
            (_, Some(_)) => Vec::new(),
            (RouteView::All | RouteView::Received, None) => {
                vec![page(fixtures::bgp_route()), page(fixtures::refused_route())]
            }
            _ => vec![page(fixtures::bgp_route())],
        };
        answer(Box::pin(stream::iter(pages)))
    }

    async fn watch_routes(&self, _: Request<WatchRoutesRequest>) -> Answer<Self::WatchRoutesStream> {
        let event = |kind: RouteEventKind, route| Ok(RouteEvent { kind: kind.into(), route });
        answer(Box::pin(stream::iter([
            event(RouteEventKind::Updated, Some(fixtures::bgp_route())),
            event(RouteEventKind::SnapshotEnd, None),
            event(RouteEventKind::Removed, Some(fixtures::bgp_route())),
        ])))
    }

    async fn lookup_route(&self, request: Request<LookupRouteRequest>) -> Answer<Route> {
        match request.get_ref().address.as_str() {
            "10.244.2.7" => answer(fixtures::bgp_route()),
            other => Err(Problem::new(Kind::NotFound, other, "no route covers it").into()),
        }
    }

    async fn announce_route(&self, request: Request<AnnounceRouteRequest>) -> Answer<AnnounceRouteResponse> {
        let AnnounceRouteRequest { prefix, communities, .. } = request.into_inner();
        assert_eq!((&*prefix, &communities[..]), ("10.9.0.0/16", &["64512:100".to_owned()][..]));
        answer(AnnounceRouteResponse { outcome: Outcome::Created.into() })
    }

    async fn withdraw_route(&self, _: Request<WithdrawRouteRequest>) -> Answer<WithdrawRouteResponse> {
        answer(WithdrawRouteResponse {})
    }
}

#[tonic::async_trait]
impl RipService for Fixed {
    async fn list_interfaces(
        &self,
        _: Request<ListRipInterfacesRequest>,
    ) -> Answer<ListRipInterfacesResponse> {
        answer(ListRipInterfacesResponse { interfaces: fixtures::rip_interfaces() })
    }

    async fn list_neighbors(&self, _: Request<ListRipNeighborsRequest>) -> Answer<ListRipNeighborsResponse> {
        answer(ListRipNeighborsResponse { neighbors: fixtures::rip_neighbors() })
    }
}

#[tonic::async_trait]
impl BfdService for Fixed {
    async fn list_sessions(&self, _: Request<ListBfdSessionsRequest>) -> Answer<ListBfdSessionsResponse> {
        answer(ListBfdSessionsResponse { sessions: fixtures::bfd_sessions(), strays: 0 })
    }
}

#[tonic::async_trait]
impl MonitorService for Fixed {
    type DumpTableStream = Streamed<DumpTableResponse>;

    async fn list_collectors(&self, _: Request<ListCollectorsRequest>) -> Answer<ListCollectorsResponse> {
        answer(ListCollectorsResponse { collectors: fixtures::collectors() })
    }

    /// A file in two parts.
    async fn dump_table(&self, _: Request<DumpTableRequest>) -> Answer<Self::DumpTableStream> {
        let parts = ["one\n", "two\n"].map(|part| Ok(DumpTableResponse { records: part.into() }));
        answer(Box::pin(stream::iter(parts)))
    }
}

#[tonic::async_trait]
impl IpamService for Fixed {
    async fn list_pools(&self, _: Request<ListPoolsRequest>) -> Answer<ListPoolsResponse> {
        let pool = Pool {
            prefix: "10.244.0.0/16".into(),
            block_length: Some(24),
            blocks: 2,
            addresses_total: 65_536,
            addresses_used: 1,
        };
        answer(ListPoolsResponse { pools: vec![pool] })
    }

    async fn list_blocks(&self, _: Request<ListBlocksRequest>) -> Answer<ListBlocksResponse> {
        answer(ListBlocksResponse { blocks: fixtures::blocks() })
    }

    async fn list_addresses(&self, _: Request<ListAddressesRequest>) -> Answer<ListAddressesResponse> {
        answer(ListAddressesResponse { addresses: vec![fixtures::address("10.244.1.2")] })
    }

    async fn allocate(&self, request: Request<AllocateRequest>) -> Answer<AllocateResponse> {
        let request = request.into_inner();
        let addresses = match request.families() {
            Families::Both => vec![fixtures::address("10.244.1.2"), fixtures::address("2001:db8::2")],
            Families::Ipv6 => {
                let problem = Problem::new(Kind::Exhausted, "block 2001:db8::/126", "no address is free");
                return Err(problem.hint("release some, or add a block").into());
            }
            _ => vec![fixtures::address("10.244.1.2")],
        };
        answer(AllocateResponse { addresses })
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Answer<ReleaseResponse> {
        assert_eq!(request.into_inner().target, Some(release_request::Target::Handle("web-1".into())));
        answer(ReleaseResponse { released: vec![fixtures::address("10.244.1.2")] })
    }

    async fn reserve(&self, _: Request<ReserveRequest>) -> Answer<ReserveResponse> {
        answer(ReserveResponse { outcome: Outcome::Created.into() })
    }

    async fn check(&self, _: Request<CheckRequest>) -> Answer<CheckResponse> {
        let finding = Finding {
            id: "store-damaged".into(),
            severity: Severity::Error.into(),
            finding: "the store is damaged".into(),
            ..Finding::default()
        };
        answer(CheckResponse { findings: vec![finding] })
    }

    async fn export(&self, _: Request<ExportRequest>) -> Answer<ExportResponse> {
        answer(ExportResponse { document: "{\"version\":1}\n".into() })
    }

    async fn import(&self, request: Request<ImportRequest>) -> Answer<ImportResponse> {
        assert_eq!(request.get_ref().document, "{\"version\":1}\n");
        answer(ImportResponse { created: 1, unchanged: 2 })
    }
}

#[tonic::async_trait]
impl PolicyService for Fixed {
    /// A text with "selektor" in it has an error.
    async fn apply(&self, request: Request<ApplyRequest>) -> Answer<ApplyResponse> {
        let PolicyText { text, file_name } = request.into_inner().documents.unwrap_or_default();
        if !text.contains("selektor") {
            let change = PolicyChange { policy: Some(fixtures::policy()), outcome: Outcome::Created.into() };
            return answer(ApplyResponse { changes: vec![change], diagnostics: Vec::new() });
        }
        let diagnostic = Diagnostic {
            severity: Severity::Error.into(),
            file: file_name,
            line: Some(2),
            column: None,
            object: "GlobalNetworkPolicy/web-only".into(),
            text: "unknown field spec.selektor".into(),
            hint: "did you mean selector?".into(),
        };
        answer(ApplyResponse { changes: Vec::new(), diagnostics: vec![diagnostic] })
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Answer<DeleteResponse> {
        assert_eq!(request.into_inner().target, Some(delete_request::Target::Policy(fixtures::policy())));
        let change = PolicyChange { policy: Some(fixtures::policy()), outcome: Outcome::Removed.into() };
        answer(DeleteResponse { changes: vec![change], diagnostics: Vec::new() })
    }

    async fn list(&self, _: Request<ListPoliciesRequest>) -> Answer<ListPoliciesResponse> {
        let policy = PolicySummary {
            policy: Some(fixtures::policy()),
            tier: "default".into(),
            order: Some(100.0),
            selector: "all()".into(),
            types: vec![Direction::Ingress.into()],
            ingress_rules: 1,
            egress_rules: 0,
            endpoints: 3,
        };
        answer(ListPoliciesResponse { policies: vec![policy] })
    }

    async fn show(&self, _: Request<ShowPolicyRequest>) -> Answer<ShowPolicyResponse> {
        answer(ShowPolicyResponse { document: "kind: GlobalNetworkPolicy\nspec:\n  order: 100\n".into() })
    }

    async fn trace(&self, request: Request<TraceRequest>) -> Answer<TraceResponse> {
        let request = request.into_inner();
        assert_eq!((request.ip_protocol, request.destination_port), (6, Some(443)));
        answer(TraceResponse {
            verdict: Verdict::Deny.into(),
            policy: Some(fixtures::policy()),
            direction: Some(Direction::Ingress.into()),
            rule: None,
            tier: Some("default".into()),
            path: vec!["ingress of 10.244.1.2: selected by GlobalNetworkPolicy/web-only".into()],
        })
    }

    async fn counters(&self, _: Request<CountersRequest>) -> Answer<CountersResponse> {
        let counter = RuleCounter {
            policy: Some(fixtures::policy()),
            direction: Direction::Ingress.into(),
            rule: Some(0),
            action: RuleAction::Allow.into(),
            packets: 12,
            bytes: 840,
        };
        answer(CountersResponse { counters: vec![counter] })
    }
}
