-- The gateway's own store: what it must believe. The portal has no way here.

-- Accepted messages that wait to be sealed or relayed: envelope, judgement and bytes in one AEAD under the spool key.
create table spool (
    queue_id text primary key,
    size bigint not null,
    blob_key text not null,
    sealed bytea not null,
    received_at bigint not null,
    attempts bigint not null,
    next_at bigint not null,
    claimed_until bigint not null,
    claim text not null,
    last_error text not null
);
create index spool_next on spool (next_at);

-- Mail on its way out, AEAD under the spool key, shared by its recipients' rows.
create table outgoing (
    body_id text primary key,
    size bigint not null,
    blob_key text not null,
    sealed bytea not null,
    created_at bigint not null
);

-- One row per recipient of a mail on its way out.
create table queue (
    queue_id text primary key,
    body_id text not null references outgoing (body_id),
    origin_id text not null,
    kind text not null,
    route text not null,
    reverse_path text not null,
    recipient text not null,
    pickup_id text not null,
    state text not null,
    attempts bigint not null,
    next_at bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    claimed_until bigint not null,
    claim text not null,
    last_reply text not null
);
create index queue_next on queue (state, next_at);
create index queue_body on queue (body_id);

-- Who talks with whom: the token in a reply address leads to a conversation and its reader.
create table conversations (
    conversation_id text not null,
    reader text not null,
    token text not null unique,
    sender text not null,
    delivery text not null,
    created_at bigint not null,
    primary key (conversation_id, reader)
);

-- Message-IDs of a conversation, oldest first: for References, and to find the conversation that a mail continues.
create table conversation_messages (
    conversation_id text not null,
    n bigint not null,
    message_id text not null,
    primary key (conversation_id, n)
);
create index conversation_messages_message on conversation_messages (message_id);

-- Letters as the gateway must believe them, one row per reader. kept_link and kept_voice are AEAD under the gateway's
-- root, and empty once the link can't be sent again and the voice no longer counts.
create table pickups (
    pickup_id text primary key,
    letter_id text not null,
    content_id text not null,
    conversation_id text not null,
    return_token text not null unique,
    origin_id text not null,
    sender text not null,
    sender_name text not null,
    reader text not null,
    delivery text not null,
    organisation text not null,
    language text not null,
    message_id text not null,
    slip_hash bytea not null,
    state text not null,
    kept_link bytea not null,
    kept_voice bytea not null,
    created_at bigint not null,
    expires_at bigint not null,
    released_at bigint not null,
    opened_at bigint not null,
    answered_at bigint not null,
    unique (origin_id, reader)
);
create index pickups_letter on pickups (letter_id);
create index pickups_reader on pickups (reader);
create index pickups_expires on pickups (state, expires_at);

-- Codes that were minted and mailed: for the quotas. scope: asked for with the link, or for a typed address. kept_code is AEAD under the gateway's root; it lets another session
-- of the same reader use the code that lies in the mailbox already, so that nobody is locked out by a quota.
create table codes (
    errand_id text not null,
    pickup_id text not null,
    scope text not null,
    kept_code bytea not null,
    rebinds bigint not null,
    minted_at bigint not null,
    primary key (errand_id, pickup_id)
);
create index codes_pickup on codes (pickup_id, minted_at);

-- Notifications that were sent again on request: for the quota.
create table resendings (
    resending_id text primary key,
    pickup_id text not null,
    sent_at bigint not null
);
create index resendings_pickup on resendings (pickup_id, sent_at);

-- Replies that were taken: each id counts once.
create table replies (
    reply_id text primary key,
    pickup_id text not null,
    taken_at bigint not null
);
create index replies_pickup on replies (pickup_id, taken_at);
