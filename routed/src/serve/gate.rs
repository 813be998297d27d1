//! The gate before every service: who may change something, and a line in the
//! log for each who does.
//!
//! *In*: every call, before its service. *Out*: what only reads, untouched;
//! what changes something, to its service, or back with `PERMISSION_DENIED`. The
//! `.proto` files say which is which ([`api::calls`]).

use std::pin::Pin;
use std::task::{Context, Poll};

use api::calls::{Effect, effect_of};
use tonic::Status;
use tonic::codegen::{Service, http};
use tower::Layer;

use super::audit::{Entry, Object};
use super::caller::Caller;
use super::certificates::Certificates;

/// Puts a [`Gate`] in front of the services.
#[derive(Clone, Debug)]
pub(super) struct GateLayer {
    /// Who may change something over TLS.
    pub(super) certificates: Certificates,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, certificates: self.certificates.clone() }
    }
}

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Gate<S> {
    inner: S,
    certificates: Certificates,
}

impl<S, B, R> Service<http::Request<B>> for Gate<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        if effect_of(request.uri().path()) == Effect::Reads {
            return Box::pin(self.inner.call(request));
        }
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or(Caller::Unknown);
        let object = Object::default();
        let mut entry = Entry::new(&caller, request.uri().path(), object.clone());
        // Asked anew for each call: who has lost the right has lost it at once.
        if let Err(problem) = self.certificates.may_change(&caller) {
            entry.denied();
            return Box::pin(async move { Ok(Status::from(problem).into_http()) });
        }
        request.extensions_mut().insert(object);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            entry.answered(&answer);
            Ok(answer)
        })
    }
}
