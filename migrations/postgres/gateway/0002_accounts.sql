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

-- Half-done sign-ins: two minutes. account_id is empty where there is none.
create table sign_ins (
    errand_id text primary key,
    reader text not null,
    account_id text not null,
    buckets text not null,
    kept_state bytea not null,
    begun_at bigint not null
);
create index sign_ins_begun on sign_ins (begun_at);

-- Failed tries, for the back-off.
create table tries (
    bucket text primary key,
    failures bigint not null,
    last_at bigint not null
);
create index tries_last on tries (last_at);
