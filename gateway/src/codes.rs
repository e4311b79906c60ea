//! Codes by mail: minted, mailed, bound to the session that asked.
//!
//! Quotas live here: at most three codes in fifteen minutes and ten a day per letter, fewer of them for a typed address. Where
//! the quota is used up, a code that was mailed in the last ten minutes is bound to the asking session too (a few times), so
//! that a mail scanner that presses the button locks nobody out: the reader finds a code in the mailbox and it works.
//!
//! Security: a code goes to an address from the gateway's own store. An answer never tells whether a pickup, an address or
//! an account exists.

mod account;

use ring::rand::{SecureRandom, SystemRandom};
use tracing::info;

use sealpost_texts::Language;
use sealpost_vault::EmailAddress;
use sealpost_vault::clock::Time;
use sealpost_vault::db::StoreError;
use sealpost_vault::derive::code_hash;
use sealpost_vault::errands::{Answer, Bytes, Scope};
use sealpost_vault::id::{AccountId, ErrandId, NoRandomness, random};
use sealpost_vault::sessions::CODE_LIFETIME;

use crate::accounts::Mailbox;
use crate::audit::{self, Event};
use crate::notify::{self, CodeFor};
use crate::pickups::{self, KEEP_CODE, Pickup};
use crate::pipeline::Gateway;
use crate::queue::{Kind, Mail};

/// Codes per letter: so many in so many seconds; and of these, how many for a typed address. Whoever knows an address could
/// otherwise use up what the holder of the link needs.
const CODE_QUOTAS: [Quota; 2] =
    [Quota { most: 3, for_address: 1, seconds: 900 }, Quota { most: 10, for_address: 4, seconds: 86_400 }];
/// Sessions that may use a code that was mailed for another one.
const MOST_REBINDS: i64 = 5;
/// How long the answer to a code errand takes at least, well above what minting and queueing take: who asks must not learn
/// by the clock whether there was something to mint a code for.
pub const CODE_TAKES: std::time::Duration = std::time::Duration::from_millis(400);

struct Quota {
    most: i64,
    for_address: i64,
    seconds: Time,
}

/// In the row of a session that may use another one's code, in place of what was asked for; kept_code is that code's, as it
/// lies in its own row.
pub(crate) const SHARED: &str = "shared";

/// In a code's row: what it was asked for.
fn word(scope: &Scope) -> &'static str {
    match scope {
        Scope::Pickup(_) => "link",
        Scope::Address(_) => "address",
        Scope::Account(_) => "account",
    }
}

/// A code whose digits are ours to mail; shown nowhere.
struct Code(zeroize::Zeroizing<String>);

impl Code {
    /// Eight digits, evenly distributed.
    fn mint() -> Result<Self, NoRandomness> {
        let rng = SystemRandom::new();
        loop {
            let mut bytes = [0; 4];
            rng.fill(&mut bytes).map_err(|_| NoRandomness)?;
            let number = u32::from_be_bytes(bytes);
            // 4,200,000,000 is the largest multiple of 100,000,000 that fits: what lies above would favour small codes.
            if number < 4_200_000_000 {
                return Ok(Self(zeroize::Zeroizing::new(format!("{:08}", number % 100_000_000))));
            }
        }
    }

    fn digits(&self) -> &str {
        &self.0
    }
}

impl Gateway {
    pub(crate) async fn code(
        &self,
        errand_id: ErrandId,
        session: &Bytes,
        scope: &Scope,
        language: &str,
    ) -> Result<Answer, StoreError> {
        // Counting and minting belong together: two errands at once must not both find room in the quota.
        let _alone = self.minting.lock().await;
        let now = self.clock.now();
        let Ok(session) = <[u8; 32]>::try_from(session.0.as_slice()) else { return Ok(nobodys_code(scope, now)?) };
        if let Scope::Account(typed) = scope {
            let minted = self.account_code(errand_id, typed, language, now).await?;
            let Some(minted) = minted else { return Ok(nobodys_code(scope, now)?) };
            return Ok(Answer::Code {
                code_hash: Bytes(code_hash(&session, errand_id.bytes(), minted.code.digits())?.to_vec()),
                expires_at: minted.minted_at.saturating_add(CODE_LIFETIME),
                pickups: Vec::new(),
                account: Some(minted.account),
            });
        }
        let pickups = self.in_scope(scope, now).await?;
        // A code is bound to the pickup, or to the errand where the reader typed an address (SEALING.md, codes by mail).
        let bound_to = match scope {
            Scope::Pickup(pickup) => *pickup.bytes(),
            Scope::Address(_) | Scope::Account(_) => *errand_id.bytes(),
        };
        let Some(first) = pickups.first() else { return Ok(nobodys_code(scope, now)?) };
        let (code, minted_at) = match self.minted_before(errand_id, first).await? {
            Some(found) => found,
            None if self.within_quota(&pickups, scope, now).await? => {
                let code = Code::mint()?;
                self.mail_code(errand_id, &pickups, scope, &code, language, now).await?;
                (code, now)
            }
            None => match self.code_in_mailbox(errand_id, first, now).await? {
                Some(found) => found,
                None => {
                    info!(pickup = %first.pickup_id, "code quota used up");
                    return Ok(nobodys_code(scope, now)?);
                }
            },
        };
        Ok(Answer::Code {
            code_hash: Bytes(code_hash(&session, &bound_to, code.digits())?.to_vec()),
            expires_at: minted_at.saturating_add(CODE_LIFETIME),
            pickups: pickups.iter().map(|pickup| pickup.pickup_id).collect(),
            account: None,
        })
    }

    async fn in_scope(&self, scope: &Scope, now: Time) -> Result<Vec<Pickup>, StoreError> {
        match scope {
            Scope::Pickup(pickup) => {
                let found = pickups::find(&self.stores.own, *pickup).await?;
                Ok(found.into_iter().filter(|pickup| pickup.state.lives() && pickup.expires_at > now).collect())
            }
            Scope::Address(typed) => match typed.trim().parse::<EmailAddress>() {
                Ok(address) => pickups::living_of(&self.stores.own, &address.identity(), now).await,
                Err(_) => Ok(Vec::new()),
            },
            Scope::Account(_) => Ok(Vec::new()),
        }
    }

    /// The code that this errand got before a crash kept its answer from being written.
    async fn minted_before(&self, errand_id: ErrandId, pickup: &Pickup) -> Result<Option<(Code, Time)>, StoreError> {
        let row: Option<(Vec<u8>, i64)> =
            sqlx::query_as("select kept_code, minted_at from codes where errand_id = $1 and pickup_id = $2")
                .bind(errand_id.to_string())
                .bind(pickup.pickup_id.to_string())
                .fetch_optional(self.stores.own.reader())
                .await?;
        row.map(|(kept, minted_at)| Ok((self.kept_code(pickup, &kept)?, minted_at))).transpose()
    }

    async fn within_quota(&self, pickups: &[Pickup], scope: &Scope, now: Time) -> Result<bool, StoreError> {
        for pickup in pickups {
            for Quota { most, for_address, seconds } in CODE_QUOTAS {
                let (minted, by_address): (i64, i64) = sqlx::query_as(
                    "select count(*), count(case when scope = 'address' then 1 end) from codes
                     where pickup_id = $1 and minted_at > $2 and scope <> $3",
                )
                .bind(pickup.pickup_id.to_string())
                .bind(now.saturating_sub(seconds))
                .bind(SHARED)
                .fetch_one(self.stores.own.reader())
                .await?;
                let used_up = match scope {
                    Scope::Pickup(_) => minted >= most,
                    Scope::Address(_) | Scope::Account(_) => minted >= most || by_address >= for_address,
                };
                if used_up {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// A code that was mailed lately and may serve one more session. It is noted, so that it speaks for that session too.
    async fn code_in_mailbox(
        &self,
        errand_id: ErrandId,
        pickup: &Pickup,
        now: Time,
    ) -> Result<Option<(Code, Time)>, StoreError> {
        let mut transaction = self.stores.own.begin().await?;
        let row: Option<(Vec<u8>, i64)> = sqlx::query_as(
            "update codes set rebinds = rebinds + 1
             where pickup_id = $1 and rebinds < $2 and minted_at > $3
               and errand_id in (select errand_id from codes where pickup_id = $1 and minted_at > $3 and scope <> $4
                                 order by minted_at desc, errand_id limit 1)
             returning kept_code, minted_at",
        )
        .bind(pickup.pickup_id.to_string())
        .bind(MOST_REBINDS)
        .bind(now.saturating_sub(CODE_LIFETIME))
        .bind(SHARED)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((kept, minted_at)) = row else { return Ok(None) };
        sqlx::query(
            "insert into codes (errand_id, pickup_id, scope, kept_code, rebinds, minted_at)
             values ($1, $2, $3, $4, 0, $5)",
        )
        .bind(errand_id.to_string())
        .bind(pickup.pickup_id.to_string())
        .bind(SHARED)
        .bind(&kept)
        .bind(minted_at)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some((self.kept_code(pickup, &kept)?, minted_at)))
    }

    fn kept_code(&self, pickup: &Pickup, kept: &[u8]) -> Result<Code, StoreError> {
        let digits = self.kept(KEEP_CODE, pickup, kept)?;
        let digits = String::from_utf8(digits.to_vec()).map_err(|_| StoreError::Corrupt("a kept code"))?;
        Ok(Code(zeroize::Zeroizing::new(digits)))
    }

    async fn mail_code(
        &self,
        errand_id: ErrandId,
        pickups: &[Pickup],
        scope: &Scope,
        code: &Code,
        language: &str,
        now: Time,
    ) -> Result<(), StoreError> {
        let Some(first) = pickups.first() else { return Ok(()) };
        let language = Language::from_tag(language).unwrap_or(first.language);
        let mailbox = Mailbox { delivery: first.delivery.clone(), language, origin: first.origin };
        let placed = self.queue.place(self.code_mail(&mailbox, code, CodeFor::Letter, now)?).await?;
        let mut transaction = self.stores.own.begin().await?;
        for pickup in pickups {
            let kept = self.keep(KEEP_CODE, pickup.pickup_id, &pickup.reader, code.digits().as_bytes())?;
            sqlx::query(
                "insert into codes (errand_id, pickup_id, scope, kept_code, rebinds, minted_at)
                 values ($1, $2, $3, $4, 0, $5)",
            )
            .bind(errand_id.to_string())
            .bind(pickup.pickup_id.to_string())
            .bind(word(scope))
            .bind(kept)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        }
        let event = Event::CodeMailed {
            code: errand_id,
            scope: word(scope),
            reader: &first.reader,
            pickups: pickups.iter().map(|pickup| pickup.pickup_id).collect(),
            account: None,
        };
        audit::record(&mut transaction, event, now).await?;
        self.queue.insert(&mut transaction, placed).await?;
        transaction.commit().await?;
        info!(pickup = %first.pickup_id, "a code was minted and queued");
        self.queue.wake();
        Ok(())
    }

    /// The mail with a code.
    fn code_mail(&self, mailbox: &Mailbox, code: &Code, what: CodeFor, now: Time) -> Result<Mail, StoreError> {
        let minutes = u32::try_from(CODE_LIFETIME / 60).unwrap_or(10);
        let bytes = notify::code(
            &self.letterhead,
            &mailbox.delivery,
            code.digits(),
            what,
            minutes,
            mailbox.language,
            &self.new_message_id()?,
            now,
        )
        .map_err(|_| StoreError::Corrupt("a code mail that can't be written"))?;
        let lifetime = std::time::Duration::from_secs(u64::try_from(CODE_LIFETIME).unwrap_or(600));
        Ok(self.mail_to(mailbox, Kind::Code, bytes, lifetime))
    }
}

/// The answer where there is nothing to send a code for: it looks like any other.
pub(crate) fn nobodys_code(scope: &Scope, now: Time) -> Result<Answer, NoRandomness> {
    let account = match scope {
        Scope::Account(_) => Some(AccountId::random()?),
        Scope::Pickup(_) | Scope::Address(_) => None,
    };
    Ok(Answer::Code {
        code_hash: Bytes(random::<32>()?.to_vec()),
        expires_at: now.saturating_add(CODE_LIFETIME),
        pickups: Vec::new(),
        account,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_eight_digits() {
        for _ in 0..200 {
            let code = Code::mint().unwrap();
            assert_eq!(code.digits().len(), 8);
            assert!(code.digits().bytes().all(|b| b.is_ascii_digit()));
        }
    }
}
