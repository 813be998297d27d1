//! The policy task: model and facts in, one nftables transaction out.
//!
//! ```text
//!  serve ──PolicyCommand──┐
//!  table ──Owned (watch)──┼─► compile ─► diff(installed) ─► nft ─► PolicyState (watch) ─► status
//!  reload ──Settings──────┘
//! ```
//! The model is kept in the state directory before the kernel gets it, so a
//! restart comes up with what was in force. What the kernel refuses is taken
//! back, and the old ruleset stays.

use std::sync::Arc;
use std::time::Duration;

use api::Problem;
use api::v1;
use kernel::nft::{Listing, Nft, NftError};
use policy::{
    Change, Counter, DefaultAction, Diagnostic, Evaluation, Facts, Flow, Guard, Model, Nat, Policy, PolicyId,
    Ruleset, Transaction, compile, compile_guard, diff, evaluate,
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use super::listener::Known;
use super::{COMMANDS, Owned};
use crate::config::{self, Config};
use crate::state::{StateDir, StateError};

/// The file of the model in the state directory.
const FILE: &str = "policy.json";
/// How often the table is looked at, so that one that somebody flushed is put back.
const LOOK: Duration = Duration::from_secs(10);
/// How long to wait before what nft refused is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What others ask of the policy task.
#[derive(Debug)]
pub(crate) enum PolicyCommand {
    /// Put policies in force, or only say what would change.
    Apply(Vec<Policy>, bool, oneshot::Sender<Result<Vec<(PolicyId, Change)>, Problem>>),
    /// Take policies out of force, all or none.
    Delete(Vec<PolicyId>, oneshot::Sender<Result<Vec<(PolicyId, Change)>, Problem>>),
    /// The model and the facts as they are.
    Look(oneshot::Sender<(Arc<Model>, Arc<Facts>)>),
    /// Judge a flow.
    Trace(Flow, oneshot::Sender<Evaluation>),
    /// What the rules in the kernel have counted.
    Counters(oneshot::Sender<Result<Vec<Counter>, Problem>>),
    /// Other settings after a reload.
    Settings(Box<Settings>),
}

/// The part of the configuration that policy depends on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    enabled: bool,
    default_action: DefaultAction,
    nat: Option<Nat>,
    /// Whom the kernel lets connect to the port of BGP.
    guard: Option<Guard>,
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Self {
        let cluster = &config.cluster;
        let nat = || Nat { pools: cluster.pools.clone(), exempt: cluster.nat_exempt.clone() };
        Self {
            enabled: config.policy.enabled,
            default_action: match config.policy.default_endpoint_action {
                config::DefaultAction::Allow => DefaultAction::Allow,
                config::DefaultAction::Deny => DefaultAction::Deny,
            },
            nat: cluster.nat_outgoing.then(nat),
            guard: config.bgp.as_ref().filter(|bgp| bgp.guard).map(|bgp| Known::of(bgp).guard(bgp)),
        }
    }
}

/// How policy fares, for the status of the node.
#[derive(Clone, Debug, Default)]
pub(crate) struct PolicyState {
    /// Policies in force.
    pub(crate) policies: usize,
    /// SYNs of strangers that the guard has dropped, as of the last look.
    pub(crate) strangers: u64,
    /// What is wrong, if something is.
    pub(crate) alarm: Option<v1::Alarm>,
}

/// A handle on the policy task.
#[derive(Clone, Debug)]
pub(crate) struct PolicyHandle {
    commands: mpsc::Sender<PolicyCommand>,
    state: watch::Receiver<PolicyState>,
}

impl PolicyHandle {
    /// Sends a command; `None` when the daemon stops.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> PolicyCommand,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Other settings after a reload.
    pub(crate) async fn set(&self, settings: Settings) {
        // A task that is gone has nothing left to set.
        let _ = self.commands.send(PolicyCommand::Settings(Box::new(settings))).await;
    }

    /// Comes back when the task is gone.
    pub(crate) async fn ended(&self) {
        self.commands.closed().await;
    }

    /// How policy fares.
    pub(crate) fn state(&self) -> PolicyState {
        self.state.borrow().clone()
    }
}

struct Task {
    state_dir: Arc<StateDir>,
    nft: Result<Nft, NftError>,
    settings: Settings,
    owned: watch::Receiver<Owned>,
    model: Arc<Model>,
    /// What the kernel has, as far as we know.
    installed: Option<Ruleset>,
    /// What the guard had counted when its rules were last made anew.
    strangers: u64,
    state: watch::Sender<PolicyState>,
}

/// Starts the task; what was in force before is in the kernel when this returns.
pub(crate) async fn start(
    state_dir: Arc<StateDir>,
    settings: Settings,
    owned: watch::Receiver<Owned>,
) -> Result<PolicyHandle, StateError> {
    let model = load(&state_dir)?;
    let (state, state_reader) = watch::channel(PolicyState::default());
    let (sender, commands) = mpsc::channel(COMMANDS);
    let nft = Nft::find();
    let model = Arc::new(model);
    let mut task = Task { state_dir, nft, settings, owned, model, installed: None, strangers: 0, state };
    task.settle().await;
    tokio::spawn(task.run(commands));
    Ok(PolicyHandle { commands: sender, state: state_reader })
}

fn load(state_dir: &StateDir) -> Result<Model, StateError> {
    let Some(stored) = state_dir.load::<serde_json::Value>(FILE)? else { return Ok(Model::default()) };
    Model::from_json(&stored.to_string())
        .map_err(|error| StateError::Damaged { path: state_dir.path(FILE), reason: error.to_string() })
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<PolicyCommand>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        look.reset();
        loop {
            let failed = self.state.borrow().alarm.is_some();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                changed = self.owned.changed() => match changed {
                    Ok(()) => self.settle().await,
                    Err(_) => return,
                },
                _ = look.tick() => self.look().await,
                () = tokio::time::sleep(RETRY), if failed => self.settle().await,
            }
        }
    }

    async fn command(&mut self, command: PolicyCommand) {
        // Whoever asked may have gone; then nobody misses the answer.
        match command {
            PolicyCommand::Apply(policies, dry_run, reply) => {
                let mut model = Model::clone(&self.model);
                let changes = model.apply(policies);
                let result = if dry_run { Ok(()) } else { self.adopt(model).await };
                let _ = reply.send(result.map(|()| changes));
            }
            PolicyCommand::Delete(ids, reply) => {
                let result = self.delete(&ids).await;
                let _ = reply.send(result);
            }
            PolicyCommand::Look(reply) => {
                let _ = reply.send((Arc::clone(&self.model), Arc::new(self.facts())));
            }
            PolicyCommand::Trace(flow, reply) => {
                let _ = reply.send(evaluate(&self.model, &self.facts(), &flow));
            }
            PolicyCommand::Counters(reply) => {
                let counters = self.counters().await;
                let _ = reply.send(counters);
            }
            PolicyCommand::Settings(settings) => {
                self.settings = *settings;
                self.settle().await;
            }
        }
    }

    async fn delete(&mut self, ids: &[PolicyId]) -> Result<Vec<(PolicyId, Change)>, Problem> {
        if let Some(absent) = ids.iter().find(|id| self.model.get(id).is_none()) {
            return Err(Problem::not_found(format!("policy {absent}"))
                .hint("`routectl policy list` shows what there is"));
        }
        let mut model = Model::clone(&self.model);
        let changes = model.delete(ids);
        self.adopt(model).await?;
        Ok(changes)
    }

    /// Makes a model the one in force: checked by the kernel, on disk, then in
    /// the kernel. Whatever fails, the old one stays.
    async fn adopt(&mut self, model: Model) -> Result<(), Problem> {
        let ruleset = self.ruleset(&model);
        self.install(ruleset).await.map_err(|error| refused(&error))?;
        let stored: serde_json::Value = serde_json::from_str(&model.to_json())
            .map_err(|error| Problem::internal("policy", error.to_string()))?;
        if let Err(error) = self.state_dir.save(FILE, &stored) {
            // The disk did not take it: a restart would not know it, so it must not be in force.
            self.settle().await;
            return Err(Problem::internal("policy", error.to_string()).hint("nothing was changed"));
        }
        info!(revision = model.revision(), policies = model.list().count(), "policy in force");
        self.model = Arc::new(model);
        self.publish(None);
        Ok(())
    }

    /// Brings the kernel to what model, facts and settings say.
    async fn settle(&mut self) {
        let ruleset = self.ruleset(&self.model);
        let failed = self.install(ruleset).await.err();
        let alarm = failed.map(|error| if self.settings.enabled { alarm(&error) } else { unguarded(&error) });
        // Told once, not at every retry; `routectl status` shows it as long as it lasts.
        let known = self.state.borrow().alarm == alarm;
        if let Some(alarm) = alarm.as_ref().filter(|_| !known) {
            error!("{}", alarm.text);
        }
        self.publish(alarm);
    }

    /// What is to be in the kernel: a node without policy has its guard all
    /// the same.
    fn ruleset(&self, model: &Model) -> Ruleset {
        match &self.settings.guard {
            _ if self.settings.enabled => compile(model, &self.facts()),
            Some(guard) => compile_guard(guard),
            None => Ruleset::default(),
        }
    }

    async fn install(&mut self, wanted: Ruleset) -> Result<(), Failure> {
        if self.nft.is_err() {
            // It may have been installed meanwhile.
            self.nft = Nft::find();
        }
        let nft = match &self.nft {
            Ok(nft) => nft,
            // Without nft no table can have been made.
            Err(NftError::NotInstalled) if wanted.is_empty() => return Ok(()),
            Err(error) => return Err(Failure(error.to_string())),
        };
        if wanted.is_empty() {
            nft.delete_table().await?;
            self.installed = None;
            return Ok(());
        }
        let transaction = diff(self.installed.as_ref(), &wanted);
        if let Some(json) = transaction.json() {
            nft.apply(&json).await?;
            if matches!(transaction, Transaction::Replace(_)) {
                self.strangers = self.state.borrow().strangers;
            }
            self.installed = Some(wanted);
        }
        Ok(())
    }

    /// Puts back a table that somebody else has deleted or emptied, and reads
    /// what the guard has counted.
    async fn look(&mut self) {
        let (Ok(nft), Some(installed)) = (&self.nft, &self.installed) else { return };
        let gone = match nft.list_table().await {
            Ok(Listing::Table(listed)) => {
                let strangers = self.strangers + installed.strangers(&listed);
                self.state.send_modify(|state| state.strangers = strangers.max(state.strangers));
                !installed.is_in(&listed)
            }
            Ok(Listing::NoTable) => true,
            Err(error) => {
                warn!(%error, "cannot look at table inet routed");
                return;
            }
        };
        if gone {
            warn!("somebody changed table inet routed; putting it back");
            self.installed = None;
            self.settle().await;
        }
    }

    fn facts(&self) -> Facts {
        let owned = self.owned.borrow();
        Facts {
            blocks: owned.blocks.clone(),
            node: owned.addresses.clone(),
            endpoints: Vec::new(),
            default_action: self.settings.default_action,
            nat: self.settings.nat.clone(),
            guard: self.settings.guard.clone(),
        }
    }

    async fn counters(&self) -> Result<Vec<Counter>, Problem> {
        let (Ok(nft), Some(installed)) = (&self.nft, &self.installed) else { return Ok(vec![]) };
        match nft.list_table().await {
            Ok(Listing::Table(listed)) => Ok(installed.counters(&listed)),
            Ok(Listing::NoTable) => Ok(vec![]),
            Err(error) => Err(refused(&error.into())),
        }
    }

    fn publish(&self, alarm: Option<v1::Alarm>) {
        let policies = self.model.list().count();
        self.state.send_modify(|state| (state.policies, state.alarm) = (policies, alarm));
    }
}

/// Why the kernel does not have the rules; the words of nft or about it.
#[derive(Debug)]
struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<NftError> for Failure {
    fn from(error: NftError) -> Self {
        Self(error.to_string())
    }
}

fn refused(error: &Failure) -> Problem {
    Problem::internal("policy", error.to_string())
        .hint("nothing was changed; the policies from before are in force")
}

fn alarm(error: &Failure) -> v1::Alarm {
    v1::Alarm {
        id: "policy-not-installed".to_owned(),
        severity: v1::Severity::Error as i32,
        text: format!("policy is not in the kernel as it should be: {error}"),
        hint: "routed tries again; `nft list table inet routed` shows what there is".to_owned(),
    }
}

/// What is wrong where there is a guard and no policy.
fn unguarded(error: &Failure) -> v1::Alarm {
    v1::Alarm {
        id: "bgp-guard-not-installed".to_owned(),
        severity: v1::Severity::Warning as i32,
        text: format!("the kernel lets strangers connect to the port of BGP: {error}"),
        hint:
            "their connections are closed as they are accepted; routed tries again, and `guard = false` in \
               [bgp] says that it need not"
                .to_owned(),
    }
}

/// A diagnostic of a policy document in the words of the API.
pub(crate) fn diagnostic(found: &Diagnostic) -> v1::Diagnostic {
    let number = |value: usize| u32::try_from(value).ok();
    let object = match found.field.as_str() {
        "" => found.document.clone(),
        field => format!("{}: {field}", found.document),
    };
    v1::Diagnostic {
        severity: v1::Severity::Error as i32,
        file: found.file.clone(),
        line: number(found.line),
        column: number(found.column),
        object,
        text: found.message.clone(),
        hint: String::new(),
    }
}
