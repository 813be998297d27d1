//! Who changed what over the API: a log line for each call that changes something.
//!
//! *In*: every call, before its service. *Out*: the call untouched, and when it
//! has been answered an event `api call` with the method, the caller and the
//! outcome. What was changed in detail is logged where it is done.

use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::codegen::{Service, http};
use tonic::transport::server::{TcpConnectInfo, UdsConnectInfo};
use tower::Layer;
use tracing::info;

/// The beginnings of the methods that change nothing.
const READS: [&str; 10] =
    ["List", "Get", "Show", "Trace", "Counters", "Check", "Export", "Watch", "Lookup", "Dump"];
/// The package whose calls are looked at; health and reflection only read.
const PACKAGE: &str = "/routed.v1.";

/// Puts [`Audit`] in front of the services.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuditLayer;

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Audit<S> {
        Audit(inner)
    }
}

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Audit<S>(S);

impl<S, B, R> Service<http::Request<B>> for Audit<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let change = change(request.uri().path()).map(|method| (method.to_owned(), caller(&request)));
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if let Some((method, caller)) = change {
                info!(method, caller, outcome = outcome(&answer), "api call");
            }
            Ok(answer)
        })
    }
}

/// `PeerService/AddPeer` of a call that changes something.
fn change(path: &str) -> Option<&str> {
    let call = path.strip_prefix(PACKAGE)?;
    let (_, method) = call.split_once('/')?;
    (!READS.iter().any(|read| method.starts_with(read))).then_some(call)
}

/// The process at the other end of the socket, or the address.
fn caller<B>(request: &http::Request<B>) -> String {
    let unix = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    let tcp = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    match (unix, tcp) {
        (Some(peer), _) => {
            let pid = peer.pid().map_or("unknown".to_owned(), |pid| pid.to_string());
            format!("uid {} pid {pid}", peer.uid())
        }
        (None, Some(address)) => address.to_string(),
        (None, None) => "unknown".to_owned(),
    }
}

/// `done`, or `refused` with the number of the status: a refusal has it in the
/// head of the answer, for there is nothing else to say.
fn outcome<R>(answer: &http::Response<R>) -> String {
    match answer.headers().get("grpc-status").and_then(|status| status.to_str().ok()) {
        None | Some("0") => "done".to_owned(),
        Some(status) => format!("refused with status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_change_something_are_told_apart_from_those_that_read() {
        for (path, change) in [
            ("/routed.v1.PeerService/AddPeer", Some("PeerService/AddPeer")),
            ("/routed.v1.PolicyService/Apply", Some("PolicyService/Apply")),
            ("/routed.v1.NodeService/Drain", Some("NodeService/Drain")),
            ("/routed.v1.IpamService/Import", Some("IpamService/Import")),
            ("/routed.v1.PeerService/GetPeer", None),
            ("/routed.v1.MonitorService/DumpTable", None),
            ("/routed.v1.RouteService/WatchRoutes", None),
            ("/grpc.health.v1.Health/Check", None),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", None),
        ] {
            assert_eq!(super::change(path), change, "{path}");
        }
    }

    /// Every method of the API is on one side, so that a new one is thought of.
    #[test]
    fn what_reads_is_what_begins_so() {
        use prost::Message as _;
        let set = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap();
        let services = set.file.iter().flat_map(|file| &file.service);
        let methods = services.flat_map(|service| {
            service.method.iter().map(move |method| format!("{PACKAGE}{}/{}", service.name(), method.name()))
        });
        let changes: Vec<String> = methods.filter(|path| super::change(path).is_some()).collect();
        let of = |service: &str| changes.iter().filter(|path| path.contains(service)).count();
        let counts = ["Peer", "Route", "Ipam", "Policy", "Node", "Rip", "Bfd", "Monitor"]
            .map(|name| of(&format!(".{name}Service/")));
        assert_eq!(counts, [6, 2, 4, 2, 3, 0, 0, 0], "{changes:#?}");
    }
}
