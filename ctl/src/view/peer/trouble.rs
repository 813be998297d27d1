//! What went wrong with a peer: malformed messages and NOTIFICATIONs.

use std::fmt::Write as _;

use api::v1;
use serde::Serialize;

use super::super::time;

#[derive(Debug, Default, Serialize)]
pub(super) struct MalformedView {
    treat_as_withdraw: u64,
    attribute_discard: u64,
    reset: u64,
    family_disable: u64,
    last: Option<MalformedMessageView>,
}

#[derive(Debug, Serialize)]
struct MalformedMessageView {
    what: String,
    attribute: u32,
    octets: String,
    length: u32,
    ago_seconds: u64,
}

/// A family whose routes are ignored.
#[derive(Debug, Serialize)]
pub(super) struct DisabledFamilyView {
    family: String,
    reason: String,
    ago_seconds: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct NotificationView {
    code: u32,
    subcode: u32,
    text: String,
    data: String,
    enclosed: Option<EnclosedView>,
    at: String,
}

/// What a Hard Reset stands for.
#[derive(Debug, Serialize)]
struct EnclosedView {
    code: u32,
    subcode: u32,
    text: String,
    data: String,
}

impl From<v1::Malformed> for MalformedView {
    fn from(malformed: v1::Malformed) -> Self {
        Self {
            treat_as_withdraw: malformed.treat_as_withdraw,
            attribute_discard: malformed.attribute_discard,
            reset: malformed.reset,
            family_disable: malformed.family_disable,
            last: malformed.last.map(|last| MalformedMessageView {
                octets: hex(&last.octets),
                what: last.what,
                attribute: last.attribute,
                length: last.length,
                ago_seconds: last.ago_seconds,
            }),
        }
    }
}

impl From<v1::DisabledFamily> for DisabledFamilyView {
    fn from(lost: v1::DisabledFamily) -> Self {
        Self { family: lost.family().to_string(), reason: lost.reason, ago_seconds: lost.ago_seconds }
    }
}

impl From<v1::Notification> for NotificationView {
    fn from(notification: v1::Notification) -> Self {
        Self {
            code: notification.code,
            subcode: notification.subcode,
            text: notification.text,
            data: hex(&notification.data),
            enclosed: notification.enclosed.map(|inner| EnclosedView {
                code: inner.code,
                subcode: inner.subcode,
                text: inner.text,
                data: hex(&inner.data),
            }),
            at: time::moment(notification.at),
        }
    }
}

impl MalformedView {
    pub(super) fn counts(&self) -> String {
        format!(
            "{} treated as withdraw, {} attribute discarded, {} family disabled, {} session reset",
            self.treat_as_withdraw, self.attribute_discard, self.family_disable, self.reset
        )
    }

    pub(super) fn last(&self) -> Option<String> {
        let MalformedMessageView { what, attribute, octets, length, ago_seconds } = self.last.as_ref()?;
        let about = if *attribute == 0 { String::new() } else { format!(", attribute {attribute}") };
        Some(format!("{what}{about}, {} ago, {length} octets: {octets}", time::age(*ago_seconds)))
    }
}

impl DisabledFamilyView {
    pub(super) fn summary(&self) -> String {
        let Self { family, reason, ago_seconds } = self;
        format!("{family}: {reason}, {} ago; `peers reset` takes its routes again", time::age(*ago_seconds))
    }
}

impl NotificationView {
    pub(super) fn summary(&self) -> String {
        let Self { code, subcode, text, data, at, .. } = self;
        match data.as_str() {
            "" => format!("{code}/{subcode} {text} at {at}"),
            data => format!("{code}/{subcode} {text} (data {data}) at {at}"),
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut hex, octet| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{octet:02x}");
        hex
    })
}
