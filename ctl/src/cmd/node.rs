//! `status` and `reload`.

use api::v1::node_service_client::NodeServiceClient;
use api::v1::{GetStatusRequest, ReloadRequest};

use super::{Context, complain_of};
use crate::failure::Failure;
use crate::view::node::{ReloadView, StatusView};

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
