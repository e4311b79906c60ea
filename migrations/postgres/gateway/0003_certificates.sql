-- Certificates of recipients: public keys and what their owners signed, nothing else. source: where it came from ('import').
-- changes counts up with every merge, so that two at once can't lose a revocation.
create table certificates (
    fingerprint text primary key,
    certificate bytea not null,
    source text not null,
    imported_at bigint not null,
    changes bigint not null
);

-- Every address that a User ID of a certificate names. admitted: 1 where mail to this address may be encrypted to it, if the
-- certificate passes its checks; 0 where it may not, and is only known.
create table certificate_addresses (
    address text not null,
    fingerprint text not null references certificates (fingerprint) on delete cascade,
    admitted bigint not null,
    primary key (address, fingerprint)
);
create index certificate_addresses_fingerprint on certificate_addresses (fingerprint);
