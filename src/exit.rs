//! How the program ends: exit codes as in sysexits, and one line on standard error that says why.

use std::fmt::Display;
use std::process::ExitCode;

use sealpost_gateway::keyring::{KeyringError, UseError};
use sealpost_vault::StoreError;
use sealpost_vault::grants::GrantError;

use crate::configuration::ConfigurationError;

/// Why the program ends.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// EX_USAGE: called wrongly, or for something that isn't there.
    pub fn usage(message: impl Display) -> Self {
        Self { code: 64, message: message.to_string() }
    }

    /// EX_DATAERR: a message or file that can't be read as what it should be.
    pub fn data(message: impl Display) -> Self {
        Self { code: 65, message: message.to_string() }
    }

    /// EX_UNAVAILABLE: something that is needed doesn't answer.
    pub fn unavailable(message: impl Display) -> Self {
        Self { code: 69, message: message.to_string() }
    }

    /// EX_OSERR: the operating system refused.
    pub fn system(message: impl Display) -> Self {
        Self { code: 71, message: message.to_string() }
    }

    /// EX_CONFIG: configuration or keys are wrong.
    pub fn configuration(message: impl Display) -> Self {
        Self { code: 78, message: message.to_string() }
    }

    /// Says it and gives the code.
    pub fn report(self) -> ExitCode {
        eprintln!("sealpost: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<ConfigurationError> for Failure {
    fn from(error: ConfigurationError) -> Self {
        Self::configuration(error)
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        match error {
            // Another command has them: it isn't the configuration that is wrong.
            KeyringError::Busy(_) => Self::unavailable(error),
            KeyringError::PrimaryIsOut | KeyringError::OtherPrimary => Self::usage(error),
            _ => Self::configuration(error),
        }
    }
}

impl From<UseError> for Failure {
    fn from(error: UseError) -> Self {
        match error {
            UseError::Older { .. } | UseError::OtherSet => Self::configuration(error),
            UseError::Store(cause) => Self::unavailable(cause),
        }
    }
}

impl From<GrantError> for Failure {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::NoSuchRole(_) | GrantError::NotApart(_) | GrantError::TooMuch { .. } => {
                Self::configuration(error)
            }
            // The gateway mends these, perhaps while we try again.
            GrantError::TooLittle { .. } | GrantError::NotMigrated(_) | GrantError::Store(_) => {
                Self::unavailable(error)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error)
    }
}
