//! `status`, `reload`, `drain` and `undrain`.

use api::v1::node_service_client::NodeServiceClient;
use api::v1::{DrainRequest, GetStatusRequest, ReloadRequest, UndrainRequest};

use super::{Context, complain_of};
use crate::failure::Failure;
use crate::view::node::{DrainView, ReloadView, StatusView};

pub(crate) const DRAIN_EXAMPLES: &str = "\
Sessions, kernel routes and policy stay, and a restart keeps the node drained.

Examples:
  routectl drain
  routectl status
  routectl drain -o json | jq .told";

pub(crate) const UNDRAIN_EXAMPLES: &str = "\
Examples:
  routectl undrain
  routectl routes --advertised --peer 192.0.2.2";

/// `status`.
pub(crate) async fn status(context: &mut Context) -> Result<(), Failure> {
    let mut node = NodeServiceClient::new(context.connect().await?);
    let status = node.get_status(GetStatusRequest {}).await?.into_inner();
    Ok(context.printer.sheet(&StatusView::from(status))?)
}

/// `reload`; a configuration with errors is printed with its errors.
pub(crate) async fn reload(context: &mut Context) -> Result<(), Failure> {
    let mut node = NodeServiceClient::new(context.connect().await?);
    let answer = node.reload(ReloadRequest {}).await?.into_inner();
    let view = ReloadView {
        applied: answer.applied,
        changes: answer.changes,
        diagnostics: answer.diagnostics.iter().cloned().map(Into::into).collect(),
    };
    complain_of(answer.diagnostics)?;
    context.printer.object(&view, || view.text())?;
    context.printer.flush()?;
    if view.applied {
        Ok(())
    } else {
        Err(Failure::Faulty("the configuration has errors; the daemon keeps the one it had".into()))
    }
}

/// `drain`.
pub(crate) async fn drain(context: &mut Context) -> Result<(), Failure> {
    let mut node = NodeServiceClient::new(context.connect().await?);
    let answer = node.drain(DrainRequest {}).await?.into_inner();
    let view = DrainView { draining: true, outcome: answer.outcome().to_string(), told: answer.told };
    Ok(context.printer.line(&view, &view)?)
}

/// `undrain`.
pub(crate) async fn undrain(context: &mut Context) -> Result<(), Failure> {
    let mut node = NodeServiceClient::new(context.connect().await?);
    let answer = node.undrain(UndrainRequest {}).await?.into_inner();
    let view = DrainView { draining: false, outcome: answer.outcome().to_string(), told: answer.told };
    Ok(context.printer.line(&view, &view)?)
}
