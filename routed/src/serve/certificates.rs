//! What the API goes by over TLS: certificates, and who is an operator.
//!
//! *In*: the configuration, at start and at each reload; the files themselves,
//! when they have changed since. *Out*: what the [door](super::door) greets
//! with, whom the [gate](super::gate) lets through, and an alarm when the
//! daemon's certificate is near its end.

use std::sync::Arc;

use api::v1;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::sync::watch;
use tracing::{info, warn};

use super::caller::Caller;
use crate::config::{Ending, Tls};

/// Shared by the doors, the gate and the status of the node.
#[derive(Clone, Debug)]
pub(super) struct Certificates(Arc<watch::Sender<Option<Tls>>>);

impl Certificates {
    pub(super) fn new(tls: Option<Tls>) -> Self {
        Self(Arc::new(watch::Sender::new(tls)))
    }

    /// Connections from now on are greeted with these certificates, and calls
    /// from now on go by these operators.
    pub(super) fn set(&self, tls: Option<Tls>) {
        self.0.send_replace(tls);
    }

    /// Whether there is TLS.
    pub(super) fn are_there(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Whether calls that change something are for this caller.
    pub(super) fn may_change(&self, caller: &Caller) -> Result<(), api::Problem> {
        caller.may_change(self.0.borrow().as_ref().and_then(|tls| tls.operators.as_deref()))
    }

    /// What a new connection is greeted with: that of the files as they are
    /// now, or, where these do not do, of the last ones that did. `None` without TLS.
    pub(super) async fn server(&self) -> Option<Arc<ServerConfig>> {
        let this = self.clone();
        // An error is that of a runtime that ends.
        tokio::task::spawn_blocking(move || this.renewed()).await.ok().flatten()
    }

    fn renewed(&self) -> Option<Arc<ServerConfig>> {
        let tls = self.0.borrow().clone()?;
        let Some((renewed, fault)) = tls.renewed() else { return Some(tls.credentials.server) };
        let taken = self.0.send_if_modified(|now| match now {
            // Neither a reload nor another connection was faster.
            Some(now) if now.credentials.is_as_old_as(&tls.credentials) => {
                now.credentials = renewed.clone();
                true
            }
            _ => false,
        });
        match fault {
            Some(fault) if taken => warn!(%fault, "api: changed certificates not taken; the old ones stay"),
            None if taken => info!("api: changed certificates taken"),
            _ => {}
        }
        self.0.borrow().as_ref().map(|tls| Arc::clone(&tls.credentials.server))
    }

    /// The end of the daemon's certificate is near, or past.
    pub(super) fn alarm(&self) -> Option<v1::Alarm> {
        let now = Timestamp::now();
        let tls = self.0.borrow();
        let tls = tls.as_ref()?;
        let (severity, text) = match tls.credentials.life?.ending(now)? {
            Ending::Near(end) => (v1::Severity::Warning, format!("ends at {end}")),
            Ending::Past(end) => (v1::Severity::Error, format!("ended at {end}, and clients refuse it")),
        };
        Some(v1::Alarm {
            id: "api-certificate".to_owned(),
            severity: severity as i32,
            text: format!("the certificate of the API, {}, {text}", tls.cert.display()),
            hint: "put a new one and its key into the files of `tls` in section [api]".to_owned(),
        })
    }
}
