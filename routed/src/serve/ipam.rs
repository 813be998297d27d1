//! `IpamService`: addresses and blocks.

use std::time::{SystemTime, UNIX_EPOCH};

use api::problem::Kind;
use api::v1::ipam_service_server::IpamService;
use api::v1::{self, release_request};
use api::{Problem, v1::Outcome};
use ipam::{AllocateRequest, Allocation, BlockState, BlockView, Families, Finding, Ipam, Severity, Why};
use net::Prefix;
use tonic::{Request, Response, Status};

use super::audit;
use super::convert;
use crate::tasks::Handles;

pub(super) struct Addresses {
    pub(super) handles: Handles,
}

impl Addresses {
    /// Runs a call that waits for the disk where waiting blocks nobody.
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(Ipam) -> Result<T, Why> + Send + 'static,
    ) -> Result<T, Status> {
        let store = self.handles.addresses.clone();
        let result = tokio::task::spawn_blocking(move || call(store)).await;
        result.map_err(|_| convert::stopping())?.map_err(|why| refusal(&why))
    }
}

#[tonic::async_trait]
impl IpamService for Addresses {
    async fn list_pools(
        &self,
        _: Request<v1::ListPoolsRequest>,
    ) -> Result<Response<v1::ListPoolsResponse>, Status> {
        let snapshot = self.handles.addresses.snapshot();
        let pools = snapshot.pools.iter().map(|pool| pool_of(*pool, &snapshot.blocks)).collect();
        Ok(Response::new(v1::ListPoolsResponse { pools }))
    }

    async fn list_blocks(
        &self,
        request: Request<v1::ListBlocksRequest>,
    ) -> Result<Response<v1::ListBlocksResponse>, Status> {
        let pool = optional_prefix("pool", request.get_ref().pool.as_deref())?;
        let blocks = self.handles.addresses.snapshot().blocks;
        let wanted = blocks.into_iter().filter(|block| pool.is_none() || block.pool == pool);
        Ok(Response::new(v1::ListBlocksResponse { blocks: wanted.map(block).collect() }))
    }

    async fn list_addresses(
        &self,
        request: Request<v1::ListAddressesRequest>,
    ) -> Result<Response<v1::ListAddressesResponse>, Status> {
        let v1::ListAddressesRequest { pool, handle } = request.into_inner();
        let pool = optional_prefix("pool", pool.as_deref())?;
        let wanted = |found: &Allocation| {
            pool.is_none_or(|pool| found.pool == pool) && (handle.is_none() || found.handle == handle)
        };
        let found = self.handles.addresses.snapshot().allocations;
        let addresses = found.into_iter().filter(wanted).map(address).collect();
        Ok(Response::new(v1::ListAddressesResponse { addresses }))
    }

    async fn allocate(
        &self,
        request: Request<v1::AllocateRequest>,
    ) -> Result<Response<v1::AllocateResponse>, Status> {
        audit::note(&request);
        let v1::AllocateRequest { address: wanted, handle, pool, families, labels } = request.into_inner();
        let request = AllocateRequest {
            address: wanted.map(|text| convert::address("address", &text)).transpose()?,
            handle,
            pool: optional_prefix("pool", pool.as_deref())?,
            families: families_of(families)?,
            labels: labels.into_iter().collect(),
            now: now(),
        };
        let allocated = self.call(move |store| store.allocate(request)).await?;
        Ok(Response::new(v1::AllocateResponse { addresses: allocated.into_iter().map(address).collect() }))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        audit::note(&request);
        let released = match request.into_inner().target {
            Some(release_request::Target::Address(text)) => {
                let wanted = convert::address("address", &text)?;
                self.call(move |store| store.release_address(wanted)).await?
            }
            Some(release_request::Target::Handle(handle)) => {
                self.call(move |store| store.release_handle(&handle)).await?
            }
            None => return Err(Problem::invalid("target", "name an address or a handle").into()),
        };
        Ok(Response::new(v1::ReleaseResponse { released: released.into_iter().map(address).collect() }))
    }

    async fn reserve(
        &self,
        request: Request<v1::ReserveRequest>,
    ) -> Result<Response<v1::ReserveResponse>, Status> {
        audit::note(&request);
        let prefix = convert::prefix("prefix", &request.get_ref().prefix)?;
        let known = self.handles.addresses.snapshot().reserved.contains(&prefix);
        self.call(move |store| store.reserve(prefix)).await?;
        let outcome = if known { Outcome::Unchanged } else { Outcome::Created };
        Ok(Response::new(v1::ReserveResponse { outcome: outcome as i32 }))
    }

    async fn check(&self, _: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        let findings = self.call(|store| store.check()).await?;
        Ok(Response::new(v1::CheckResponse { findings: findings.iter().map(finding).collect() }))
    }

    async fn export(&self, _: Request<v1::ExportRequest>) -> Result<Response<v1::ExportResponse>, Status> {
        let document = self.handles.addresses.export();
        Ok(Response::new(v1::ExportResponse { document }))
    }

    async fn import(
        &self,
        request: Request<v1::ImportRequest>,
    ) -> Result<Response<v1::ImportResponse>, Status> {
        audit::note(&request);
        let document = request.into_inner().document;
        let before = self.handles.addresses.snapshot().allocations.len();
        let created = self.call(move |store| store.import(&document)).await?.len();
        Ok(Response::new(v1::ImportResponse { created: created as u64, unchanged: before as u64 }))
    }
}

fn optional_prefix(field: &str, text: Option<&str>) -> Result<Option<Prefix>, Status> {
    text.map(|text| convert::prefix(field, text)).transpose()
}

fn families_of(number: i32) -> Result<Families, Status> {
    match v1::Families::try_from(number) {
        Ok(v1::Families::Unspecified | v1::Families::Ipv4) => Ok(Families::V4),
        Ok(v1::Families::Ipv6) => Ok(Families::V6),
        Ok(v1::Families::Both) => Ok(Families::Both),
        Err(_) => Err(Problem::invalid("families", format!("there is no choice {number}")).into()),
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn refusal(why: &Why) -> Status {
    let kind = match why {
        Why::Exhausted { .. } | Why::NoBlock { .. } => Kind::Exhausted,
        Why::Allocated { .. }
        | Why::HandleHolds { .. }
        | Why::RangeInUse { .. }
        | Why::ImportConflict { .. } => Kind::Taken,
        Why::NotAllocated { .. } | Why::UnknownHandle { .. } | Why::NotReserved { .. } => Kind::NotFound,
        Why::Store { .. } => Kind::Internal,
        Why::Closed => Kind::Unavailable,
        Why::Import(_) => Kind::DataLoss,
        _ => Kind::Invalid,
    };
    Problem::new(kind, "", why.to_string()).into()
}

fn pool_of(pool: Prefix, blocks: &[BlockView]) -> v1::Pool {
    let inside = || blocks.iter().filter(|block| block.pool == Some(pool));
    v1::Pool {
        prefix: pool.to_string(),
        block_length: None,
        blocks: inside().count() as u64,
        addresses_total: inside().map(|block| block.addresses_total).fold(0, u64::saturating_add),
        addresses_used: inside().map(|block| block.addresses_used).sum(),
    }
}

fn block(block: BlockView) -> v1::Block {
    let state = match block.state {
        BlockState::Active => v1::BlockState::Owned,
        BlockState::Retired => v1::BlockState::Draining,
    };
    v1::Block {
        prefix: block.prefix.to_string(),
        pool: block.pool.map(|pool| pool.to_string()),
        node: block.node,
        state: state as i32,
        addresses_total: block.addresses_total,
        addresses_used: Some(block.addresses_used),
    }
}

fn address(found: Allocation) -> v1::Address {
    v1::Address {
        address: found.address.to_string(),
        pool: Some(found.pool.to_string()),
        block: found.block.to_string(),
        handle: found.handle,
        labels: found.labels.into_iter().collect(),
        allocated_at: i64::try_from(found.allocated_at).unwrap_or(i64::MAX),
    }
}

fn finding(found: &Finding) -> v1::Finding {
    let severity = match found.severity() {
        Severity::Notice => v1::Severity::Notice,
        Severity::Warning => v1::Severity::Warning,
        Severity::Error => v1::Severity::Error,
    };
    v1::Finding {
        id: String::new(),
        severity: severity as i32,
        finding: found.to_string(),
        evidence: String::new(),
        cure: found.cure(),
        fixable: false,
    }
}
