//! What calls are about, as far as the request alone tells: the object's name,
//! never its contents.

use api::v1;
use api::v1::release_request::Target;

/// A request that names what it changes.
pub(in crate::serve) trait Named {
    /// The name, as `peer 192.0.2.7`.
    fn name(&self) -> String;
}

macro_rules! named {
    ($($request:ident: $noun:literal $field:ident),* $(,)?) => {$(
        impl Named for v1::$request {
            fn name(&self) -> String {
                format!(concat!($noun, " {}"), self.$field)
            }
        }
    )*};
}

named! {
    AddPeerRequest: "peer" address,
    RemovePeerRequest: "peer" address,
    EnablePeerRequest: "peer" address,
    DisablePeerRequest: "peer" address,
    ResetPeerRequest: "peer" address,
    RefreshPeerRequest: "peer" address,
    AnnounceRouteRequest: "prefix" prefix,
    WithdrawRouteRequest: "prefix" prefix,
    ReserveRequest: "prefix" prefix,
}

impl Named for v1::AllocateRequest {
    fn name(&self) -> String {
        let wanted =
            self.address.as_ref().map_or("an address".to_owned(), |address| format!("address {address}"));
        match &self.handle {
            Some(handle) => format!("{wanted} for handle {handle}"),
            None => wanted,
        }
    }
}

impl Named for v1::ReleaseRequest {
    fn name(&self) -> String {
        match &self.target {
            Some(Target::Address(address)) => format!("address {address}"),
            Some(Target::Handle(handle)) => format!("handle {handle}"),
            None => "nothing".to_owned(),
        }
    }
}

impl Named for v1::ImportRequest {
    fn name(&self) -> String {
        format!("a document of {} octets", self.document.len())
    }
}

impl Named for v1::DrainRequest {
    fn name(&self) -> String {
        "this node".to_owned()
    }
}

impl Named for v1::UndrainRequest {
    fn name(&self) -> String {
        "this node".to_owned()
    }
}
