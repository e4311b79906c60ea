-- The keys that this store was used with: which set, and the highest generation of it. One row at most; the gateway compares
-- its keys with it at the start, so that keys from an old backup are noticed.
create table keyring_used (
    set_id text primary key,
    generation integer not null,
    used_at integer not null
) strict;
