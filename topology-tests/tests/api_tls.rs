//! The API over TLS, from another host: who gets in, who may change
//! something, what happens when certificates change, and what the log says.

#![allow(clippy::unwrap_used, reason = "a test fails there, and says where")]

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use lab::{Error, Host, Lab, Output, Result, cluster::base_config, peer::Routed, peer::find_binary};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

const LIMIT: Duration = Duration::from_secs(20);
const PORT: u16 = 7179;

/// An authority and a directory for what it signs.
struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(lab: &Lab, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let authority = Self { dir: lab.dir().to_owned(), issuer: Issuer::new(params, key) };
        authority.write(&format!("{name}.pem"), &certificate)?;
        Ok(authority)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(Error::file(&path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(Error::file(&path))
    }

    /// Writes NAME.pem and NAME.key; the certificate is for these alternative names.
    fn sign(&self, name: &str, alternatives: &[&str]) -> Result<()> {
        self.sign_until(name, alternatives, 2099)
    }

    fn sign_until(&self, name: &str, alternatives: &[&str], year: i32) -> Result<()> {
        let alternatives: Vec<String> = alternatives.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(alternatives).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }
}

/// A daemon on n1 that is asked from n2.
struct Scene {
    routed: Routed,
    server: Host,
    client: Host,
    ca: Authority,
    lab: Lab,
}

impl Scene {
    /// Alice may change something, Bob may look.
    fn start(name: &str) -> Result<Self> {
        let lab = Lab::new(name)?;
        let (server, client) = (lab.host("n1")?, lab.host("n2")?);
        let ca = Authority::new(&lab, "ca")?;
        ca.sign("n1", &[&server.ipv4().to_string(), "n1"])?;
        ca.sign("alice", &[])?;
        ca.sign("bob", &["bob.example.org"])?;
        let routed = Routed::start(&server, &config(&lab, &server, "\"alice\""))?;
        Ok(Self { routed, server, client, ca, lab })
    }

    /// `routectl` on n2 with NAME's certificate, trusting `ca`.
    fn ask_trusting(&self, name: Option<&str>, ca: &str, words: &[&str]) -> Result<Output> {
        let file = |name: String| self.lab.dir().join(name).display().to_string();
        let mut argv = vec![
            find_binary("routectl")?.display().to_string(),
            format!("--socket=https://{}:{PORT}", self.server.ipv4()),
            format!("--ca={}", file(format!("{ca}.pem"))),
        ];
        if let Some(name) = name {
            argv.push(format!("--cert={}", file(format!("{name}.pem"))));
            argv.push(format!("--key={}", file(format!("{name}.key"))));
        }
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        self.client.netns().exec(argv)
    }

    fn ask(&self, name: &str, words: &[&str]) -> Result<Output> {
        self.ask_trusting(Some(name), "ca", words)
    }

    fn audit(&self) -> Result<Vec<String>> {
        Ok(self.routed.log()?.lines().filter(|line| line.contains("api call")).map(str::to_owned).collect())
    }

    fn await_log(&self, text: &str) -> Result<()> {
        self.lab.wait_until(&format!("the log says {text:?}"), LIMIT, || {
            let log = self.routed.log().map_err(|error| error.to_string())?;
            if log.contains(text) { Ok(()) } else { Err(log) }
        })
    }
}

fn config(lab: &Lab, server: &Host, operators: &str) -> String {
    let dir = lab.dir().display();
    base_config(server, 64512)
        + &format!(
            "\n[api]\nlisten = \"0.0.0.0:{PORT}\"\ntls = {{ cert = \"{dir}/n1.pem\", key = \"{dir}/n1.key\", \
             client_ca = \"{dir}/ca.pem\", operators = [{operators}] }}\n"
        )
}

#[track_caller]
fn refused(output: &Output, status: i32, words: &str) {
    assert_eq!(output.status, status, "{output:?}");
    assert!(output.stderr.contains(words), "{words:?} is expected: {}", output.stderr);
    assert_eq!(output.stdout, "");
}

#[test]
fn an_operator_changes_a_viewer_looks_and_the_log_has_it() -> Result<()> {
    let scene = Scene::start("tlsroles")?;
    scene.ask("alice", &["routes", "announce", "10.244.9.0/24"])?.ok()?;
    let routes = scene.ask("bob", &["-o", "json", "routes", "10.244.9.0/24"])?.json()?;
    assert_eq!(routes[0]["prefix"], "10.244.9.0/24");
    let denied = scene.ask("bob", &["routes", "withdraw", "10.244.9.0/24"])?;
    refused(&denied, 1, "certificate bob: may look, and change nothing; to let it, add \"bob\"");
    scene.routed.routectl(["routes", "withdraw", "10.244.9.0/24"])?.ok()?;

    let lines = scene.audit()?;
    let [announced, denied, withdrawn] = &lines[..] else { panic!("{lines:#?}") };
    let from = format!(" from {}:", scene.client.ipv4());
    for (line, words) in [
        (
            announced,
            ["certificate alice", &from, "RouteService/AnnounceRoute", "prefix 10.244.9.0/24", "\"done\""],
        ),
        (denied, ["certificate bob", &from, "RouteService/WithdrawRoute", "object=\"\"", "\"denied\""]),
        (withdrawn, ["uid 0 pid ", "", "RouteService/WithdrawRoute", "prefix 10.244.9.0/24", "\"done\""]),
    ] {
        for word in words {
            assert!(line.contains(word), "{word:?} is expected: {line}");
        }
    }

    // Another name of the same certificate counts after a reload.
    scene.routed.write_config(&config(&scene.lab, &scene.server, "\"bob.example.org\""))?;
    scene.routed.routectl(["reload"])?.ok()?;
    scene.ask("bob", &["routes", "announce", "10.244.9.0/24"])?.ok()?;
    refused(&scene.ask("alice", &["drain"])?, 1, "certificate alice: may look");
    Ok(())
}

#[test]
fn who_cannot_prove_who_they_are_is_told_why_and_what_to_do() -> Result<()> {
    let scene = Scene::start("tlswho")?;
    let other = Authority::new(&scene.lab, "other")?;
    other.sign("mallory", &[])?;
    scene.ca.sign_until("carol", &[], 2021)?;
    for (name, words) in [
        (None, "the daemon asks for a certificate; name yours with --cert and --key"),
        (Some("mallory"), "the daemon does not know the authority that signed your certificate"),
        (Some("carol"), "your certificate (--cert) has expired"),
    ] {
        // However the end of the connection comes, it is never taken for something else.
        for _ in 0..5 {
            refused(&scene.ask_trusting(name, "ca", &["status"])?, 3, words);
        }
    }
    let trusting = scene.ask_trusting(Some("alice"), "other", &["status"])?;
    refused(&trusting, 3, "the daemon's certificate is not signed by the authority in --ca");
    let plain = format!("--socket=http://{}:{PORT}", scene.server.ipv4());
    let routectl = find_binary("routectl")?.display().to_string();
    let plain = scene.client.netns().exec([routectl, plain, "status".to_owned()])?;
    refused(&plain, 3, "does it want https://");
    scene.await_log("api: connection refused")?;
    scene.ask("alice", &["status"])?.ok()?;
    Ok(())
}

#[test]
fn a_certificate_of_the_daemon_that_does_not_do_is_named() -> Result<()> {
    let scene = Scene::start("tlsdaemon")?;
    let reload = || scene.routed.routectl(["reload"]).and_then(Output::ok);
    scene.ca.sign("n1", &["n1", "192.0.2.77"])?;
    reload()?;
    let words = format!("the daemon's certificate is not for {} but for", scene.server.ipv4());
    refused(&scene.ask("alice", &["status"])?, 3, &words);
    scene.ca.sign_until("n1", &[&scene.server.ipv4().to_string()], 2021)?;
    let output = reload()?;
    assert!(output.stderr.contains("past its end"), "{output:?}");
    refused(&scene.ask("alice", &["status"])?, 3, "the daemon's certificate has expired");
    let alarms = scene.routed.routectl_json(["status"])?["alarms"].to_string();
    assert!(alarms.contains("n1.pem, ended at 2021-01-01"), "{alarms}");
    Ok(())
}

#[test]
fn files_that_have_changed_are_taken_by_the_next_connection() -> Result<()> {
    let scene = Scene::start("tlsrenew")?;
    let renewed = Authority::new(&scene.lab, "renewed")?;
    renewed.sign("n1", &[&scene.server.ipv4().to_string()])?;
    scene.ask_trusting(Some("alice"), "renewed", &["status"])?.ok()?;
    scene.await_log("api: changed certificates taken")?;
    scene.ca.write("n1.pem", "half a certificate")?;
    scene.ask_trusting(Some("alice"), "renewed", &["status"])?.ok()?;
    scene.await_log("api: changed certificates not taken; the old ones stay")?;
    Ok(())
}

#[test]
fn certificates_change_without_a_restart_and_a_bad_one_changes_nothing() -> Result<()> {
    let scene = Scene::start("tlsrotate")?;
    scene.ask("alice", &["status"])?.ok()?;

    // The whole authority changes; with SIGHUP the old clients are out and the new ones in.
    let renewed = Authority::new(&scene.lab, "renewed")?;
    renewed.sign("n1", &[&scene.server.ipv4().to_string()])?;
    renewed.sign("dave", &[])?;
    let config = config(&scene.lab, &scene.server, "\"dave\"").replace("/ca.pem", "/renewed.pem");
    scene.routed.write_config(&config)?;
    scene.routed.sighup()?;
    scene.await_log("api.tls: certificates, keys or operators changed")?;
    scene.ask_trusting(Some("dave"), "renewed", &["drain"])?.ok()?;
    let old = scene.ask_trusting(Some("alice"), "renewed", &["status"])?;
    refused(&old, 3, "the daemon does not know the authority");

    scene.ca.write("n1.key", "half a key")?;
    scene.routed.sighup()?;
    scene.await_log("there is no key in it")?;
    scene.ask_trusting(Some("dave"), "renewed", &["undrain"])?.ok()?;
    assert!(scene.audit()?.iter().any(|line| line.contains("certificate dave")));
    Ok(())
}

/// The commands of docs/api.md make what its configuration and its call need.
#[test]
fn certificates_made_as_the_documentation_says_do() -> Result<()> {
    let lab = Lab::new("tlsdocs")?;
    let (server, client) = (lab.host("n1")?, lab.host("n2")?);
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
    let docs = fs::read_to_string(docs).map_err(Error::file(docs))?;
    let commands = docs.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(commands.lines().count(), 5, "{commands}");
    let commands = commands.replace("192.0.2.1", &server.ipv4().to_string());
    let script = format!("cd {} && set -e\n{commands}", lab.dir().display());
    client.netns().exec(["sh", "-c", &script])?.ok()?;
    let routed = Routed::start(&server, &config(&lab, &server, "\"alice\""))?;
    let ca = Authority::new(&lab, "unused")?;
    let scene = Scene { routed, server, client, ca, lab };
    scene.ask("alice", &["drain"])?.ok()?;
    Ok(())
}

#[test]
fn thousands_who_say_nothing_keep_nobody_out_and_cost_little() -> Result<()> {
    let mut scene = Scene::start("tlsflood")?;
    let pid = scene.routed.pid().unwrap();
    let cost = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let memory: u64 = memory.split_whitespace().next().unwrap().parse().unwrap();
        (memory, fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
    };
    let before = cost();
    let address = SocketAddr::from((scene.server.ipv4(), PORT));
    let flood = scene
        .client
        .netns()
        .run(move || (0..900).map(|_| TcpStream::connect(address).unwrap()).collect::<Vec<_>>())?;
    scene.ask("alice", &["routes", "announce", "10.244.9.0/24"])?.ok()?;
    let during = cost();
    assert!(during.1 < before.1 + 160, "{} descriptors before, {} in the flood", before.1, during.1);
    assert!(during.0 < before.0 + (16 << 10), "{} KiB before, {} in the flood", before.0, during.0);

    // Each is hung up on in the end, without having said a word.
    for mut stream in flood {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        assert!(!matches!(stream.read(&mut [0; 16]), Ok(1..)), "an answer to nothing");
    }
    assert!(scene.routed.alive()?);
    scene.ask("bob", &["status"])?.ok()?;
    scene.await_log("more handshakes at once than there is room for")?;
    Ok(())
}
