-- What a mail's sender asked to be told of each recipient (RFC 3461), as in the commands; empty: nothing was asked.
-- utf8: whether the mail came as an internationalized one; warned: whether the sender was told that it takes longer.
alter table queue add column notify text not null default '';
alter table queue add column orcpt text not null default '';
alter table queue add column ret text not null default '';
alter table queue add column envid text not null default '';
alter table queue add column utf8 integer not null default 0;
alter table queue add column warned integer not null default 0;
