// What a tab remembers of an account that it unlocked, so that a reload, or a phone that discards the tab, doesn't ask for
// the passphrase again; and how all of it is forgotten.
//
// Security: sessionStorage belongs to one tab and ends with it. The key lies there in the clear while the tab is signed in:
// until the sign-out, or as long without use as the server's own session lives.

import type { AccountContent } from './account-file.js';
import { type Bytes, base64url, crockford, fromHex, hex, idBytes, maybeBase64url } from './bytes.js';
import { OwnKey } from './own-key.js';

const ACCOUNT = 'sealpost.account';
const RECOVERY = 'sealpost.recovery';
const RETURN = 'sealpost.return';
const SHOWN = 'sealpost.shown';
/** As long as the server's session, in milliseconds. */
const IDLE = 2 * 3600 * 1000;

/** As long as the server lets a shown code count for recovery, in milliseconds. */
const SHOWN_COUNTS = 20 * 60 * 1000;

interface Kept {
  readonly account: string;
  readonly address: string;
  readonly organisation: string;
  readonly key: string;
  readonly used: number;
}

/** Keeps what lay in the account file for this tab. */
export function keepUnlocked({ account, address, organisation, key }: AccountContent): void {
  const kept: Kept = {
    account: crockford(account),
    address,
    organisation: hex(organisation),
    key: base64url(key.secret()),
    used: Date.now(),
  };
  write(ACCOUNT, JSON.stringify(kept));
}

/** What this tab unlocked, unless it was idle for too long. */
export async function recallUnlocked(): Promise<AccountContent | undefined> {
  const kept = current();
  if (kept === undefined) return undefined;
  const account = idBytes(kept.account);
  const organisation = fromHex(kept.organisation);
  const key = maybeBase64url(kept.key);
  if (account === undefined || organisation === undefined || key === undefined) return undefined;
  touch();
  return { account, address: kept.address, organisation, key: await OwnKey.read(key, kept.address) };
}

/** Whether this tab has an account unlocked; forgets one that was idle for too long. */
export function isUnlocked(): boolean {
  return current() !== undefined;
}

/** The reader does something. */
export function touch(): void {
  const kept = current();
  if (kept !== undefined) write(ACCOUNT, JSON.stringify({ ...kept, used: Date.now() }));
}

function current(): Kept | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(ACCOUNT) ?? 'null') as Kept | null;
    if (kept === null) return undefined;
    const idle = Date.now() - kept.used;
    if (idle >= 0 && idle < IDLE) return kept;
    forgetUnlocked();
  } catch {
    // Storage is switched off, or holds what an older page wrote.
  }
  return undefined;
}

/** A recovery code that its owner has not confirmed to have kept: a phone may discard the tab while they write it down. */
export function keepRecovery(account: Bytes, code: Bytes): void {
  write(RECOVERY, JSON.stringify({ account: crockford(account), code: base64url(code) }));
}

export function recallRecovery(account: Bytes): Bytes | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(RECOVERY) ?? 'null') as { account: string; code: string } | null;
    return kept?.account === crockford(account) ? maybeBase64url(kept.code) : undefined;
  } catch {
    return undefined;
  }
}

export function forgetRecovery(): void {
  remove(RECOVERY);
}

/** The account of a mailbox that a code was shown for: the recovery code is all that it still takes. */
export function keepShown(account: string): void {
  write(SHOWN, JSON.stringify({ account, until: Date.now() + SHOWN_COUNTS }));
}

/** While the code counts. */
export function recallShown(): string | undefined {
  try {
    const kept = JSON.parse(sessionStorage.getItem(SHOWN) ?? 'null') as { account: string; until: number } | null;
    if (kept !== null && kept.until > Date.now() && idBytes(kept.account) !== undefined) return kept.account;
  } catch {
    // Storage is switched off, or holds what an older page wrote.
  }
  return undefined;
}

export function forgetShown(): void {
  remove(SHOWN);
}

/** The letter to come back to after signing in. */
export function keepReturn(pickup: string): void {
  write(RETURN, pickup);
}

/** Once. */
export function takeReturn(): string | undefined {
  let pickup: string | null = null;
  try {
    pickup = sessionStorage.getItem(RETURN);
  } catch {
    // Nothing was kept, then.
  }
  remove(RETURN);
  return pickup !== null && idBytes(pickup) !== undefined ? pickup : undefined;
}

/** The key and the recovery code; drafts and links stay. */
export function forgetUnlocked(): void {
  remove(ACCOUNT);
  remove(RECOVERY);
}

/** Everything of ours, in this tab and where other tabs see it. */
export function forgetEverything(): void {
  for (const storage of [() => sessionStorage, () => localStorage]) {
    try {
      const ours = Object.keys(storage()).filter((key) => key.startsWith('sealpost.'));
      for (const key of ours) storage().removeItem(key);
    } catch {
      // Nothing was kept, then.
    }
  }
}

function write(key: string, value: string): void {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // The page works without memory, then.
  }
}

function remove(key: string): void {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // Nothing was kept, then.
  }
}
