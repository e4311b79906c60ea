-- Records that wait for the chain, without an index beside their position: the database gives it, in the order of writing
-- as far as concurrent transactions have one.
create table audit_waiting (
    position integer primary key,
    recorded_at integer not null,
    body text not null
) strict;
insert into audit_waiting (recorded_at, body)
    select recorded_at, body from audit_records order by position, recorded_at, record_id;
drop table audit_records;
alter table audit_waiting rename to audit_records;
