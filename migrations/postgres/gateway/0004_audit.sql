-- What happened, one record per change of state, written in the change's own transaction; waits here for its place in the chain. body is JSON.
-- position: counts up in the order of writing, as far as concurrent transactions have one.
create table audit_records (
    record_id text primary key,
    position bigint not null,
    recorded_at bigint not null,
    body text not null
);
create index audit_records_position on audit_records (position);

-- The chain (SEALING.md, audit). Only the gateway's sequencer appends; nothing is changed. body: the very bytes that are hashed.
create table audit_chain (
    n bigint primary key,
    hash bytea not null,
    body text not null
);

-- Signed heads: the newest one, and the last one of each hour before.
create table audit_heads (
    n bigint primary key,
    hash bytea not null,
    signed_at bigint not null,
    organisation bytea not null,
    signer bytea not null,
    signature bytea not null
);
