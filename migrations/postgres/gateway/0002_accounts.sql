-- How a letter is opened: 'link' (link secret and share) until its reader is pinned, 'account' (the reader's certificate) afterwards.
alter table pickups add column way text not null default 'link';

-- Which certificate belongs to an address. vouch: the organisation's signature over SEALING.md's `vouch`, verified before each sealing.
-- state: enrolled, or reset (no certificate; the counter stays, and never falls).
create table pins (
    reader text primary key,
    account_id text not null,
    state text not null,
    counter bigint not null,
    fingerprint text not null,
    certificate bytea not null,
    vouch bytea not null,
    vouched_at bigint not null,
    pickup_id text not null
);
create index pins_account on pins (account_id);

-- What the passphrase is checked with: an OPAQUE record under the gateway's root key. changes counts up with every new passphrase.
create table opaque_records (
    account_id text primary key,
    reader text not null unique,
    kept_record bytea not null,
    recovery_hash bytea not null,
    changes bigint not null,
    changed_at bigint not null
);

-- Accounts that a browser is about to make or to change: an id given out with an OPAQUE answer.
create table registrations (
    account_id text primary key,
    reader text not null,
    pickup_id text not null,
    begun_at bigint not null
);
create index registrations_begun on registrations (begun_at);

-- Half-done sign-ins: two minutes, once. account_id is empty where there is none; kept_state is there all the same.
create table sign_ins (
    errand_id text primary key,
    reader text not null,
    account_id text not null,
    buckets text not null,
    kept_state bytea not null,
    begun_at bigint not null
);
create index sign_ins_begun on sign_ins (begun_at);

-- Tries at passphrases and recovery codes, for the back-off. bucket is a hash under the gateway's root: who was tried from where stands nowhere.
-- since: when counting began; last_at: the newest one that was counted.
create table tries (
    bucket text primary key,
    tries bigint not null,
    since bigint not null,
    last_at bigint not null
);
create index tries_last on tries (last_at);

-- The newest change of an account's passphrase. statement: hash of what the reader signed, so that a second attempt is recognised.
-- file: the account file on its way to the vault; empty once it is there.
create table passphrase_changes (
    account_id text primary key,
    changes bigint not null,
    statement bytea not null,
    file bytea not null
);

-- Codes for accounts that were minted and mailed. mailed_as: the errand whose mail carried it; another one in its place is a session that
-- may use the code that lies in the mailbox already. kept_code is AEAD under the gateway's root.
create table account_codes (
    errand_id text primary key,
    account_id text not null,
    reader text not null,
    mailed_as text not null,
    kept_code bytea not null,
    minted_at bigint not null
);
create index account_codes_account on account_codes (account_id, minted_at);
