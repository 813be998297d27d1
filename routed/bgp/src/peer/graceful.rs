//! Which routes outlive their session (RFC 4724 §4.2, RFC 8538 §4).

use std::time::Duration;

use super::config::{HoldExpiry, RestartConfig};
use super::event::{Admin, Graceful, Why};
use crate::conn::{Up, notify};
use crate::wire::Notification;

/// What may be kept when the session `up` ends for this reason; `None`: nothing.
pub(super) fn outlives(up: &Up, why: &Why) -> Option<Graceful> {
    let restart = up.graceful_restart.as_ref()?;
    let spared = match why {
        // RFC 4724 §4.2: the connection failed, or a new one took its place (§5).
        Why::Closed(_) | Why::Replaced => true,
        // RFC 8538 §4: with the N bit of both sides a NOTIFICATION is like a
        // failure, unless it is Hard Reset.
        Why::Sent(notification) | Why::Received(notification) => {
            up.graceful_notification && !notify::is_hard_reset(notification)
        }
        Why::Stopped(Admin::Reset(_) | Admin::ConfigChange) => up.graceful_notification,
        Why::Refused(_) | Why::Stopped(_) | Why::SendHoldExpired | Why::NotStarted | Why::DialFailed(_) => {
            false
        }
    };
    let (families, long_lived) = (up.restartable(), up.long_lived.clone());
    let restart_time = Duration::from_secs(restart.restart_time.into());
    (spared && !(families.is_empty() && long_lived.is_empty())).then_some(Graceful {
        restart_time,
        families,
        long_lived,
    })
}

/// What an expired hold timer is told as: where the N bits would keep routes
/// that are not to be kept, as Hard Reset (RFC 8538 §3).
pub(super) fn hold_expired(up: Option<&Up>, restart: Option<&RestartConfig>) -> Notification {
    let expired = notify::hold_timer_expired();
    let reset = restart.is_some_and(|restart| restart.hold_expiry == HoldExpiry::Reset);
    if reset && up.is_some_and(|up| up.graceful_notification) {
        notify::hard_reset(&expired)
    } else {
        expired
    }
}

/// True when the connection may close without a word so that the peer keeps
/// our routes: both sides speak graceful restart (RFC 4724 §4.1).
pub(super) fn leaves_silently(up: &Up, admin: &Admin) -> bool {
    *admin == Admin::Restart && up.graceful_restart.is_some()
}
