-- The gateway's own store: what it must believe. The portal has no way here.

-- Accepted messages that wait to be sealed or relayed: envelope, judgement and bytes in one AEAD under the spool key.
create table spool (
    queue_id text primary key,
    size integer not null,
    blob_key text not null,
    sealed blob not null,
    received_at integer not null,
    attempts integer not null,
    next_at integer not null,
    claimed_until integer not null,
    claim text not null,
    last_error text not null
) strict;
create index spool_next on spool (next_at);

-- Mail on its way out, AEAD under the spool key, shared by its recipients' rows.
create table outgoing (
    body_id text primary key,
    size integer not null,
    blob_key text not null,
    sealed blob not null,
    created_at integer not null
) strict;

-- One row per recipient of a mail on its way out.
create table queue (
    queue_id text primary key,
    body_id text not null references outgoing (body_id),
    origin_id text not null,
    kind text not null,
    route text not null,
    reverse_path text not null,
    recipient text not null,
    letter_id text not null,
    state text not null,
    attempts integer not null,
    next_at integer not null,
    created_at integer not null,
    expires_at integer not null,
    claimed_until integer not null,
    claim text not null,
    last_reply text not null
) strict;
create index queue_next on queue (state, next_at);
create index queue_body on queue (body_id);

-- Who talks with whom: the reply address's token leads here.
create table conversations (
    conversation_id text primary key,
    token text not null unique,
    sender text not null,
    sender_name text not null,
    reader text not null,
    delivery text not null,
    created_at integer not null
) strict;

-- Letters as the gateway must believe them. kept_link and kept_voice are AEAD under the gateway's root.
create table letters (
    letter_id text primary key,
    content_id text not null,
    conversation_id text not null references conversations (conversation_id),
    pickup_id text not null unique,
    return_token text not null unique,
    origin_id text not null,
    sender text not null,
    sender_name text not null,
    reader text not null,
    delivery text not null,
    organisation text not null,
    language text not null,
    message_id text not null,
    state text not null,
    kept_link blob not null,
    kept_voice blob not null,
    created_at integer not null,
    expires_at integer not null,
    released_at integer not null,
    opened_at integer not null,
    answered_at integer not null
) strict;
create index letters_reader on letters (reader);
create index letters_expires on letters (state, expires_at);
create unique index letters_origin on letters (origin_id, reader);

-- Codes that were minted and mailed, for the quotas; kept_code is AEAD under the gateway's root, and lets a second
-- session of the same reader use the code that lies in the mailbox already.
create table codes (
    code_id text primary key,
    letter_id text not null,
    session text not null,
    kept_code blob not null,
    rebinds integer not null,
    minted_at integer not null
) strict;
create index codes_letter on codes (letter_id, minted_at);

-- Notifications that were sent again on request, for the quota.
create table resendings (
    letter_id text not null,
    sent_at integer not null
) strict;
create index resendings_letter on resendings (letter_id, sent_at);

-- Errands that were answered, so that a replayed row is not answered twice.
create table errands_done (
    errand_id text primary key,
    done_at integer not null
) strict;

-- Replies that were taken: each id counts once.
create table replies (
    reply_id text primary key,
    letter_id text not null,
    outcome text not null,
    taken_at integer not null
) strict;

-- Message-IDs in a conversation, for References, and to recognise what was taken already.
create table conversation_messages (
    conversation_id text not null references conversations (conversation_id),
    n integer not null,
    message_id text not null,
    primary key (conversation_id, n)
) strict;
