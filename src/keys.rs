//! `sealpost keys`: certificates of recipients.

mod certificates;

use std::path::Path;

use clap::{Args, Subcommand};

use crate::exit::Failure;

#[derive(Args)]
pub struct KeysCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    #[command(flatten)]
    Certificates(certificates::Action),
}

impl KeysCommand {
    pub async fn run(&self, config: &Path) -> Result<(), Failure> {
        match &self.action {
            Action::Certificates(action) => action.run(config).await,
        }
    }
}
