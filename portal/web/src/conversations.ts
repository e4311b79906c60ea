// Letters and own replies, grouped into the conversations that they belong to: by what is signed, not by what the portal says.

import type { Account } from './account.js';
import type { AccountLetter, OwnReply } from './account-api.js';
import { type OpenLetter, type StoredLetter, Tampered, openWithAccount } from './letter.js';
import { type OpenReply, openOwnReply } from './own-reply.js';

export interface LetterEntry {
  readonly kind: 'letter';
  readonly stored: StoredLetter;
  readonly letter: OpenLetter;
  /** Seconds since 1970. */
  readonly date: number;
}

export interface ReplyEntry {
  readonly kind: 'reply';
  readonly stored: OwnReply;
  readonly reply: OpenReply;
  readonly date: number;
}

/** What didn't pass its checks, and so says nothing but that it is there. */
export interface BadEntry {
  readonly kind: 'bad';
  readonly date: number;
}

export type Entry = LetterEntry | ReplyEntry | BadEntry;

export interface Conversation {
  readonly subject: string;
  /** Newest first. */
  readonly entries: readonly Entry[];
}

/** A letter of the list, opened as far as its slip; `undefined` where it still opens by its link alone. */
export async function letterEntry(listed: AccountLetter, account: Account): Promise<Entry | undefined> {
  const { keyPacket } = listed;
  if (keyPacket === null) return undefined;
  const stored = { ...listed, keyPacket };
  return checked(listed.created, async () => {
    const letter = await openWithAccount(listed.pickup, stored, account);
    return { kind: 'letter', stored, letter, date: letter.slip.date };
  });
}

export function replyEntry(stored: OwnReply, account: Account): Promise<Entry> {
  return checked(stored.sent, async () => ({ kind: 'reply', stored, reply: await openOwnReply(stored, account), date: stored.sent }));
}

async function checked(date: number, work: () => Promise<Entry>): Promise<Entry> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof Tampered)) throw cause;
    return { kind: 'bad', date };
  }
}

/** Newest conversation first; one is as new as its newest entry. */
export function conversations(entries: readonly Entry[]): Conversation[] {
  const groups = new Map<string, Entry[]>();
  for (const [n, entry] of entries.entries()) {
    const name = conversationOf(entry) ?? `alone ${n}`;
    groups.set(name, [...(groups.get(name) ?? []), entry]);
  }
  return [...groups.values()]
    .map((group) => group.sort((a, b) => b.date - a.date))
    .sort((a, b) => (b[0]?.date ?? 0) - (a[0]?.date ?? 0))
    .map((group) => ({ subject: subjectOf(group), entries: group }));
}

function conversationOf(entry: Entry): string | undefined {
  if (entry.kind === 'letter') return entry.letter.slip.conversation;
  return entry.kind === 'reply' ? entry.reply.conversation : undefined;
}

// What the conversation began with, as far as it is still there.
function subjectOf(newestFirst: readonly Entry[]): string {
  for (const entry of [...newestFirst].reverse()) {
    if (entry.kind === 'letter') return entry.letter.slip.subject.trim();
    if (entry.kind === 'reply') return entry.reply.subject.trim();
  }
  return '';
}
