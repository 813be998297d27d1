//! A stand-in for the daemon: fixed answers over a real Unix socket.
//!
//! It proves what `routectl` prints and how it exits, nothing about the daemon.

mod answers;
mod fixtures;

use std::path::PathBuf;
use std::process::Output;
use std::thread::JoinHandle;

use api::v1::bfd_service_server::BfdServiceServer;
use api::v1::ipam_service_server::IpamServiceServer;
use api::v1::monitor_service_server::MonitorServiceServer;
use api::v1::node_service_server::NodeServiceServer;
use api::v1::peer_service_server::PeerServiceServer;
use api::v1::policy_service_server::PolicyServiceServer;
use api::v1::rip_service_server::RipServiceServer;
use api::v1::route_service_server::RouteServiceServer;
use assert_cmd::Command;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

/// The stand-in; it ends when it is dropped.
pub(crate) struct Fake {
    dir: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Listens on a socket of its own.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket =
            std::os::unix::net::UnixListener::bind(dir.path().join("routed.sock")).expect("a socket");
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || serve(socket, stopped));
        Self { dir, stop: Some(stop), thread: Some(thread) }
    }

    /// Where a file beside the socket is, or would be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file beside the socket.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Runs `routectl` with these arguments, separated by spaces.
    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.run_with(arguments, "")
    }

    /// The same with something on standard input.
    pub(crate) fn run_with(&self, arguments: &str, stdin: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_routectl"))
            .env("ROUTED_SOCKET", self.dir.path().join("routed.sock"))
            .current_dir(self.dir.path())
            .args(arguments.split_whitespace())
            .write_stdin(stdin)
            .output()
            .expect("routectl runs")
    }

    /// Standard output of a command that succeeds and has nothing to complain of.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{arguments}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Exit code and standard error of a command that does not.
    #[track_caller]
    pub(crate) fn failed(&self, arguments: &str) -> (i32, String) {
        let output = self.run(arguments);
        let code = output.status.code().expect("an exit code");
        assert_ne!(code, 0, "{arguments}: {}", String::from_utf8_lossy(&output.stdout));
        (code, String::from_utf8(output.stderr).expect("UTF-8"))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the stand-in ends well");
        }
    }
}

fn serve(socket: std::os::unix::net::UnixListener, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        socket.set_nonblocking(true).expect("non-blocking");
        let socket = tokio::net::UnixListener::from_std(socket).expect("a listener");
        let stop = async { drop(stopped.await) };
        Server::builder()
            .add_service(NodeServiceServer::new(answers::Fixed))
            .add_service(PeerServiceServer::new(answers::Fixed))
            .add_service(RouteServiceServer::new(answers::Fixed))
            .add_service(BfdServiceServer::new(answers::Fixed))
            .add_service(MonitorServiceServer::new(answers::Fixed))
            .add_service(RipServiceServer::new(answers::Fixed))
            .add_service(IpamServiceServer::new(answers::Fixed))
            .add_service(PolicyServiceServer::new(answers::Fixed))
            .serve_with_incoming_shutdown(UnixListenerStream::new(socket), stop)
            .await
            .expect("it serves");
    });
}
