//! `bmp`: the collectors that are shown sessions and routes.

use api::v1::ListCollectorsRequest;
use api::v1::monitor_service_client::MonitorServiceClient;

use super::Context;
use crate::failure::Failure;
use crate::view::bmp::CollectorView;

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl bmp
  routectl bmp -o json | jq '.[] | select(.connected | not)'";

pub(crate) async fn run(context: &mut Context) -> Result<(), Failure> {
    let mut client = MonitorServiceClient::new(context.connect().await?);
    let answer = client.list_collectors(ListCollectorsRequest {}).await?.into_inner();
    let collectors: Vec<CollectorView> = answer.collectors.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&collectors)?)
}
