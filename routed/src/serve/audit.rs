//! The audit log: one line for each call that changes something, by the target
//! `audit`, with who, what and the outcome.
//!
//! The [gate](super::gate) opens an [`Entry`] and the service that is called
//! says by [`note`] or [`Object::say`] what it is about, in words that hold no
//! secrets. The line is written when the entry is dropped, so a call whose
//! caller hangs up is in the log too.

mod named;

use std::sync::{Arc, OnceLock};

use tonic::codegen::http;
use tonic::{Code, Request};
use tracing::info;

use self::named::Named;
use super::caller::Caller;

/// The most of an object that the log has: callers may send a megabyte.
const LONGEST: usize = 200;

/// What a call is about; the service that is called says it.
#[derive(Clone, Debug, Default)]
pub(super) struct Object(Arc<OnceLock<String>>);

impl Object {
    /// Of this call.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// Says what the call is about; what was said first counts.
    pub(super) fn say(&self, words: impl Into<String>) {
        let mut words = words.into();
        if let Some((end, _)) = words.char_indices().nth(LONGEST) {
            words.truncate(end);
            words.push('…');
        }
        // Said before: that is the one.
        let _ = self.0.set(words);
    }
}

/// Says what a call is about that the request alone tells.
pub(super) fn note<T: Named>(request: &Request<T>) {
    Object::of(request).say(request.get_ref().name());
}

/// A line of the log, written when it is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    who: String,
    method: String,
    object: Object,
    outcome: String,
}

impl Entry {
    /// Of a call by its path, as `/routed.v1.PeerService/AddPeer`.
    pub(super) fn new(caller: &Caller, path: &str, object: Object) -> Self {
        let method: String = path.trim_start_matches("/routed.v1.").chars().take(LONGEST).collect();
        Self { who: caller.to_string(), method, object, outcome: "abandoned".to_owned() }
    }

    /// The caller may not do it.
    pub(super) fn denied(&mut self) {
        "denied".clone_into(&mut self.outcome);
    }

    /// The service has answered. A refusal has its status in the head of the
    /// answer, for there is nothing else to say.
    pub(super) fn answered<R>(&mut self, answer: &http::Response<R>) {
        let code = answer.headers().get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()));
        self.outcome = match code {
            None | Some(Code::Ok) => "done".to_owned(),
            Some(code) => format!("refused: {code:?}"),
        };
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let object = self.object.0.get().map_or("", String::as_str);
        info!(target: "audit", who = self.who, method = self.method, object, outcome = self.outcome, "api call");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_is_about_is_said_once_and_is_short() {
        let object = Object::default();
        object.say("é".repeat(1 << 20));
        object.say("something else");
        let said = object.0.get().unwrap();
        assert_eq!(said.chars().count(), LONGEST + 1);
        assert!(said.ends_with('…'));
    }
}
