//! The wire format of BGP-4.

pub mod message;

pub use message::{
    Capability, Fault, GracefulRestart, Message, Nlri, Notification, Open, Reach, RouteRefresh, Treatment,
    Update,
};
