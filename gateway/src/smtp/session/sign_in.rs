//! AUTH: by a name and a password of the users' file, a client is inside wherever it is.
//!
//! Security: inside TLS only. A failure says nothing of its cause, comes later each time, and the session ends after a few.
//!
//! Standards: RFC 4954.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::super::line::Line;
use super::super::reply::{Reply, Security};
use super::super::sasl::{Exchange, Mechanism, Turn};
use super::super::users::Users;
use super::super::wire::{Wire, WireError};
use super::super::{Door, Intake};
use super::{Farewell, Session, Standing, Step};
use crate::Rejection;

impl<I: Intake> Session<'_, I> {
    /// Those who may sign in here.
    pub(super) fn users(&self) -> Option<&Arc<Users>> {
        self.house.settings.users.as_ref().filter(|users| self.house.door == Door::Inside && !users.is_empty())
    }

    /// AUTH, with the first words if they came along.
    pub(super) async fn sign_in<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        mechanism: Mechanism,
        words: Option<String>,
    ) -> Result<Step, WireError> {
        let words = words.map(Zeroizing::new);
        let users = match self.may_sign_in() {
            Ok(users) => users,
            Err(rejection) => return self.refuse(wire, rejection).await,
        };
        let mut turn = Exchange::begin(mechanism, words.as_ref().map(|words| words.as_bytes()));
        let credentials = loop {
            turn = match turn {
                Err(rejection) => return self.refuse(wire, rejection).await,
                Ok(Turn::Verify(credentials)) => break credentials,
                Ok(Turn::Ask(question, exchange)) => {
                    wire.say(&Reply::ask(question));
                    match wire.answer(&self.house.settings, &self.house.stop).await? {
                        Line::Command(answer) => exchange.take(&Zeroizing::new(answer)),
                        Line::Refused(rejection) => Err(rejection),
                        Line::Broken(rejection) => return Ok(Step::Leave(Farewell::Refused(rejection))),
                    }
                }
            };
        };
        let user = credentials.name.clone();
        if users.verify(credentials).await {
            info!(?user, "inside by AUTH");
            self.standing = Standing::User;
            self.client.signed_in = true;
            wire.say(&Reply::AUTHENTICATED);
            return Ok(Step::Next);
        }
        warn!(?user, rejection = %Rejection::CREDENTIALS, "AUTH failed");
        self.failures = self.failures.saturating_add(1);
        let delay = users.failed(self.client.address, self.house.settings.auth_delay);
        wire.flush(self.house.settings.command_timeout).await?;
        tokio::select! {
            () = self.house.stop.cancelled() => {}
            () = sleep(delay) => {}
        }
        if self.failures >= self.house.settings.max_auth_failures {
            return Ok(Step::Leave(Farewell::Refused(Rejection::TOO_MANY_FAILURES)));
        }
        self.turn_down(wire, Rejection::CREDENTIALS).await
    }

    fn may_sign_in(&self) -> Result<Arc<Users>, Rejection> {
        let users = self.users().ok_or(Rejection::NOT_IMPLEMENTED)?;
        if self.security != Security::Active {
            return Err(Rejection::NEEDS_TLS);
        }
        if self.standing == Standing::User {
            return Err(Rejection::ALREADY_AUTHENTICATED);
        }
        self.dialogue.between().map(|()| Arc::clone(users))
    }
}
