-- writer: gateway. Which attempt at its message wrote a content: a later one replaces it, an earlier one that comes late doesn't.
alter table contents add column attempt integer not null default 0;
