//! `MonitorService`: the collectors of BMP, and the table as an MRT file.

use std::time::Instant;

use api::v1::{self, monitor_service_server::MonitorService};
use bytes::BytesMut;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::convert;
use crate::config::bmp::name_of;
use crate::tasks::TableHandle;
use crate::tasks::bmp::{BmpCommand, CollectorReport, Link};
use crate::tasks::table::ask::Ask;
use crate::tasks::table::dump::Dump;

/// Parts of a file that may wait for a reader.
const PARTS: usize = 2;

pub(super) struct MonitorOf {
    pub(super) bmp: mpsc::Sender<BmpCommand>,
    pub(super) table: TableHandle,
}

#[tonic::async_trait]
impl MonitorService for MonitorOf {
    type DumpTableStream = ReceiverStream<Result<v1::DumpTableResponse, Status>>;

    async fn list_collectors(
        &self,
        _: Request<v1::ListCollectorsRequest>,
    ) -> Result<Response<v1::ListCollectorsResponse>, Status> {
        let (reply, answer) = oneshot::channel();
        self.bmp.send(BmpCommand::Report(reply)).await.map_err(|_| convert::stopping())?;
        let reports = answer.await.map_err(|_| convert::stopping())?;
        let collectors = reports.into_iter().map(collector).collect();
        Ok(Response::new(v1::ListCollectorsResponse { collectors }))
    }

    async fn dump_table(
        &self,
        _: Request<v1::DumpTableRequest>,
    ) -> Result<Response<Self::DumpTableStream>, Status> {
        let table = self.table.clone();
        let (parts, receiver) = mpsc::channel(PARTS);
        tokio::spawn(async move {
            let mut dump = Box::<Dump>::default();
            loop {
                let Some((next, records)) = table.ask(|reply| Ask::Dump(dump, reply)).await else {
                    // A reader that is gone needs no answer.
                    let _ = parts.send(Err(convert::stopping())).await;
                    return;
                };
                dump = next;
                let records = BytesMut::freeze(records).into();
                let sent = parts.send(Ok(v1::DumpTableResponse { records })).await;
                if sent.is_err() || dump.is_over() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

fn collector(report: CollectorReport) -> v1::BmpCollector {
    let CollectorReport { address, monitor, status } = report;
    let (uptime_seconds, last_error) = match status.link {
        Link::Up(since) => (Some(Instant::now().saturating_duration_since(since).as_secs()), None),
        Link::Down(why) => (None, why),
    };
    v1::BmpCollector {
        address: address.to_string(),
        monitor: monitor.into_iter().map(|rib| name_of(rib).to_owned()).collect(),
        connected: uptime_seconds.is_some(),
        uptime_seconds,
        last_error,
        messages: status.messages,
        octets: status.octets,
        connects: status.connects,
    }
}
