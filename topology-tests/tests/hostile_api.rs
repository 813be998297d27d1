//! Callers of the API that mean harm, or know no better: they get an answer
//! with a reason, and nobody else is the worse for it.

#![allow(clippy::unwrap_used, reason = "a test fails there, and says where")]

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use api::calls::{Effect, methods};
use api::v1::ipam_service_client::IpamServiceClient;
use api::v1::node_service_client::NodeServiceClient;
use api::v1::peer_service_client::PeerServiceClient;
use api::v1::policy_service_client::PolicyServiceClient;
use api::v1::route_service_client::RouteServiceClient;
use api::v1::{
    AllocateRequest, AnnounceRouteRequest, GetPeerRequest, GetStatusRequest, ImportRequest,
    ListRoutesRequest, LookupRouteRequest, RefreshPeerRequest, ReleaseRequest, ReserveRequest, TraceRequest,
    WatchRoutesRequest, WithdrawRouteRequest, release_request,
};
use lab::{Error, Lab, Result, cluster::base_config, peer::Routed};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// Patience with all of one test.
const SOON: Duration = Duration::from_secs(60);

/// A daemon in a host of its own.
struct Scene {
    routed: Routed,
    _lab: Lab,
}

impl Scene {
    fn start(name: &str) -> Result<Scene> {
        let lab = Lab::new(name)?;
        let host = lab.host("n1")?;
        let peer = "\n[[bgp.peer]]\naddress = \"192.0.2.99\"\nasn = 64512\npassive = true\n";
        let routed = Routed::start(&host, &(base_config(&host, 64512) + peer))?;
        Ok(Scene { routed, _lab: lab })
    }

    fn run<F: Future<Output = ()>>(&self, test: impl FnOnce(Endpoint) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = format!("unix://{}", self.routed.socket().display());
        let endpoint = Endpoint::try_from(address).unwrap();
        runtime
            .block_on(async { tokio::time::timeout(SOON, test(endpoint)).await.expect("it ends in time") });
    }

    /// Memory in use and open descriptors.
    fn cost(&self) -> Result<(u64, usize)> {
        let pid = self.routed.pid().ok_or_else(|| Error::Claim("routed does not run".to_owned()))?;
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            std::fs::read_to_string(&path).map_err(Error::file(path))
        };
        let status = read("status")?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        let path = format!("/proc/{pid}/fd");
        let files = std::fs::read_dir(&path).map_err(Error::file(&path))?.count();
        Ok((memory, files))
    }
}

#[test]
fn thousand_calls_at_once_are_all_answered() -> Result<()> {
    let scene = Scene::start("calls")?;
    scene.run(async |endpoint| {
        let channels = [
            endpoint.connect().await.unwrap(),
            endpoint.connect().await.unwrap(),
            endpoint.connect().await.unwrap(),
        ];
        let calls: Vec<_> = (0..1000)
            .map(|n: usize| {
                let channel = channels[n % 3].clone();
                tokio::spawn(async move { call(n, channel).await })
            })
            .collect();
        let mut addresses = Vec::new();
        for call in calls {
            addresses.extend(call.await.unwrap().unwrap());
        }
        let given = addresses.len();
        addresses.sort();
        addresses.dedup();
        assert_eq!((given, addresses.len()), (100, 100), "each has an address of its own");
    });
    let (memory, files) = scene.cost()?;
    assert!(memory < 200 << 10 && files < 100, "{memory} KiB, {files} descriptors");
    Ok(())
}

/// One call, of a kind that the number says; an address where it asks for one.
async fn call(n: usize, channel: Channel) -> Result<Option<String>, Status> {
    match n % 10 {
        0 => {
            let request = AllocateRequest { handle: Some(format!("h{n}")), ..AllocateRequest::default() };
            let answer = IpamServiceClient::new(channel).allocate(request).await?.into_inner();
            return Ok(answer.addresses.into_iter().next().map(|found| found.address));
        }
        1 | 2 => {
            let prefix = format!("10.244.{}.0/24", 100 + n % 100);
            let announce = AnnounceRouteRequest { prefix, ..AnnounceRouteRequest::default() };
            RouteServiceClient::new(channel).announce_route(announce).await?;
        }
        3 | 4 => drop(PeerServiceClient::new(channel).list_peers(api::v1::ListPeersRequest {}).await?),
        5 | 6 => {
            let mut pages = RouteServiceClient::new(channel)
                .list_routes(ListRoutesRequest::default())
                .await?
                .into_inner();
            while pages.message().await?.is_some() {}
        }
        _ => drop(NodeServiceClient::new(channel).get_status(GetStatusRequest {}).await?),
    }
    Ok(None)
}

#[test]
fn watchers_that_never_read_cost_no_memory_and_hold_up_nobody() -> Result<()> {
    let scene = Scene::start("watchers")?;
    let before = scene.cost()?;
    scene.run(async |endpoint| {
        let channel = endpoint.connect().await.unwrap();
        let mut deaf = Vec::new();
        for _ in 0..50 {
            let watch = WatchRoutesRequest::default();
            deaf.push(
                RouteServiceClient::new(channel.clone()).watch_routes(watch).await.unwrap().into_inner(),
            );
        }
        // Its own connection, as one that reads has.
        let mut routes = RouteServiceClient::new(endpoint.connect().await.unwrap());
        for round in 0..20 {
            for n in 0..200 {
                let prefix = format!("10.244.{n}.{}/32", round % 2);
                routes
                    .announce_route(AnnounceRouteRequest {
                        prefix: prefix.clone(),
                        ..AnnounceRouteRequest::default()
                    })
                    .await
                    .unwrap();
                if n % 2 == round % 2 {
                    routes.withdraw_route(WithdrawRouteRequest { prefix }).await.unwrap();
                }
            }
        }
        let mut watch = routes.watch_routes(WatchRoutesRequest::default()).await.unwrap().into_inner();
        assert!(watch.message().await.unwrap().is_some(), "who reads is served");
        let (memory, _) = scene.cost().unwrap();
        assert!(memory < before.0 + (48 << 10), "{} KiB before, {memory} KiB after", before.0);
    });
    Ok(())
}

#[test]
fn whoever_changes_something_is_in_the_log_and_whoever_looks_is_not() -> Result<()> {
    let scene = Scene::start("audit")?;
    scene.routed.routectl(["routes", "announce", "10.244.9.0/24"])?.ok()?;
    assert_eq!(scene.routed.routectl(["peers", "reset", "192.0.2.98"])?.status, 1, "there is no such peer");
    scene.routed.routectl(["routes"])?.ok()?;
    let log = scene.routed.log()?;
    let calls: Vec<&str> = log.lines().filter(|line| line.contains("api call")).collect();
    let [announced, reset] = &calls[..] else { panic!("{calls:#?}") };
    assert!(announced.contains("RouteService/AnnounceRoute") && announced.contains("done"), "{announced}");
    assert!(announced.contains("uid 0 pid "), "{announced}");
    assert!(reset.contains("PeerService/ResetPeer") && reset.contains("refused: NotFound"), "{reset}");
    Ok(())
}

#[test]
fn more_connections_than_there_is_room_for_are_hung_up_on_and_places_come_back() -> Result<()> {
    let mut scene = Scene::start("places")?;
    let (_, before) = scene.cost()?;
    let connect = || UnixStream::connect(scene.routed.socket()).unwrap();
    let idle: Vec<UnixStream> = (0..400).map(|_| connect()).collect();
    // Who is let in hears the settings of HTTP/2; the others are hung up on without a word.
    let is_greeted = |mut stream: &UnixStream| {
        stream.set_read_timeout(Some(SOON)).unwrap();
        matches!(stream.read(&mut [0]), Ok(1..))
    };
    let greeted = idle.iter().filter(|stream| is_greeted(stream)).count();
    assert!((200..=256).contains(&greeted), "{greeted} of 400 were let in");
    let (_, during) = scene.cost()?;
    assert!(during <= before + 256, "{before} descriptors before, {during} now");
    drop(idle);
    let lab = scene.routed.host().lab().clone();
    lab.wait_until("the places have come back", SOON, || {
        scene.routed.routectl(["status"]).and_then(lab::Output::ok).map_err(|error| error.to_string())
    })?;
    assert!(scene.routed.alive()?);
    Ok(())
}

/// A service that forgets to say what a call is about is found here.
#[test]
fn every_call_that_changes_something_says_what() -> Result<()> {
    let scene = Scene::start("objects")?;
    let changes = methods().filter(|(_, effect)| *effect == Effect::Changes).map(|(path, _)| path);
    let changes: Vec<String> = changes.collect();
    scene.run(async |endpoint| {
        let channel = endpoint.connect().await.unwrap();
        for path in &changes {
            let mut client = tonic::client::Grpc::new(channel.clone());
            client.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::<(), ()>::default();
            // An empty request is refused or done; both are in the log.
            let _ = client.unary(Request::new(()), PathAndQuery::try_from(path).unwrap(), codec).await;
        }
    });
    let log = scene.routed.log()?;
    for path in &changes {
        let method = path.trim_start_matches("/routed.v1.");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&format!("{method:?}"))).collect();
        let [line] = &lines[..] else { panic!("one line of {method} is expected: {lines:#?}") };
        assert!(line.contains("api call") && !line.contains("object=\"\""), "{line}");
    }
    Ok(())
}

#[test]
fn absurd_arguments_are_refused_with_a_reason() -> Result<()> {
    let mut scene = Scene::start("absurd")?;
    scene.run(async |endpoint| {
        let channel = endpoint.connect().await.unwrap();
        let huge = "9".repeat(1 << 20);
        for text in ["", "x", "10.0.0.1/8", "10.0.0.0/33", "::1/129", "10.244.1.0/24\0", "1.2.3.4/-1", &huge]
        {
            refused(text, prefixes(&channel, text).await);
        }
        for text in ["", "nobody", "192.0.2.256", "fe80::1%eth0%eth1", &huge] {
            refused(text, addresses(&channel, text).await);
        }
        refused("numbers", numbers(&channel, &huge).await);
        // Longer than a message may be: the transport says so, not the daemon's end.
        let flood = ImportRequest { document: "{".repeat(64 << 20) };
        IpamServiceClient::new(channel.clone()).import(flood).await.unwrap_err();
        let status = NodeServiceClient::new(channel).get_status(GetStatusRequest {}).await;
        assert!(status.is_ok(), "{status:?}");
    });
    assert!(scene.routed.alive()?);
    let longest = scene.routed.log()?.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 4096, "a line of {longest} bytes in the log");
    Ok(())
}

/// Each is an answer about the argument, short, and no fault of the daemon.
fn refused(text: &str, answers: Vec<(&str, Option<Status>)>) {
    let text: String = text.chars().take(40).collect();
    for (call, answer) in answers {
        let status = answer.unwrap_or_else(|| panic!("{call} took {text:?}"));
        // A document that does not check is said to be damaged.
        let fine = matches!(
            status.code(),
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::DataLoss
        );
        assert!(fine, "{call} of {text:?}: {:?} {}", status.code(), status.message().len());
        assert!(
            status.message().len() < 2048,
            "{call} of {text:?} says it in {} bytes",
            status.message().len()
        );
    }
}

async fn prefixes(channel: &Channel, text: &str) -> Vec<(&'static str, Option<Status>)> {
    let prefix = text.to_owned();
    let mut routes = RouteServiceClient::new(channel.clone());
    let mut ipam = IpamServiceClient::new(channel.clone());
    let announce = AnnounceRouteRequest { prefix: prefix.clone(), ..AnnounceRouteRequest::default() };
    let list = ListRoutesRequest { prefix: Some(prefix.clone()), ..ListRoutesRequest::default() };
    let watch = WatchRoutesRequest { prefix: Some(prefix.clone()), ..WatchRoutesRequest::default() };
    let pool = AllocateRequest { pool: Some(prefix.clone()), ..AllocateRequest::default() };
    vec![
        ("announce", routes.announce_route(announce).await.err()),
        ("withdraw", routes.withdraw_route(WithdrawRouteRequest { prefix: prefix.clone() }).await.err()),
        ("list", routes.list_routes(list).await.err()),
        ("watch", routes.watch_routes(watch).await.err()),
        ("pool", ipam.allocate(pool).await.err()),
        ("reserve", ipam.reserve(ReserveRequest { prefix }).await.err()),
    ]
}

async fn addresses(channel: &Channel, text: &str) -> Vec<(&'static str, Option<Status>)> {
    let address = text.to_owned();
    let mut routes = RouteServiceClient::new(channel.clone());
    let mut peers = PeerServiceClient::new(channel.clone());
    let mut ipam = IpamServiceClient::new(channel.clone());
    let target = Some(release_request::Target::Address(address.clone()));
    let allocate = AllocateRequest { address: Some(address.clone()), ..AllocateRequest::default() };
    let trace =
        TraceRequest { source: address.clone(), destination: address.clone(), ..TraceRequest::default() };
    let announce = AnnounceRouteRequest {
        prefix: "10.244.9.0/24".to_owned(),
        next_hop: Some(address.clone()),
        communities: vec![address.clone()],
        ..AnnounceRouteRequest::default()
    };
    vec![
        ("lookup", routes.lookup_route(LookupRouteRequest { address: address.clone() }).await.err()),
        ("next hop", routes.announce_route(announce).await.err()),
        ("peer", peers.get_peer(GetPeerRequest { address: address.clone() }).await.err()),
        ("allocate", ipam.allocate(allocate).await.err()),
        ("release", ipam.release(ReleaseRequest { target }).await.err()),
        ("trace", PolicyServiceClient::new(channel.clone()).trace(trace).await.err()),
    ]
}

async fn numbers(channel: &Channel, huge: &str) -> Vec<(&'static str, Option<Status>)> {
    let mut routes = RouteServiceClient::new(channel.clone());
    let mut ipam = IpamServiceClient::new(channel.clone());
    let mut peers = PeerServiceClient::new(channel.clone());
    let family = ListRoutesRequest { family: 99, ..ListRoutesRequest::default() };
    let view = ListRoutesRequest { view: -7, ..ListRoutesRequest::default() };
    let protocol = WatchRoutesRequest { protocol: i32::MAX, ..WatchRoutesRequest::default() };
    let families = AllocateRequest { families: 99, ..AllocateRequest::default() };
    let handle = AllocateRequest { handle: Some(huge.to_owned()), ..AllocateRequest::default() };
    let labels = [(huge.to_owned(), huge.to_owned())].into();
    let labels = AllocateRequest { handle: Some("l".to_owned()), labels, ..AllocateRequest::default() };
    let refresh = RefreshPeerRequest { address: "192.0.2.99".to_owned(), families: vec![42] };
    let trace = TraceRequest {
        source: "10.244.1.2".to_owned(),
        destination: "10.244.2.2".to_owned(),
        ip_protocol: 999,
        source_port: Some(70_000),
        destination_port: Some(u32::MAX),
    };
    vec![
        ("family", routes.list_routes(family).await.err()),
        ("view", routes.list_routes(view).await.err()),
        ("protocol", routes.watch_routes(protocol).await.err()),
        ("families", ipam.allocate(families).await.err()),
        ("handle", ipam.allocate(handle).await.err()),
        ("labels", ipam.allocate(labels).await.err()),
        ("nothing to release", ipam.release(ReleaseRequest { target: None }).await.err()),
        ("document", ipam.import(ImportRequest { document: huge.to_owned() }).await.err()),
        ("refresh", peers.refresh_peer(refresh).await.err()),
        ("ports", PolicyServiceClient::new(channel.clone()).trace(trace).await.err()),
    ]
}
