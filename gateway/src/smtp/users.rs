//! Who may sign in with AUTH: names and Argon2id hashes out of a file, and the guard against guessing.
//!
//! An unknown name costs as much as a known one: it is compared with the hash of some user, always the same for the same name,
//! and the outcome thrown away. Argon2 runs off the async threads, so many at a time as there are processors.
//!
//! Security: names and passwords are bounded, passwords zeroed; a hash that would take more than 256 MiB isn't taken.
//! Failures are counted per client network over all its connections, and each is answered later than the one before.
//!
//! Standards: RFC 9106 (Argon2id), RFC 4616 (PLAIN).

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Argon2, Params, PasswordHash, PasswordVerifier};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::admission::neighbourhood;

/// Octets of a name, and of a password: RFC 4616 has no limit, we do.
const LONGEST: usize = 255;
/// KiB, passes and lanes of a hash.
const COSTLIEST: (u32, u32, u32) = (256 * 1024, 32, 32);
/// A client's failures are forgotten so long after the last one.
const MEMORY: Duration = Duration::from_secs(3600);
/// Clients with failures that are remembered; more than so many at once, and the oldest are forgotten.
const REMEMBERED: usize = 10_000;
/// The longest that an answer is held back.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Why a file of users can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    #[error("line {0}: must be name:hash")]
    Line(usize),
    #[error("line {0}: no Argon2id hash that can be used ($argon2id$v=19$..., at most 256 MiB)")]
    Hash(usize),
    #[error("line {0}: names a user again")]
    Repeated(usize),
}

/// The users of one file.
pub struct Users {
    hashes: Vec<String>,
    names: HashMap<String, usize>,
    stand_in: RandomState,
    /// A place is free again when a hash is through, even if nobody waits for it any more.
    gate: Arc<Semaphore>,
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

impl fmt::Debug for Users {
    /// Without names and hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("count", &self.hashes.len()).finish_non_exhaustive()
    }
}

/// What a client signs in with.
pub(super) struct Credentials {
    pub name: String,
    pub password: Zeroizing<Vec<u8>>,
}

impl Users {
    /// Lines of `name:hash`; empty ones and those that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let (mut hashes, mut names) = (Vec::new(), HashMap::new());
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash) = line.split_once(':').ok_or(UsersError::Line(number))?;
            if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
                return Err(UsersError::Line(number));
            }
            if !is_usable(hash) {
                return Err(UsersError::Hash(number));
            }
            if names.insert(name.to_owned(), hashes.len()).is_some() {
                return Err(UsersError::Repeated(number));
            }
            hashes.push(hash.to_owned());
        }
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            hashes,
            names,
            stand_in: RandomState::new(),
            gate: Arc::new(Semaphore::new(at_once)),
            failures: Mutex::default(),
        })
    }

    /// Nobody could sign in.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether name and password belong together.
    pub(super) async fn verify(self: &Arc<Self>, credentials: Credentials) -> bool {
        let right =
            |hash: &PasswordHash<'_>, password: &[u8]| Argon2::default().verify_password(password, hash).is_ok();
        self.verify_by(credentials, right).await
    }

    async fn verify_by<F>(self: &Arc<Self>, credentials: Credentials, right: F) -> bool
    where
        F: FnOnce(&PasswordHash<'_>, &[u8]) -> bool + Send + 'static,
    {
        let Credentials { name, password } = credentials;
        if name.len() > LONGEST || password.len() > LONGEST {
            return false;
        }
        let Ok(permit) = Arc::clone(&self.gate).acquire_owned().await else { return false };
        let users = Arc::clone(self);
        let compare = move || {
            let _permit = permit;
            users.matches(&name, |hash| right(hash, &password))
        };
        tokio::task::spawn_blocking(compare).await.unwrap_or(false)
    }

    /// Exactly one hash is compared, whoever it is.
    fn matches(&self, name: &str, compare: impl FnOnce(&PasswordHash<'_>) -> bool) -> bool {
        let known = self.names.get(name).copied();
        let stand_in = || {
            let users = u64::try_from(self.hashes.len()).unwrap_or(u64::MAX).max(1);
            usize::try_from(self.stand_in.hash_one(name) % users).unwrap_or_default()
        };
        let Some(hash) = self.hashes.get(known.unwrap_or_else(stand_in)) else { return false };
        let Ok(hash) = PasswordHash::new(hash) else { return false };
        let right = compare(&hash);
        right && known.is_some()
    }

    /// How long the answer to this client's next failure is held back, which counts from now on.
    pub(super) fn failed(&self, address: IpAddr, step: Duration) -> Duration {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= REMEMBERED {
            failures.retain(|_, (_, last)| now.duration_since(*last) < MEMORY);
            if failures.len() >= REMEMBERED {
                failures.clear();
            }
        }
        let (count, last) = failures.entry(neighbourhood(address)).or_insert((0, now));
        if now.duration_since(*last) >= MEMORY {
            *count = 0;
        }
        (*count, *last) = (count.saturating_add(1), now);
        step.saturating_mul(*count).min(LONGEST_DELAY)
    }
}

fn is_usable(hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let Ok(params) = Params::try_from(&hash) else { return false };
    let (memory, passes, lanes) = COSTLIEST;
    hash.algorithm.as_str() == "argon2id"
        && hash.version == Some(19)
        && hash.salt.is_some()
        && hash.hash.is_some()
        && params.m_cost() <= memory
        && params.t_cost() <= passes
        && params.p_cost() <= lanes
}

#[cfg(test)]
pub(crate) mod tests {
    use argon2::password_hash::{PasswordHasher, SaltString};
    use argon2::{Algorithm, Version};

    use super::*;

    /// As cheap as it gets.
    pub fn hash(password: &str) -> String {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
        argon2.hash_password(password.as_bytes(), &SaltString::from_b64("c2FsdHNhbHQ").unwrap()).unwrap().to_string()
    }

    fn credentials(name: &str, password: &str) -> Credentials {
        Credentials { name: name.into(), password: Zeroizing::new(password.into()) }
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_name() {
        let text = format!("# ours\n\nanna:{}\nben@x.example:{}\n", hash("one"), hash("two"));
        let users = Arc::new(Users::parse(&text).unwrap());
        for (name, password, right) in [
            ("anna", "one", true),
            ("ben@x.example", "two", true),
            ("anna", "two", false),
            ("anna", "", false),
            ("Anna", "one", false),
            ("", "one", false),
            // Whoever's hash it is compared with.
            ("nobody", "one", false),
            ("nobody", "two", false),
            ("someone", "one", false),
        ] {
            assert_eq!(users.verify(credentials(name, password)).await, right, "{name} {password}");
        }
        assert!(!users.verify(credentials("anna", &"x".repeat(256))).await);
        let nobody = Arc::new(Users::parse("").unwrap());
        assert!(nobody.is_empty());
        assert!(!nobody.verify(credentials("anna", "one")).await);
    }

    #[tokio::test]
    async fn unknown_names_cost_what_known_ones_cost() {
        let text = format!("anna:{}\nben:{}\n", hash("one"), hash("two"));
        let users = Arc::new(Users::parse(&text).unwrap());
        let compared = Arc::new(Mutex::new(Vec::new()));
        for name in ["anna", "nobody", "nobody", "", "ANNA"] {
            let seen = Arc::clone(&compared);
            let right = move |hash: &PasswordHash<'_>, password: &[u8]| {
                seen.lock().unwrap().push((hash.to_string(), password.to_vec()));
                true
            };
            // Even where the stand-in's password is right.
            assert_eq!(users.verify_by(credentials(name, "x"), right).await, name == "anna");
        }
        let compared = compared.lock().unwrap();
        assert_eq!(compared.len(), 5, "one hash for each try");
        assert!(compared.iter().all(|(hash, password)| users.hashes.contains(hash) && password == b"x"));
        assert_eq!(compared[1], compared[2], "a name has one stand-in, or its changing cost would tell");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_hashes_so_many_at_a_time_as_there_are_processors() {
        let users = Arc::new(Users::parse(&format!("anna:{}\n", hash("one"))).unwrap());
        let places = users.gate.available_permits();
        assert!(places <= std::thread::available_parallelism().unwrap().get());
        let (begun, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let mut finish = Vec::new();
        let mut tries = Vec::new();
        for _ in 0..places + 3 {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            let (users, begun) = (Arc::clone(&users), begun.clone());
            finish.push(end);
            tries.push(tokio::spawn(async move {
                let right = move |_: &PasswordHash<'_>, _: &[u8]| {
                    begun.send(()).unwrap();
                    ended.recv().is_err()
                };
                users.verify_by(credentials("anna", "one"), right).await
            }));
        }
        for _ in 0..places {
            seen.recv().await.unwrap();
        }
        // Clients that go away free no place while their hash is being made.
        tries.iter().for_each(tokio::task::JoinHandle::abort);
        for one in tries {
            let _aborted = one.await;
        }
        assert_eq!(users.gate.available_permits(), 0);
        assert!(seen.try_recv().is_err(), "one more than there are places");
        drop(finish);
        let _all = users.gate.acquire_many(u32::try_from(places).unwrap()).await.unwrap();
    }

    #[test]
    fn files_that_are_refused() {
        let good = hash("x");
        for (text, why) in [
            ("anna".to_owned(), UsersError::Line(1)),
            (format!("\n:{good}"), UsersError::Line(2)),
            ("anna:secret".to_owned(), UsersError::Hash(1)),
            (format!("anna:{}", good.replace("argon2id", "argon2i")), UsersError::Hash(1)),
            (format!("anna:{}", good.replace("m=8", "m=999999999")), UsersError::Hash(1)),
            (format!("anna:{}", good.replace("t=1", "t=1000")), UsersError::Hash(1)),
            (format!("anna:{}", good.rsplit_once('$').unwrap().0), UsersError::Hash(1)),
            (format!("anna:{good}\nanna:{good}"), UsersError::Repeated(2)),
        ] {
            assert_eq!(Users::parse(&text).map(|_| ()), Err(why), "{text}");
        }
    }

    #[test]
    fn failures_are_counted_per_network_and_over_connections() {
        let users = Users::parse("").unwrap();
        let step = Duration::from_secs(10);
        let failed = |address: &str| users.failed(address.parse().unwrap(), step).as_secs();
        assert_eq!([failed("2001:db8::1"), failed("2001:db8::2"), failed("2001:db8::1")], [10, 20, 30]);
        assert_eq!([failed("2001:db8::1"), failed("192.0.2.1")], [30, 10]);
    }
}
