-- writer: gateway. Readers who enrolled, and what their browser unlocks with. file: one OpenPGP message (SEALING.md, accounts).
-- vouch: the organisation's statement that certificate and address belong together. changes: how often the file was changed.
create table accounts (
    account_id text primary key,
    reader text not null unique,
    organisation text not null,
    fingerprint text not null,
    certificate bytea not null,
    counter bigint not null,
    vouched_at bigint not null,
    vouch bytea not null,
    file bytea not null,
    changes bigint not null,
    changed_at bigint not null
);

-- writer: gateway. A letter's session key, wrapped for its reader's certificate: one PKESKv6.
create table account_keys (
    pickup_id text primary key references pickups (pickup_id) on delete cascade,
    account_id text not null,
    packet bytea not null
);
create index account_keys_account on account_keys (account_id);

-- A reader's letters are looked up by the reader.
create index pickups_reader on pickups (reader);

-- writer: portal. Sessions that signed in. how: passphrase or recovery. changes: of the account, when it was unlocked; a session
-- that signed in before a change is not signed in any more.
create table session_accounts (
    session_hash text primary key references sessions (session_hash) on delete cascade,
    account_id text not null,
    how text not null,
    changes bigint not null,
    since bigint not null
);

-- writer: portal. Steps of signing in and enrolling that a session began: who asked is who may go on. kind: sign-in, register,
-- enrol, receipt. account_id and pickup_id are empty where the step has none.
create table account_requests (
    errand_id text primary key,
    session_hash text not null references sessions (session_hash) on delete cascade,
    kind text not null,
    account_id text not null,
    pickup_id text not null,
    created_at bigint not null
);
create index account_requests_session on account_requests (session_hash, created_at);

-- writer: portal. Sessions that showed a mailed code for an account whose passphrase was forgotten.
create table account_proofs (
    session_hash text primary key references sessions (session_hash) on delete cascade,
    errand_id text not null,
    account_id text not null,
    proven_at bigint not null
);

-- writer: portal. Replies that their writer may read again. packet: their session key for the writer's certificate, one PKESKv6.
-- state: waiting, or taken once the gateway said so.
create table own_replies (
    reply_id text primary key references uploads (reply_id) on delete cascade,
    account_id text not null,
    pickup_id text not null,
    letter_id text not null,
    conversation_id text not null,
    packet bytea not null,
    state text not null,
    sent_at bigint not null,
    expires_at bigint not null
);
create index own_replies_account on own_replies (account_id, sent_at);
