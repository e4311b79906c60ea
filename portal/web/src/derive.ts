// What SEALING.md derives and hashes, by WebCrypto: contexts, the pickup's password and voice key, statements, and the
// passwords of the account file.

import { type Bytes, base64url, concat, utf8 } from './bytes.js';

/** The names that every derivation of one pickup is bound to. */
export interface Binding {
  /** The pickup's id, 16 bytes. */
  readonly pickup: Bytes;
  /** The letter's id, 16 bytes. */
  readonly letter: Bytes;
  /** The reader's canonical address, UTF-8. */
  readonly reader: Bytes;
  /** Fingerprint of the organisation's primary key, 32 bytes. */
  readonly organisation: Bytes;
}

/** `sealpost/v1/<label>`, one zero byte, then each field with its length as 16 bits big-endian. */
export function ctx(label: string, ...fields: Uint8Array[]): Bytes {
  const pieces: Uint8Array[] = [utf8(`sealpost/v1/${label}`), Uint8Array.of(0)];
  for (const field of fields) {
    if (field.length > 0xffff) throw new RangeError('a field of a context is longer than 65,535 bytes');
    pieces.push(Uint8Array.of(field.length >> 8, field.length & 255), field);
  }
  return concat(...pieces);
}

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}

// RFC 5869, both steps: extract with the salt, expand with the info
async function hkdf(ikm: Bytes, salt: Bytes, info: Bytes): Promise<Bytes> {
  const key = await crypto.subtle.importKey('raw', ikm, 'HKDF', false, ['deriveBits']);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt, info }, key, 256));
}

function bound(label: string, { letter, reader, organisation }: Binding): Bytes {
  return ctx(label, letter, reader, organisation);
}

/** The password of the pickup's key packet. */
export async function openPassword(link: Bytes, share: Bytes, binding: Binding): Promise<string> {
  return base64url(await hkdf(concat(link, share), binding.pickup, bound('open', binding)));
}

/** The key that vouches for what this reader says, and opens nothing. */
export async function voiceKey(link: Bytes, share: Bytes, binding: Binding): Promise<CryptoKey> {
  const bytes = await hkdf(concat(link, share), binding.pickup, bound('voice', binding));
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
}

/** A statement of this reader: HMAC over its label, the binding and what is stated. */
export async function statement(voice: CryptoKey, label: string, binding: Binding, ...fields: Bytes[]): Promise<Bytes> {
  const { pickup, letter, reader, organisation } = binding;
  const message = ctx(`say/${label}`, pickup, letter, reader, organisation, ...fields);
  return new Uint8Array(await crypto.subtle.sign('HMAC', voice, message));
}

/** What unlocks the account file with OPAQUE's export key. */
export async function passphrasePassword(account: Bytes, exportKey: Bytes): Promise<string> {
  return base64url(await hkdf(exportKey, account, ctx('unlock/passphrase')));
}

/** What unlocks the account file with the recovery code. */
export async function recoveryPassword(account: Bytes, code: Bytes): Promise<string> {
  return base64url(await hkdf(code, account, ctx('unlock/recovery')));
}

/** What proves to the gateway, which has its hash, that somebody has the recovery code. */
export async function recoveryProof(account: Bytes, code: Bytes): Promise<Bytes> {
  return hkdf(code, account, ctx('recovery-proof'));
}
