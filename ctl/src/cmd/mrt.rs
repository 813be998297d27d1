//! `mrt`: the table as a file that other tools read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use api::v1::monitor_service_client::MonitorServiceClient;
use api::v1::{DumpTableRequest, DumpTableResponse};
use clap::Subcommand;
use tonic::Streaming;

use super::Context;
use crate::failure::Failure;

pub(crate) const EXAMPLES: &str = "\
Examples:
  routectl mrt dump /var/tmp/table.mrt
  routectl mrt dump - | bgpdump -m -";

#[derive(Debug, Subcommand)]
pub(crate) enum Mrt {
    /// Write every path that import accepted, as MRT (RFC 6396)
    Dump {
        /// The file, replaced when all is written; - is standard output
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Mrt {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self::Dump { file } = self;
        let mut client = MonitorServiceClient::new(context.connect().await?);
        let mut records = client.dump_table(DumpTableRequest {}).await?.into_inner();
        if file.as_os_str() == "-" {
            return copy(&mut records, &mut io::stdout().lock(), Failure::Output).await;
        }
        let mut partial = file.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |path: &Path| {
            let what = path.display().to_string();
            move |error| Failure::file(what.clone(), error)
        };
        let mut out = File::create(&partial).map_err(failed(&partial))?;
        let copied = copy(&mut records, &mut out, failed(&partial)).await;
        if copied.is_err() {
            // What failed is told; a part of a file is of no use.
            let _ = fs::remove_file(&partial);
            return copied;
        }
        fs::rename(&partial, &file).map_err(failed(&file))
    }
}

async fn copy(
    records: &mut Streaming<DumpTableResponse>,
    out: &mut impl Write,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    while let Some(part) = records.message().await? {
        out.write_all(&part.records).map_err(&failed)?;
    }
    out.flush().map_err(&failed)
}
