//! The gRPC API as an orchestrator meets it: health, reflection, a watch.

use std::time::Duration;

use api::v1::route_service_client::RouteServiceClient;
use api::v1::{AnnounceRouteRequest, Protocol, RouteEventKind, WatchRoutesRequest, WithdrawRouteRequest};
use lab::{Lab, Result, cluster::base_config, peer::Routed};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

/// Patience with an answer.
const SOON: Duration = Duration::from_secs(10);

/// Runs a test against the socket of a daemon in a host of its own.
#[expect(clippy::unwrap_used, reason = "the test fails here, and says where")]
fn with_daemon<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Channel) -> F) -> Result<()> {
    let lab = Lab::new(name)?;
    let host = lab.host("n1")?;
    let routed = Routed::start(&host, &base_config(&host, 64512))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = format!("unix://{}", routed.socket().display());
        let channel = Endpoint::try_from(address).unwrap().connect().await.unwrap();
        tokio::time::timeout(SOON, test(channel)).await.expect("the daemon answers");
    });
    Ok(())
}

#[test]
fn health_says_that_the_node_serves() -> Result<()> {
    with_daemon("health", async |channel| {
        let service = "routed.v1.NodeService".to_owned();
        let answer = HealthClient::new(channel).check(HealthCheckRequest { service }).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    })
}

#[test]
fn reflection_names_every_service() -> Result<()> {
    with_daemon("reflect", async |channel| {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let requests = tokio_stream::iter([request]);
        let mut answers =
            ServerReflectionClient::new(channel).server_reflection_info(requests).await.unwrap().into_inner();
        let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("a list of services is expected: {answer:?}");
        };
        let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
        for name in [
            "NodeService",
            "PeerService",
            "RouteService",
            "IpamService",
            "PolicyService",
            "RipService",
            "BfdService",
        ] {
            assert!(names.contains(&format!("routed.v1.{name}")), "{name} in {names:?}");
        }
    })
}

#[test]
fn a_watch_gets_what_there_is_then_what_changes() -> Result<()> {
    with_daemon("watch", async |channel| {
        let mut routes = RouteServiceClient::new(channel);
        let mut events = routes.watch_routes(WatchRoutesRequest::default()).await.unwrap().into_inner();
        let mut there = Vec::new();
        loop {
            let event = events.message().await.unwrap().unwrap();
            match event.kind() {
                RouteEventKind::Updated => there.push(event.route.unwrap().prefix),
                RouteEventKind::SnapshotEnd => break,
                other => panic!("{other:?} in a snapshot"),
            }
        }
        assert!(there.contains(&"10.244.1.0/24".to_owned()), "{there:?}");

        let prefix = "10.244.77.0/24".to_owned();
        let announce = AnnounceRouteRequest { prefix: prefix.clone(), ..AnnounceRouteRequest::default() };
        routes.announce_route(announce).await.unwrap();
        let event = events.message().await.unwrap().unwrap();
        assert_eq!((event.kind(), event.route.unwrap().prefix), (RouteEventKind::Updated, prefix.clone()));
        routes.withdraw_route(WithdrawRouteRequest { prefix: prefix.clone() }).await.unwrap();
        let event = events.message().await.unwrap().unwrap();
        let kind = event.kind();
        let gone = event.route.unwrap();
        let protocol = gone.protocol();
        assert_eq!((kind, gone.prefix, protocol), (RouteEventKind::Removed, prefix, Protocol::Local));
    })
}
