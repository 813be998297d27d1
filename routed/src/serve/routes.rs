//! `RouteService`: the table, page by page, and as it changes.

use std::pin::Pin;

use api::Problem;
use api::v1;
use api::v1::route_service_server::RouteService;
use futures_util::{Stream, StreamExt};
use net::Family;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{audit, convert, request};
use crate::tasks::TableHandle;
use crate::tasks::table::ask::{Ask, RoutesQuery};
use crate::tasks::table::watchers::{WATCH_EVENTS, Watch};

/// Pages that may wait for a reader.
const PAGES: usize = 2;

type Streaming<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) struct RoutesOf {
    pub(super) table: TableHandle,
    pub(super) stop: CancellationToken,
}

#[tonic::async_trait]
impl RouteService for RoutesOf {
    type ListRoutesStream = Streaming<v1::RoutePage>;
    type WatchRoutesStream = Streaming<v1::RouteEvent>;

    async fn list_routes(
        &self,
        request: Request<v1::ListRoutesRequest>,
    ) -> Result<Response<Self::ListRoutesStream>, Status> {
        let mut query = query(request.get_ref())?;
        let table = self.table.clone();
        let (pages, receiver) = mpsc::channel(PAGES);
        tokio::spawn(async move {
            loop {
                let asked = query.clone();
                let Some(page) = table.ask(|reply| Ask::Routes(asked, reply)).await else {
                    // A reader that is gone needs no answer.
                    let _ = pages.send(Err(convert::stopping())).await;
                    return;
                };
                query.after = page.next;
                let sent = pages.send(Ok(v1::RoutePage { routes: page.routes })).await;
                if sent.is_err() || query.after.is_none() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn watch_routes(
        &self,
        request: Request<v1::WatchRoutesRequest>,
    ) -> Result<Response<Self::WatchRoutesStream>, Status> {
        let request = request.into_inner();
        let (events, receiver) = mpsc::channel(WATCH_EVENTS);
        let watch = Watch {
            prefix: request.prefix.map(|text| convert::prefix("prefix", &text)).transpose()?,
            longer: request.longer,
            family: family(request.family)?,
            protocol: convert::wanted_protocol(request.protocol)?,
            events,
        };
        if !self.table.watch(watch).await {
            return Err(convert::stopping());
        }
        let single = ReceiverStream::new(receiver).map(tokio_stream::iter).flatten().map(Ok);
        Ok(Response::new(Box::pin(single.take_until(self.stop.clone().cancelled_owned()))))
    }

    async fn lookup_route(
        &self,
        request: Request<v1::LookupRouteRequest>,
    ) -> Result<Response<v1::Route>, Status> {
        let address = convert::address("address", &request.get_ref().address)?;
        let found =
            self.table.ask(|reply| Ask::Lookup(address, reply)).await.ok_or_else(convert::stopping)?;
        found.map(Response::new).ok_or_else(|| {
            Problem::new(api::problem::Kind::NotFound, address.to_string(), "no route of routed covers it")
                .hint(format!("`ip route get {address}` shows what the kernel does with it"))
                .into()
        })
    }

    async fn announce_route(
        &self,
        request: Request<v1::AnnounceRouteRequest>,
    ) -> Result<Response<v1::AnnounceRouteResponse>, Status> {
        audit::note(&request);
        let (prefix, attrs) = request::announced(request.get_ref())?;
        let outcome = self.table.ask(|reply| Ask::Announce(prefix, Box::new(attrs), reply)).await;
        let outcome = outcome.ok_or_else(convert::stopping)?;
        Ok(Response::new(v1::AnnounceRouteResponse { outcome: outcome as i32 }))
    }

    async fn withdraw_route(
        &self,
        request: Request<v1::WithdrawRouteRequest>,
    ) -> Result<Response<v1::WithdrawRouteResponse>, Status> {
        audit::note(&request);
        let prefix = convert::prefix("prefix", &request.get_ref().prefix)?;
        let known =
            self.table.ask(|reply| Ask::Withdraw(prefix, reply)).await.ok_or_else(convert::stopping)?;
        if known {
            return Ok(Response::new(v1::WithdrawRouteResponse {}));
        }
        Err(Problem::new(api::problem::Kind::NotFound, prefix.to_string(), "was not announced over the API")
            .hint("what the configuration advertises is withdrawn there")
            .into())
    }
}

fn query(request: &v1::ListRoutesRequest) -> Result<RoutesQuery, Status> {
    let view = v1::RouteView::try_from(request.view)
        .map_err(|_| Status::from(Problem::invalid("view", format!("there is no view {}", request.view))))?;
    let peer = request.peer.as_deref().map(|text| convert::peer("peer", text)).transpose()?;
    if peer.is_none() && matches!(view, v1::RouteView::Received | v1::RouteView::Advertised) {
        return Err(Problem::invalid("peer", "this view is of one peer")
            .hint("name it with --peer ADDR")
            .into());
    }
    Ok(RoutesQuery {
        view,
        prefix: request.prefix.as_deref().map(|text| convert::prefix("prefix", text)).transpose()?,
        longer: request.longer,
        family: family(request.family)?,
        protocol: convert::wanted_protocol(request.protocol)?,
        peer,
        after: None,
    })
}

fn family(number: i32) -> Result<Option<Family>, Status> {
    if number == v1::Family::Unspecified as i32 {
        return Ok(None);
    }
    convert::families(&[number]).map(|families| families.first().copied())
}
