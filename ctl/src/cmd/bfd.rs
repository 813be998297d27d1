//! `bfd`: the sessions that watch the paths to neighbours.

use api::v1::ListBfdSessionsRequest;
use api::v1::bfd_service_client::BfdServiceClient;

use super::Context;
use crate::failure::Failure;
use crate::view::bfd::BfdSessionView;

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl bfd
  routectl bfd -o wide
  routectl bfd -o json | jq '.[] | select(.state != \"Up\")'";

pub(crate) async fn run(context: &mut Context) -> Result<(), Failure> {
    let mut client = BfdServiceClient::new(context.connect().await?);
    let answer = client.list_sessions(ListBfdSessionsRequest {}).await?.into_inner();
    let sessions: Vec<BfdSessionView> = answer.sessions.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&sessions)?)
}
