//! The gRPC API: one file a service, each a thin layer over the tasks.
//!
//! *In*: requests over the Unix socket, and over TCP where the configuration
//! says so, off loopback with TLS. Each comes through a [`door`], which knows
//! who is there, and the [`gate`], which knows what they may do. *Out*: answers of the tasks, in the words of
//! `api::v1`. No state lives here.

mod audit;
mod bfd;
mod caller;
mod certificates;
mod connection;
mod convert;
mod door;
mod gate;
mod ipam;
mod monitor;
mod node;
mod peers;
mod policy;
pub mod request;
mod rip;
mod routes;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as ProbeStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::v1::bfd_service_server::BfdServiceServer;
use api::v1::ipam_service_server::IpamServiceServer;
use api::v1::monitor_service_server::MonitorServiceServer;
use api::v1::node_service_server::NodeServiceServer;
use api::v1::peer_service_server::PeerServiceServer;
use api::v1::policy_service_server::PolicyServiceServer;
use api::v1::rip_service_server::RipServiceServer;
use api::v1::route_service_server::RouteServiceServer;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::{info, warn};

use self::certificates::Certificates;
use self::door::Listener;
use self::gate::GateLayer;
pub(crate) use self::node::NodeInfo;
pub(crate) use self::peers::unknown_peer;
use crate::config::{self, Tls};
use crate::tasks::Handles;

/// How long open calls may take to end when the daemon stops.
const GOODBYE: Duration = Duration::from_secs(2);
/// How often it is seen whether a quiet TCP client is still there, and how soon it answers.
const PROBE: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls that one TCP client may wait for at once; more wait in line.
const CALLS: usize = 64;

/// An API address that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another daemon answers on the socket.
    #[error("api.socket {}: another daemon answers there; stop it, or choose another socket with --socket", .0.display())]
    Taken(PathBuf),
    /// Something else has the name.
    #[error("api.socket {}: there is something that is no socket; name another path", .0.display())]
    NoSocket(PathBuf),
    /// The socket cannot be made.
    #[error("api.socket {}: {error}; routed must be able to write in its directory", path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// The TCP address cannot be served.
    #[error("api.listen {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        error: io::Error,
    },
}

/// The open sockets of the API; on drop the Unix socket goes from its directory.
pub(crate) struct Bound {
    unix: UnixListener,
    tcp: Option<TcpListener>,
    tls: Option<Tls>,
    socket: SocketFile,
}

/// The name of our Unix socket, which goes with us.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            warn!(socket = %self.0.display(), %error, "api socket not removed");
        }
    }
}

/// Opens the sockets. Who connects waits until [`start`].
pub(crate) async fn bind(config: &config::Api) -> Result<Bound, ServeError> {
    let unix = bind_unix(&config.socket)?;
    let socket = SocketFile(config.socket.clone());
    let tcp = match config.listen {
        Some(address) => {
            Some(TcpListener::bind(address).await.map_err(|error| ServeError::Listen { address, error })?)
        }
        None => None,
    };
    Ok(Bound { unix, tcp, tls: config.tls.clone(), socket })
}

/// The running servers.
pub(crate) struct Servers {
    tasks: Vec<JoinHandle<()>>,
    certificates: Certificates,
    _socket: SocketFile,
}

/// Starts to serve; `stop` ends open streams and then the servers.
pub(crate) async fn start(
    bound: Bound,
    info: NodeInfo,
    handles: Handles,
    stop: CancellationToken,
) -> Servers {
    let Bound { unix, tcp, tls, socket } = bound;
    let certificates = Certificates::new(tls);
    let routes = routes_of(info, handles, &certificates, &stop).await;
    let serve = |server: Server, listener: Listener| {
        let incoming = ReceiverStream::new(door::open(listener, stop.clone()));
        let server =
            server.layer(GateLayer { certificates: certificates.clone() }).add_routes(routes.clone());
        let ended = server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        tokio::spawn(async move {
            if let Err(error) = ended.await {
                warn!(%error, "api server");
            }
        })
    };
    let mut tasks = vec![serve(Server::builder(), Listener::Unix(unix))];
    info!(socket = %socket.0.display(), "api");
    if let Some(listener) = tcp {
        let encrypted = certificates.are_there();
        if let Ok(address) = listener.local_addr() {
            info!(%address, tls = encrypted, "api");
        }
        let listener =
            if encrypted { Listener::Tls(listener, certificates.clone()) } else { Listener::Tcp(listener) };
        // A host that has vanished frees its place.
        let server = Server::builder()
            .http2_keepalive_interval(Some(PROBE))
            .http2_keepalive_timeout(Some(PROBE_TIMEOUT))
            .concurrency_limit_per_connection(CALLS);
        tasks.push(serve(server, listener));
    }
    Servers { tasks, certificates, _socket: socket }
}

impl Servers {
    /// Connections from now on are greeted with these certificates, and calls
    /// from now on go by these operators.
    pub(crate) fn configure(&self, tls: Option<Tls>) {
        self.certificates.set(tls);
    }

    /// Waits for the servers to end after they were told to, but not long,
    /// and removes the socket.
    pub(crate) async fn finish(self) {
        let all = async {
            for task in self.tasks {
                if let Err(error) = task.await {
                    warn!(%error, "api server ended badly");
                }
            }
        };
        if tokio::time::timeout(GOODBYE, all).await.is_err() {
            warn!("api calls were still open after {} s", GOODBYE.as_secs());
        }
    }
}

async fn routes_of(
    info: NodeInfo,
    handles: Handles,
    certificates: &Certificates,
    stop: &CancellationToken,
) -> Routes {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<NodeServiceServer<node::Node>>().await;
    let local_asn = info.asn;
    let mut routes = Routes::new(NodeServiceServer::new(node::Node {
        info,
        handles: handles.clone(),
        certificates: certificates.clone(),
    }))
    .add_service(PeerServiceServer::new(peers::Peers { handles: handles.clone(), local_asn }))
    .add_service(RouteServiceServer::new(routes::RoutesOf {
        table: handles.table.clone(),
        stop: stop.clone(),
    }))
    .add_service(RipServiceServer::new(rip::RipOf { handles: handles.clone() }))
    .add_service(BfdServiceServer::new(bfd::BfdOf { bfd: handles.bfd.clone() }))
    .add_service(MonitorServiceServer::new(monitor::MonitorOf {
        bmp: handles.bmp.clone(),
        table: handles.table.clone(),
    }))
    .add_service(IpamServiceServer::new(ipam::Addresses { handles: handles.clone() }))
    .add_service(PolicyServiceServer::new(policy::Policies { policy: handles.policy }))
    .add_service(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(api::FILE_DESCRIPTOR_SET);
    match reflection.build_v1() {
        Ok(reflection) => routes = routes.add_service(reflection),
        Err(error) => warn!(%error, "no reflection"),
    }
    routes
}

/// Binds under another name, sets the mode, renames: nobody ever meets a
/// socket with the wrong mode. A socket that nobody answers on is left over.
fn bind_unix(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |error| ServeError::Socket { path: path.to_owned(), error };
    if ProbeStream::connect(path).is_ok() {
        return Err(ServeError::Taken(path.to_owned()));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(ServeError::NoSocket(path.to_owned())),
        _ => {}
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary).map_err(failed)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    Ok(listener)
}
