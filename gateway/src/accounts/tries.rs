//! Tries: how often a passphrase or recovery code may be tried, and when the next try is looked at.
//!
//! A try is counted before it is judged, in one transaction that holds the counters' rows, so that many at once don't get
//! past a limit. Counters:
//!
//! - per address and network prefix: five tries at will, then each waits: 30 seconds, doubling, at most 15 minutes. An hour
//!   without a try forgives all, and a right passphrase too. Tries that come too early don't count and prolong nothing;
//! - per address, from everywhere: 50 in an hour. Strangers can use them up; who has the mailbox doesn't need them:
//! - per code that was mailed for this address: ten, in place of both.
//! - registrations, which evaluate the same function: ten in an hour per address;
//! - records of what strangers can bring about without end: one in an hour for each thing, 1000 for all of them.
//!
//! Addresses without an account are counted alike. A portal that was broken into, which can claim any prefix, gets 50 and 10
//! in an hour, and ten for each code that its asking puts into the mailbox.
//!
//! Security: a counter's name is a hash under the gateway's root; who was tried from where can't be read from it.

use sqlx::{Any, Transaction};

use sealpost_vault::Identity;
use sealpost_vault::clock::Time;
use sealpost_vault::db::{Db, StoreError, met};
use sealpost_vault::id::ErrandId;

use crate::keyring::Keyring;

const FREE: i64 = 5;
const FIRST_WAIT: Time = 30;
const LONGEST_WAIT: Time = 900;
/// In an hour, of what strangers can bring about.
const MOST_RECORDS: i64 = 1_000;
/// After so many seconds without a try, or since counting began, a counter begins anew.
const HOUR: Time = 3_600;

/// What a counter allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Some at will, then ever longer waits.
    BackOff,
    /// So many in an hour.
    Hourly(i64),
}

/// One counter: a name that tells nothing, and its rule.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    name: String,
    rule: Rule,
}

impl Bucket {
    /// Tries at an address from one network.
    pub(crate) fn from_prefix(keyring: &Keyring, reader: &Identity, prefix: &str) -> Result<Self, StoreError> {
        Self::new(keyring, "prefix", &[reader.as_str().as_bytes(), prefix.as_bytes()], Rule::BackOff)
    }

    /// Tries at an address from everywhere.
    pub(crate) fn from_everywhere(keyring: &Keyring, reader: &Identity) -> Result<Self, StoreError> {
        Self::new(keyring, "everywhere", &[reader.as_str().as_bytes()], Rule::Hourly(50))
    }

    /// Tries of whoever showed one mailed code.
    pub(crate) fn with_code(keyring: &Keyring, code: ErrandId) -> Result<Self, StoreError> {
        Self::new(keyring, "code", &[code.bytes()], Rule::Hourly(10))
    }

    /// Registrations for an address.
    pub(crate) fn registrations(keyring: &Keyring, reader: &Identity) -> Result<Self, StoreError> {
        Self::new(keyring, "registrations", &[reader.as_str().as_bytes()], Rule::Hourly(10))
    }

    /// Records of one thing that strangers can bring about, and of all such things.
    fn records(keyring: &Keyring, of: &[&[u8]]) -> Result<[Self; 2], StoreError> {
        Ok([
            Self::new(keyring, "record", of, Rule::Hourly(1))?,
            Self::new(keyring, "records", &[], Rule::Hourly(MOST_RECORDS))?,
        ])
    }

    fn new(keyring: &Keyring, kind: &str, fields: &[&[u8]], rule: Rule) -> Result<Self, StoreError> {
        let name = keyring
            .blind(&format!("tries/{kind}"), fields)
            .map_err(|_| StoreError::Corrupt("a counter that can't be named"))?;
        Ok(Self { name: data_encoding::HEXLOWER.encode(&name), rule })
    }

    /// As it is stored with a half-done sign-in.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Whether a try is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    Counted,
    /// Not before so many seconds have passed.
    Later(Time),
}

/// A counter's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    tries: i64,
    since: Time,
    last_at: Time,
}

impl Rule {
    /// The row after one more try, or how long that must wait.
    fn judge(self, count: Count, now: Time) -> Result<Count, Time> {
        let fresh = Count { tries: 1, since: now, last_at: now };
        let more = Count { tries: count.tries.saturating_add(1), last_at: now, ..count };
        if count.tries <= 0 {
            return Ok(fresh);
        }
        // A clock that was set back must not make anybody wait longer than the rule says.
        let elapsed = |from: Time| now.saturating_sub(from).max(0);
        match self {
            Self::BackOff if elapsed(count.last_at) >= HOUR => Ok(fresh),
            Self::BackOff => match wait(count.tries).saturating_sub(elapsed(count.last_at)) {
                ..=0 => Ok(more),
                seconds => Err(seconds),
            },
            Self::Hourly(_) if elapsed(count.since) >= HOUR => Ok(fresh),
            Self::Hourly(most) if count.tries >= most => Err(HOUR.saturating_sub(elapsed(count.since))),
            Self::Hourly(_) => Ok(more),
        }
    }
}

/// Seconds between the last of so many tries and the next.
fn wait(tries: i64) -> Time {
    match tries.saturating_sub(FREE) {
        ..0 => 0,
        doublings @ 0..5 => FIRST_WAIT.checked_shl(u32::try_from(doublings).unwrap_or(5)).unwrap_or(LONGEST_WAIT),
        5.. => LONGEST_WAIT,
    }
}

/// Counts one try in each of the buckets, or in none: where one says later, the longest wait is the answer.
/// Callers name a narrow bucket before a wide one, always, so that two at once don't wait for each other.
pub(crate) async fn count(store: &Db, buckets: &[&Bucket], now: Time) -> Result<Verdict, StoreError> {
    let mut transaction = store.begin().await?;
    let mut later = 0;
    for bucket in buckets {
        // Takes the row's lock on either engine, whether or not it is there.
        let (tries, since, last_at): (i64, i64, i64) = sqlx::query_as(
            "insert into tries (bucket, tries, since, last_at) values ($1, 0, $2, $2)
             on conflict (bucket) do update set tries = tries.tries returning tries, since, last_at",
        )
        .bind(bucket.name())
        .bind(now)
        .fetch_one(&mut *transaction)
        .await?;
        match bucket.rule.judge(Count { tries, since, last_at }, now) {
            Ok(count) => {
                let done = sqlx::query("update tries set tries = $1, since = $2, last_at = $3 where bucket = $4")
                    .bind(count.tries)
                    .bind(count.since)
                    .bind(count.last_at)
                    .bind(bucket.name())
                    .execute(&mut *transaction)
                    .await?;
                met(&done, 1)?;
            }
            Err(seconds) => later = later.max(seconds),
        }
    }
    if later > 0 {
        transaction.rollback().await?;
        return Ok(Verdict::Later(later));
    }
    transaction.commit().await?;
    Ok(Verdict::Counted)
}

/// Whether something that strangers can bring about without end goes on record once more; the log has each of them.
/// Otherwise a portal that was broken into could fill the disk with the audit.
pub(crate) async fn goes_on_record(store: &Db, keyring: &Keyring, of: &[&[u8]], now: Time) -> Result<bool, StoreError> {
    let [this, all] = &Bucket::records(keyring, of)?;
    Ok(count(store, &[this, all], now).await? == Verdict::Counted)
}

/// A try was right: the first bucket is forgiven, the others don't count it.
pub(crate) async fn forgive(transaction: &mut Transaction<'static, Any>, buckets: &[&str]) -> Result<(), StoreError> {
    for (place, bucket) in buckets.iter().enumerate() {
        let statement = match place {
            0 => "delete from tries where bucket = $1",
            _ => "update tries set tries = tries - 1 where bucket = $1 and tries > 0",
        };
        sqlx::query(statement).bind(*bucket).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Counters that say nothing any more are forgotten.
pub(crate) async fn forget(store: &Db, now: Time) -> Result<(), StoreError> {
    sqlx::query("delete from tries where last_at <= $1 and since <= $1")
        .bind(now.saturating_sub(HOUR))
        .execute(store.writer())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = 1_750_000_000;

    /// Tries at these moments: what each is told.
    fn told(rule: Rule, moments: &[Time]) -> Vec<Time> {
        let mut count = Count { tries: 0, since: NOW, last_at: NOW };
        let mut told = Vec::new();
        for moment in moments {
            match rule.judge(count, NOW + moment) {
                Ok(next) => {
                    count = next;
                    told.push(0);
                }
                Err(seconds) => told.push(seconds),
            }
        }
        told
    }

    #[test]
    fn waits_double_to_a_quarter_of_an_hour() {
        for (tries, seconds) in [
            (0, 0),
            (1, 0),
            (4, 0),
            (5, 30),
            (6, 60),
            (7, 120),
            (8, 240),
            (9, 480),
            (10, 900),
            (11, 900),
            (1_000, 900),
            (i64::MAX, 900),
        ] {
            assert_eq!(wait(tries), seconds, "{tries}");
        }
    }

    #[test]
    fn the_sixth_try_waits_and_early_ones_prolong_nothing() {
        for (moments, expected) in [
            (vec![0, 0, 0, 0, 0, 0], vec![0, 0, 0, 0, 0, 30]),
            (vec![0, 0, 0, 0, 0, 29, 30], vec![0, 0, 0, 0, 0, 1, 0]),
            // 30, then 60 more: 89 is too early, asking all the time changes nothing.
            (vec![0, 0, 0, 0, 0, 30, 31, 50, 89, 90, 91], vec![0, 0, 0, 0, 0, 0, 59, 40, 1, 0, 119]),
            // Slow ones don't wait until the fifth.
            (vec![0, 600, 1_200, 1_800, 2_400, 2_429, 2_430], vec![0, 0, 0, 0, 0, 1, 0]),
            // An hour after the last one that counted.
            (vec![0, 0, 0, 0, 0, 3_599, 3_599], vec![0, 0, 0, 0, 0, 0, 60]),
            (vec![0, 0, 0, 0, 0, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600], vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30]),
            // The clock was set back.
            (vec![0, 0, 0, 0, 0, -10_000], vec![0, 0, 0, 0, 0, 30]),
        ] {
            assert_eq!(told(Rule::BackOff, &moments), expected, "{moments:?}");
        }
    }

    #[test]
    fn the_longest_wait_is_long() {
        let mut moments = vec![0; 5];
        moments.extend([30, 90, 210, 450, 930, 1_830, 1_831, 2_730]);
        assert_eq!(told(Rule::BackOff, &moments), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 899, 0]);
    }

    #[test]
    fn so_many_in_an_hour() {
        for (moments, expected) in [
            (vec![0, 0, 0, 0], vec![0, 0, 0, 3_600]),
            (vec![0, 10, 20, 3_599, 3_600, 3_600, 3_600, 3_601], vec![0, 0, 0, 1, 0, 0, 0, 3_599]),
            (vec![0, 0, 0, -50], vec![0, 0, 0, 3_600]),
        ] {
            assert_eq!(told(Rule::Hourly(3), &moments), expected, "{moments:?}");
        }
    }
}
