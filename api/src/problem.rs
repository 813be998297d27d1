//! Refusals that name the object and the next step, on both sides of the wire.
//!
//! The daemon answers `Err(Problem::not_found(...).into())`; a client gets the
//! same [`Problem`] back with `Problem::from(&status)`. On the wire it is a gRPC
//! status whose details carry a `google.rpc.ErrorInfo` (domain `routed`, reason,
//! metadata `object` and `hint`) and, for a bad argument, a
//! `google.rpc.BadRequest`, so that clients in other languages read it too.

use std::collections::HashMap;
use std::fmt;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "routed";

/// Why a request was refused; each kind is one gRPC status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong, whatever the state of the node.
    Invalid,
    /// The object does not exist.
    NotFound,
    /// The object exists, or belongs to somebody else.
    Taken,
    /// Nothing is left to give.
    Exhausted,
    /// Right, but not in the present state.
    Precondition,
    /// Who asks may not do this.
    Denied,
    /// This build or this configuration does not do it.
    Unsupported,
    /// The part of the daemon that would answer is not there at present.
    Unavailable,
    /// Stored data is damaged.
    DataLoss,
    /// It failed, and the request is not to blame.
    Internal,
}

impl Kind {
    const ALL: [(Self, Code, &'static str); 10] = [
        (Self::Invalid, Code::InvalidArgument, "INVALID"),
        (Self::NotFound, Code::NotFound, "NOT_FOUND"),
        (Self::Taken, Code::AlreadyExists, "TAKEN"),
        (Self::Exhausted, Code::ResourceExhausted, "EXHAUSTED"),
        (Self::Precondition, Code::FailedPrecondition, "PRECONDITION"),
        (Self::Denied, Code::PermissionDenied, "DENIED"),
        (Self::Unsupported, Code::Unimplemented, "UNSUPPORTED"),
        (Self::Unavailable, Code::Unavailable, "UNAVAILABLE"),
        (Self::DataLoss, Code::DataLoss, "DATA_LOSS"),
        (Self::Internal, Code::Internal, "INTERNAL"),
    ];

    /// The gRPC status code.
    pub fn code(self) -> Code {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or(Code::Internal, |(_, code, _)| *code)
    }

    /// The kind of a status code; what routed never sends is [`Kind::Internal`].
    pub fn of(code: Code) -> Self {
        Self::ALL.iter().find(|(_, other, _)| *other == code).map_or(Self::Internal, |(kind, ..)| *kind)
    }

    fn reason(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("INTERNAL", |(.., reason)| reason)
    }
}

/// A refusal: what is wrong, with what, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// Which kind of refusal.
    pub kind: Kind,
    /// What is wrong, in one clause without the object's name.
    pub what: String,
    /// What it is about: "peer 192.0.2.7", "prefix"; empty when it is about no object.
    pub object: String,
    /// What to do next; empty when there is nothing to do.
    pub hint: String,
}

impl Problem {
    /// A refusal without a hint.
    pub fn new(kind: Kind, object: impl Into<String>, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), object: object.into(), hint: String::new() }
    }

    /// The request is wrong; `field` is the field of the request.
    pub fn invalid(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, field, what)
    }

    /// The object does not exist.
    pub fn not_found(object: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, object, "does not exist")
    }

    /// Right, but not in the present state.
    pub fn precondition(object: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Kind::Precondition, object, what)
    }

    /// It failed, and the request is not to blame.
    pub fn internal(object: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, object, what)
    }

    /// The same refusal with a next step.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

/// `object: what; hint`, without the parts that are empty.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.object.is_empty() {
            write!(f, "{}: ", self.object)?;
        }
        f.write_str(&self.what)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// What of a text is left when it is too long for an answer: callers may send
/// a megabyte, and transports refuse answers that give it back to them.
const HEAD: usize = 200;
/// The end, where the reason stands.
const TAIL: usize = 400;

/// The text, without its middle where it is too long.
fn shortened(text: String) -> String {
    let count = text.chars().count();
    if count <= HEAD + TAIL {
        return text;
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: String = text.chars().skip(count - TAIL).collect();
    format!("{head} … {tail}")
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let problem = Problem {
            kind: problem.kind,
            what: shortened(problem.what),
            object: shortened(problem.object),
            hint: shortened(problem.hint),
        };
        let metadata =
            HashMap::from([("object".into(), problem.object.clone()), ("hint".into(), problem.hint.clone())]);
        let mut details = ErrorDetails::with_error_info(problem.kind.reason(), DOMAIN, metadata);
        if problem.kind == Kind::Invalid {
            details.add_bad_request_violation(problem.object, problem.what.clone());
        }
        Self::with_error_details(problem.kind.code(), problem.what, details)
    }
}

/// Any status makes a problem; one that is not routed's own has no object and
/// no hint.
impl From<&Status> for Problem {
    fn from(status: &Status) -> Self {
        let problem = Self::new(Kind::of(status.code()), "", status.message());
        match status.get_details_error_info() {
            Some(info) if info.domain == DOMAIN => {
                let field = |name: &str| info.metadata.get(name).cloned().unwrap_or_default();
                Self { object: field("object"), hint: field("hint"), ..problem }
            }
            _ => problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_crosses_the_wire_with_object_and_hint() {
        for (kind, code, _) in Kind::ALL {
            let problem = Problem::new(kind, "peer 192.0.2.7", "is no peer").hint("see `routectl peers`");
            let status = Status::from(problem.clone());
            assert_eq!(status.code(), code);
            assert_eq!(Problem::from(&status), problem);
        }
    }

    #[test]
    fn a_bad_argument_names_its_field_as_google_rpc_does() {
        let status = Status::from(Problem::invalid("prefix", "host bits are set"));
        let violations = status.get_details_bad_request().expect("a BadRequest").field_violations;
        assert_eq!(violations.len(), 1);
        assert_eq!((&*violations[0].field, &*violations[0].description), ("prefix", "host bits are set"));
    }

    #[test]
    fn what_a_caller_sent_at_length_does_not_come_back_at_length() {
        let problem = Problem::invalid("x".repeat(1 << 20), format!("{} is no number", "é".repeat(1 << 20)));
        let status = Status::from(problem);
        assert!(status.message().chars().count() < 700 && status.details().len() < 8 << 10);
        assert!(status.message().ends_with(" is no number"));
    }

    #[test]
    fn a_status_of_somebody_else_keeps_its_words() {
        let problem = Problem::from(&Status::unimplemented("unknown method"));
        assert_eq!(problem, Problem::new(Kind::Unsupported, "", "unknown method"));
        assert_eq!(Problem::from(&Status::cancelled("gone")).kind, Kind::Internal);
    }

    #[test]
    fn display_leaves_out_what_is_empty() {
        assert_eq!(Problem::new(Kind::Internal, "", "failed").to_string(), "failed");
        let problem = Problem::not_found("peer 192.0.2.7").hint("see `routectl peers`");
        assert_eq!(problem.to_string(), "peer 192.0.2.7: does not exist; see `routectl peers`");
    }
}
