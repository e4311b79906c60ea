// A letter, opened in the reader's browser: key packet, slip, parts; by the link's secret, or by the account's own key.
//
// Security: nothing is handed out before its end was authenticated. The slip's signature is checked with the certificate
// whose fingerprint the link's own derivation is bound to, or that the account file pins; each part is checked against the
// slip before it is opened.

import type { Account } from './account.js';
import { type Bytes, concat, equal, fromBase64url, fromHex, hex, idBytes, utf8 } from './bytes.js';
import { type Binding, openPassword, sha256, statement, voiceKey } from './derive.js';
import { ShapeError, literalPacket } from './frame.js';
import {
  type Certificate,
  SealError,
  type SessionKey,
  openKeyPacket,
  openPlain,
  openSigned,
  readCertificate,
} from './openpgp.js';
import { type Slip, type SlipPart, parseSlip } from './slip.js';

/** A letter as it is stored, for one reader. Binary members in base64url. */
export interface StoredLetter {
  readonly pickup: string;
  readonly letter: string;
  readonly organisation: string;
  readonly keyPacket: string;
  readonly slip: string;
  readonly parts: readonly number[];
  readonly expires: number;
}

/** What the portal releases to a session that proved itself. */
export interface Pickup extends StoredLetter {
  readonly reader: string;
  readonly certificate: string;
  /** Empty where the key packet is one to the reader's own key. */
  readonly share: string;
  /** How the letter is opened from now on. */
  readonly way?: 'link' | 'account';
  /** Whether the reader has an account: then only the account speaks for them. */
  readonly enrolled?: boolean;
}

/** The link's secret isn't the one of this letter. */
export class WrongSecret extends Error {}

/** The letter was changed, or isn't what it says it is. */
export class Tampered extends Error {}

/** How the reader of an open letter speaks to the organisation. */
export interface Voice {
  /** Says, for the sender, that the letter was opened. */
  opened(): Promise<Bytes>;
  /** The packets of a reply's slip: its JSON, with the statement that this reader wrote it. */
  replySlip(reply: Bytes, json: Bytes): Promise<Bytes>;
}

/** A letter whose slip was verified. */
export interface OpenLetter {
  readonly slip: Slip;
  readonly reader: string;
  readonly organisation: Bytes;
  readonly certificate: Certificate;
  /** What all parts are sealed with. */
  readonly key: SessionKey;
  readonly voice: Voice;
  /** Opens a stored part. */
  open(part: SlipPart, stored: Bytes): Promise<Bytes>;
}

/** A letter that was opened by its link: its reader can state things with the voice key. */
export interface LinkLetter extends OpenLetter {
  readonly binding: Binding;
  state(label: string, ...fields: Bytes[]): Promise<Bytes>;
}

/** Opens the letter of the pickup that was asked for. */
export async function openLetter(asked: string, pickup: Pickup, link: Bytes): Promise<LinkLetter> {
  const material = await unpack(asked, pickup);
  const share = await tampering(async () => {
    const bytes = fromBase64url(pickup.share);
    if (bytes.length !== 32) throw new SealError('a share of another length');
    return bytes;
  });
  const certificate = await tampering(async () =>
    readCertificate(fromBase64url(pickup.certificate), hex(material.organisation)),
  );
  const { id, letter, organisation } = material;
  const binding = { pickup: id, letter, reader: utf8(pickup.reader), organisation };
  const key = await keyByPassword(material, await openPassword(link, share, binding));
  const voiced = await voiceKey(link, share, binding);
  const state = (label: string, ...fields: Bytes[]): Promise<Bytes> => statement(voiced, label, binding, ...fields);
  const voice: Voice = {
    opened: async () => state('opened', await sha256(material.slip)),
    replySlip: async (reply, json) => literalPacket(concat(await state('reply', reply, await sha256(json)), json)),
  };
  return { ...(await opened(pickup, pickup.reader, material, certificate, key, voice)), binding, state };
}

/** Opens a letter that is sealed to the account's own key. The portal's word counts for nothing but where the letter lies. */
export async function openWithAccount(asked: string, stored: StoredLetter, account: Account): Promise<OpenLetter> {
  const material = await unpack(asked, stored);
  const key = await tampering(async () => {
    if (!equal(material.organisation, account.organisation)) throw new SealError('a letter of another organisation');
    return account.key.unwrap(material.keyPacket, material.slip);
  });
  const voice: Voice = {
    opened: async () => account.receipt(material.letter, await sha256(material.slip), material.keyPacket),
    replySlip: (_reply, json) => account.key.signed(json),
  };
  return opened(stored, account.reader, material, account.certificate, key, voice);
}

interface Material {
  readonly id: Bytes;
  readonly letter: Bytes;
  readonly organisation: Bytes;
  readonly keyPacket: Bytes;
  readonly slip: Bytes;
}

async function unpack(asked: string, stored: StoredLetter): Promise<Material> {
  return tampering(async () => {
    const id = idBytes(stored.pickup);
    const letter = idBytes(stored.letter);
    const organisation = fromHex(stored.organisation);
    if (id === undefined || letter === undefined || stored.pickup !== asked) throw new SealError('another pickup');
    if (organisation?.length !== 32) throw new SealError('a fingerprint of another length');
    return { id, letter, organisation, keyPacket: fromBase64url(stored.keyPacket), slip: fromBase64url(stored.slip) };
  });
}

async function opened(
  stored: StoredLetter,
  reader: string,
  { organisation, slip: packet }: Material,
  certificate: Certificate,
  key: SessionKey,
  voice: Voice,
): Promise<OpenLetter> {
  const slip = await tampering(async () => {
    const verified = parseSlip(await openSigned(packet, key, certificate));
    checkSlip(verified, stored, reader);
    return verified;
  });
  const open = (part: SlipPart, bytes: Bytes): Promise<Bytes> => tampering(() => openPart(part, bytes, key));
  return { slip, reader, organisation, certificate, key, voice, open };
}

// A wrong secret and a changed key packet look the same from here: neither opens.
async function keyByPassword(material: Material, password: string): Promise<SessionKey> {
  try {
    return await openKeyPacket(material.keyPacket, material.slip, password);
  } catch (cause) {
    if (cause instanceof ShapeError || cause instanceof SealError) {
      throw new Tampered('the key packet does not pass its checks', { cause });
    }
    throw new WrongSecret('the key packet does not open', { cause });
  }
}

function checkSlip(slip: Slip, stored: StoredLetter, reader: string): void {
  if (slip.letter !== stored.letter) throw new SealError('a slip of another letter');
  if (!slip.readers.includes(reader)) throw new SealError('a slip for other readers');
  if (slip.organisation.toUpperCase() !== stored.organisation.toUpperCase()) {
    throw new SealError('a slip of another organisation');
  }
  if (slip.parts.length !== stored.parts.length) throw new SealError('a slip over another number of parts');
}

/** Opens a part after its hash was compared with what the slip says. */
export async function openPart(part: SlipPart, stored: Bytes, key: SessionKey): Promise<Bytes> {
  const expected = fromHex(part.sha256);
  if (expected === undefined || !equal(await sha256(stored), expected)) {
    throw new SealError('a part that the slip does not name');
  }
  const content = await openPlain(stored, key);
  if (content.length !== part.size) throw new SealError('a part of another size');
  return content;
}

/** Whatever goes wrong in here is a sign of bytes that were changed. */
export async function tampering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new Tampered('the letter does not pass its checks', { cause });
  }
}
