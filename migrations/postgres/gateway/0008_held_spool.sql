-- Spooled mail can wait for an administrator, as mail in the queue can: active, held.
alter table spool add column state text not null default 'active';
