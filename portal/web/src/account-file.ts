// The account file: the reader's secret key and the organisation's pin, under an account key that each way to unlock
// (passphrase, recovery code) wraps in a packet of its own.
//
// Security: the server stores the file and may answer with any other; what lies inside is compared with what it claims
// before anything is done with the key, and its shape is checked before the library sees it.

import { type Bytes, base64url, concat, crockford, fromHex, fromUtf8, hex, idBytes, maybeBase64url, random, utf8 } from './bytes.js';
import { accountPackets } from './frame.js';
import { SealError, type SessionKey, openKeyPacket, openPlain, sealData, sealKeyByPassword } from './openpgp.js';
import { OwnKey } from './own-key.js';

const KIND = 'sealpost/v1/account';

/** What lies in an account file. */
export interface AccountContent {
  /** The account's id, 16 bytes. */
  readonly account: Bytes;
  /** The reader's canonical address. */
  readonly address: string;
  /** Fingerprint of the organisation's primary key, 32 bytes. */
  readonly organisation: Bytes;
  readonly key: OwnKey;
}

/** An account file that was unlocked, and can be wrapped for other ways to unlock it. */
export interface UnlockedFile {
  readonly content: AccountContent;
  /** The same file; the way that unlocked it is replaced, all others stay. */
  withThisWayReplaced(password: string): Promise<Bytes>;
  /** The same file with these ways to unlock it, and no others. */
  withWays(passwords: readonly string[]): Promise<Bytes>;
}

/** No way of the file fits the password. */
export class DoesNotUnlock extends Error {}

/** A new file, which each of these passwords unlocks. */
export async function makeAccountFile(content: AccountContent, passwords: readonly string[]): Promise<Bytes> {
  const accountKey = random(32);
  const json = JSON.stringify({
    is: KIND,
    account: crockford(content.account),
    address: content.address,
    organisation: hex(content.organisation).toUpperCase(),
    key: base64url(content.key.secret()),
  });
  return assemble(accountKey, passwords, await sealData(utf8(json), accountKey));
}

/** Throws `DoesNotUnlock` where the password isn't one of the file's; anything else is a file that isn't what it should be. */
export async function unlockAccountFile(file: Bytes, password: string): Promise<UnlockedFile> {
  const { ways, data } = accountPackets(file);
  for (const [n, way] of ways.entries()) {
    const accountKey = await tried(way, data, password);
    if (accountKey === undefined) continue;
    return {
      content: await parse(await openPlain(data, accountKey)),
      withThisWayReplaced: async (next) => {
        const replaced = await sealKeyByPassword(accountKey, next);
        return concat(...ways.map((kept, at) => (at === n ? replaced : kept)), data);
      },
      withWays: (passwords) => assemble(accountKey, passwords, data),
    };
  }
  throw new DoesNotUnlock('no way to unlock the account file fits');
}

async function assemble(accountKey: SessionKey, passwords: readonly string[], data: Bytes): Promise<Bytes> {
  const ways: Bytes[] = [];
  for (const password of passwords) ways.push(await sealKeyByPassword(accountKey, password));
  return concat(...ways, data);
}

async function tried(way: Bytes, data: Bytes, password: string): Promise<SessionKey | undefined> {
  try {
    return await openKeyPacket(way, data, password);
  } catch {
    // The shape was checked before: what is left is another password.
    return undefined;
  }
}

async function parse(bytes: Bytes): Promise<AccountContent> {
  const json = JSON.parse(fromUtf8(bytes)) as Record<string, unknown> | null;
  if (json?.['is'] !== KIND) throw new SealError('not an account file of version 1');
  const account = idBytes(String(json['account']));
  const organisation = fromHex(String(json['organisation']));
  const [address, key] = [json['address'], maybeBase64url(json['key'])];
  if (account === undefined || organisation?.length !== 32 || typeof address !== 'string' || key === undefined) {
    throw new SealError('an account file with members that are none');
  }
  return { account, address, organisation, key: await OwnKey.read(key, address) };
}
