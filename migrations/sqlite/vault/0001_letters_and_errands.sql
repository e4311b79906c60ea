-- The vault. Each table names its writer; the other side only reads it.

-- writer: gateway. The organisation's certificates, newest first by created_at.
create table organisation (
    fingerprint text primary key,
    certificate blob not null,
    created_at integer not null
) strict;

-- writer: gateway. One sealed message's parts, shared by all its letters.
create table contents (
    content_id text primary key,
    created_at integer not null
) strict;

-- writer: gateway. A part is one SEIPDv2 packet: in the row, or in the blob store under blob_key.
create table parts (
    content_id text not null references contents (content_id) on delete cascade,
    n integer not null,
    size integer not null,
    blob_key text not null,
    packet blob not null,
    primary key (content_id, n)
) strict;

-- writer: gateway. The slip is one SEIPDv2 packet.
create table letters (
    letter_id text primary key,
    content_id text not null references contents (content_id),
    conversation_id text not null,
    slip blob not null,
    created_at integer not null,
    expires_at integer not null
) strict;
create index letters_content on letters (content_id);

-- writer: gateway. One letter for one reader by link.
create table pickups (
    pickup_id text primary key,
    letter_id text not null references letters (letter_id) on delete cascade,
    reader text not null,
    organisation text not null,
    expires_at integer not null
) strict;
create index pickups_letter on pickups (letter_id);

-- writer: gateway. Apart, so that they can be backed up apart with a short life.
create table key_packets (
    pickup_id text primary key references pickups (pickup_id) on delete cascade,
    packet blob not null
) strict;

-- writer: gateway. The server's half of a pickup's secret.
create table shares (
    pickup_id text primary key references pickups (pickup_id) on delete cascade,
    share blob not null
) strict;

-- writer: gateway. Its answers to errands.
create table errand_answers (
    errand_id text primary key,
    body text not null,
    answered_at integer not null
) strict;

-- writer: portal. What it asks of the gateway.
create table errands (
    errand_id text primary key,
    kind text not null,
    body text not null,
    created_at integer not null
) strict;
create index errands_created on errands (created_at);

-- writer: portal. A browser, by the SHA-256 of its cookie.
create table sessions (
    session_hash text primary key,
    created_at integer not null,
    seen_at integer not null,
    expires_at integer not null
) strict;

-- writer: portal. Codes that a session asked for, and tries at them. A session's name changes when it proves itself;
-- asked_by keeps the name that the code's hash is bound to. scope: a pickup's id, or 'address'. state: open, dead, used.
create table code_requests (
    errand_id text primary key,
    session_hash text not null references sessions (session_hash) on delete cascade,
    asked_by text not null,
    scope text not null,
    tries integer not null,
    state text not null,
    created_at integer not null
) strict;
create index code_requests_session on code_requests (session_hash, created_at);

-- writer: portal. What a session proved itself for. released_at and opened_at: when the gateway was told, or 0.
create table proofs (
    session_hash text not null references sessions (session_hash) on delete cascade,
    pickup_id text not null,
    proven_at integer not null,
    released_at integer not null,
    opened_at integer not null,
    primary key (session_hash, pickup_id)
) strict;

-- writer: portal. Sealed replies on their way in.
create table uploads (
    reply_id text primary key,
    session_hash text not null,
    pickup_id text not null,
    errand_id text not null,
    created_at integer not null
) strict;

-- writer: portal.
create table upload_parts (
    reply_id text not null references uploads (reply_id) on delete cascade,
    n integer not null,
    size integer not null,
    blob_key text not null,
    packet blob not null,
    primary key (reply_id, n)
) strict;
