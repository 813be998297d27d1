//! `policy`: network policy.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use api::v1::delete_request::Target;
use api::v1::policy_service_client::PolicyServiceClient;
use api::v1::{
    ApplyRequest, CountersRequest, DeleteRequest, Diagnostic, ListPoliciesRequest, PolicyChange, PolicyRef,
    PolicyText, ShowPolicyRequest, TraceRequest,
};
use clap::{Args, Subcommand};
use tonic::transport::Channel;

use super::{Context, complain_of, read};
use crate::cli::Format;
use crate::cli::value::{self, Service};
use crate::failure::Failure;
use crate::view::policy::{CounterView, PolicyChangeView, PolicyView, TraceView};

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl policy apply -f web.yaml
  cat web.yaml | routectl policy apply -f -
  routectl policy list
  routectl policy show GlobalNetworkPolicy/web-only
  routectl policy trace 10.244.2.7 10.244.1.5 tcp:80
  routectl policy counters
  routectl policy delete NetworkPolicy/shop/web
  routectl policy delete -f web.yaml";

type Client = PolicyServiceClient<Channel>;

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Apply the documents of a file, all or none
    Apply {
        /// YAML or JSON, several documents if need be; `-` is standard input
        #[arg(short, long)]
        file: PathBuf,
        /// Check only, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete a policy, or those that a file names
    Delete(Delete),
    /// The policies, in the order in which they decide
    List {
        /// Only of this namespace
        #[arg(short, long)]
        namespace: Option<String>,
    },
    /// Print a policy as a document
    Show {
        /// KIND/NAME or KIND/NAMESPACE/NAME; kinds may be short: gnp, np
        #[arg(value_name = "KIND/NAME", value_parser = value::policy)]
        policy: PolicyRef,
    },
    /// What would happen to a flow, and why
    Trace(Trace),
    /// What each rule has met so far
    Counters {
        /// Only of this policy
        #[arg(value_name = "KIND/NAME", value_parser = value::policy)]
        policy: Option<PolicyRef>,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Delete {
    /// KIND/NAME or KIND/NAMESPACE/NAME; kinds may be short: gnp, np
    #[arg(value_name = "KIND/NAME", value_parser = value::policy)]
    policy: Option<PolicyRef>,
    /// Delete what this file names; `-` is standard input
    #[arg(short, long)]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// From this address
    source: IpAddr,
    /// To this address
    destination: IpAddr,
    /// tcp:80, udp:53, sctp:36412, icmp, icmpv6 or a protocol number
    #[arg(value_name = "PROTOCOL[:PORT]", value_parser = value::service)]
    service: Service,
    /// From this port
    #[arg(long, value_name = "PORT")]
    source_port: Option<u16>,
}

impl Policy {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Apply { file, dry_run } => apply(file, dry_run, context).await,
            Self::Delete(delete) => delete.run(context).await,
            Self::List { namespace } => list(namespace, context).await,
            Self::Show { policy } => show(policy, context).await,
            Self::Trace(trace) => trace.run(context).await,
            Self::Counters { policy } => counters(policy, context).await,
        }
    }
}

async fn client(context: &Context) -> Result<Client, Failure> {
    Ok(PolicyServiceClient::new(context.connect().await?))
}

fn documents(file: &Path) -> Result<PolicyText, Failure> {
    Ok(PolicyText { text: read(file)?, file_name: file.display().to_string() })
}

async fn apply(file: PathBuf, dry_run: bool, context: &mut Context) -> Result<(), Failure> {
    let documents = Some(documents(&file)?);
    let answer = client(context).await?.apply(ApplyRequest { documents, dry_run }).await?.into_inner();
    report(answer.changes, answer.diagnostics, context)
}

fn report(
    changes: Vec<PolicyChange>,
    diagnostics: Vec<Diagnostic>,
    context: &mut Context,
) -> Result<(), Failure> {
    if complain_of(diagnostics)? {
        return Err(Failure::Faulty("the documents have errors; nothing was changed".into()));
    }
    let views: Vec<PolicyChangeView> = changes.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&views)?)
}

impl Delete {
    async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let target = match (self.policy, self.file) {
            (Some(policy), _) => Some(Target::Policy(policy)),
            (None, Some(file)) => Some(Target::Documents(documents(&file)?)),
            (None, None) => None,
        };
        let answer = client(context).await?.delete(DeleteRequest { target }).await?.into_inner();
        report(answer.changes, answer.diagnostics, context)
    }
}

async fn list(namespace: Option<String>, context: &mut Context) -> Result<(), Failure> {
    let policies =
        client(context).await?.list(ListPoliciesRequest { namespace }).await?.into_inner().policies;
    let views: Vec<PolicyView> = policies.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&views)?)
}

async fn show(policy: PolicyRef, context: &mut Context) -> Result<(), Failure> {
    let request = ShowPolicyRequest { policy: Some(policy) };
    let document = client(context).await?.show(request).await?.into_inner().document;
    if context.printer.format() != Format::Json {
        return Ok(context.printer.text(&document)?);
    }
    let value: serde_json::Value = serde_saphyr::from_str(&document)
        .map_err(|error| Failure::Faulty(format!("the daemon's document is not YAML: {error}")))?;
    Ok(context.printer.line(&value, "")?)
}

impl Trace {
    async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let request = TraceRequest {
            source: self.source.to_string(),
            destination: self.destination.to_string(),
            ip_protocol: self.service.ip_protocol.into(),
            source_port: self.source_port.map(Into::into),
            destination_port: self.service.port.map(Into::into),
        };
        let answer = client(context).await?.trace(request).await?.into_inner();
        let view = TraceView::from(answer);
        Ok(context.printer.object(&view, || view.text())?)
    }
}

async fn counters(policy: Option<PolicyRef>, context: &mut Context) -> Result<(), Failure> {
    let counters = client(context).await?.counters(CountersRequest { policy }).await?.into_inner().counters;
    let views: Vec<CounterView> = counters.into_iter().map(Into::into).collect();
    Ok(context.printer.list(&views)?)
}
