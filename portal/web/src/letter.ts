// A letter, opened in the reader's browser: key packet, slip, parts.
//
// Security: nothing is handed out before its end was authenticated. The slip's signature is checked with the certificate
// whose fingerprint the link's own derivation is bound to; each part is checked against the slip before it is opened.

import { type Bytes, equal, fromBase64url, fromHex, hex, idBytes, utf8 } from './bytes.js';
import { type Binding, openPassword, sha256, statement, voiceKey } from './derive.js';
import { ShapeError } from './frame.js';
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

/** What the portal releases to a session that proved itself. Binary members in base64url. */
export interface Pickup {
  readonly pickup: string;
  readonly letter: string;
  readonly reader: string;
  readonly organisation: string;
  readonly certificate: string;
  readonly share: string;
  readonly keyPacket: string;
  readonly slip: string;
  readonly parts: readonly number[];
  readonly expires: number;
}

/** The link's secret isn't the one of this letter. */
export class WrongSecret extends Error {}

/** The letter was changed, or isn't what it says it is. */
export class Tampered extends Error {}

/** A letter whose slip was verified. */
export interface OpenLetter {
  readonly slip: Slip;
  readonly reader: string;
  readonly certificate: Certificate;
  readonly binding: Binding;
  /** Says, for the sender, that the letter was opened. */
  openedStatement(): Promise<Bytes>;
  /** States in this reader's name. */
  state(label: string, ...fields: Bytes[]): Promise<Bytes>;
  /** Opens a stored part. */
  open(part: SlipPart, stored: Bytes): Promise<Bytes>;
}

/** Opens the letter of the pickup that was asked for. */
export async function openLetter(asked: string, pickup: Pickup, link: Bytes): Promise<OpenLetter> {
  const material = await unpack(asked, pickup);
  const { binding, certificate } = material;
  const share = material.share;
  const key = await sessionKey(material, await openPassword(link, share, binding));
  const voice = await voiceKey(link, share, binding);
  const slip = await tampering(async () => {
    const verified = parseSlip(await openSigned(material.slip, key, certificate));
    checkSlip(verified, pickup);
    return verified;
  });
  const state = (label: string, ...fields: Bytes[]): Promise<Bytes> => statement(voice, label, binding, ...fields);
  return {
    slip,
    reader: pickup.reader,
    certificate,
    binding,
    state,
    openedStatement: async () => state('opened', await sha256(material.slip)),
    open: (part, stored) => tampering(() => openPart(part, stored, key)),
  };
}

interface Material {
  readonly binding: Binding;
  readonly certificate: Certificate;
  readonly share: Bytes;
  readonly keyPacket: Bytes;
  readonly slip: Bytes;
}

async function unpack(asked: string, pickup: Pickup): Promise<Material> {
  return tampering(async () => {
    const id = idBytes(pickup.pickup);
    const letter = idBytes(pickup.letter);
    const organisation = fromHex(pickup.organisation);
    const share = fromBase64url(pickup.share);
    if (id === undefined || letter === undefined || pickup.pickup !== asked) throw new SealError('another pickup');
    if (organisation?.length !== 32 || share.length !== 32) throw new SealError('a share or fingerprint of another length');
    return {
      binding: { pickup: id, letter, reader: utf8(pickup.reader), organisation },
      certificate: await readCertificate(fromBase64url(pickup.certificate), hex(organisation)),
      share,
      keyPacket: fromBase64url(pickup.keyPacket),
      slip: fromBase64url(pickup.slip),
    };
  });
}

// A wrong secret and a changed key packet look the same from here: neither opens.
async function sessionKey(material: Material, password: string): Promise<SessionKey> {
  try {
    return await openKeyPacket(material.keyPacket, material.slip, password);
  } catch (cause) {
    if (cause instanceof ShapeError || cause instanceof SealError) {
      throw new Tampered('the key packet does not pass its checks', { cause });
    }
    throw new WrongSecret('the key packet does not open', { cause });
  }
}

function checkSlip(slip: Slip, pickup: Pickup): void {
  if (slip.letter !== pickup.letter) throw new SealError('a slip of another letter');
  if (!slip.readers.includes(pickup.reader)) throw new SealError('a slip for other readers');
  if (slip.organisation.toUpperCase() !== pickup.organisation.toUpperCase()) {
    throw new SealError('a slip of another organisation');
  }
  if (slip.parts.length !== pickup.parts.length) throw new SealError('a slip over another number of parts');
}

async function openPart(part: SlipPart, stored: Bytes, key: SessionKey): Promise<Bytes> {
  const expected = fromHex(part.sha256);
  if (expected === undefined || !equal(await sha256(stored), expected)) {
    throw new SealError('a part that the slip does not name');
  }
  const content = await openPlain(stored, key);
  if (content.length !== part.size) throw new SealError('a part of another size');
  return content;
}

async function tampering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new Tampered('the letter does not pass its checks', { cause });
  }
}
