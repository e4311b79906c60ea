// The slip: what a letter says about itself, read only after its signature was verified.

import { fromUtf8 } from './bytes.js';
import { SealError } from './openpgp.js';

export interface Mailbox {
  readonly name: string;
  readonly address: string;
}

export interface SlipPart {
  readonly n: number;
  readonly kind: 'body' | 'enclosure';
  readonly name: string;
  readonly type: string;
  readonly size: number;
  /** SHA-256 of the stored packet, hexadecimal. */
  readonly sha256: string;
}

export interface Slip {
  readonly letter: string;
  readonly conversation: string;
  readonly readers: readonly string[];
  readonly from: readonly Mailbox[];
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  /** Seconds since 1970. */
  readonly date: number;
  readonly subject: string;
  readonly expires: number;
  readonly organisation: string;
  readonly parts: readonly SlipPart[];
}

const MOST_PARTS = 1000;

/** Unknown members are ignored; an unknown kind of statement, or a member of another type, is refused. */
export function parseSlip(bytes: Uint8Array): Slip {
  const json = record(JSON.parse(fromUtf8(bytes)));
  if (json['is'] !== 'sealpost/v1/slip') throw new SealError('not a slip of version 1');
  const parts = list(json['parts']).map(slipPart);
  if (parts.length > MOST_PARTS || parts.some((part, at) => part.n !== at)) {
    throw new SealError('the parts of a slip are not in order');
  }
  return {
    letter: text(json['letter']),
    conversation: text(json['conversation']),
    readers: list(json['for']).map(text),
    from: list(json['from']).map(mailbox),
    to: list(json['to']).map(mailbox),
    cc: list(json['cc']).map(mailbox),
    date: whole(json['date']),
    subject: text(json['subject']),
    expires: whole(json['expires']),
    organisation: text(json['organisation']),
    parts,
  };
}

export function slipPart(value: unknown): SlipPart {
  const json = record(value);
  const kind = json['kind'];
  if (kind !== 'body' && kind !== 'enclosure') throw new SealError('a part of an unknown kind');
  return {
    n: whole(json['n']),
    kind,
    name: text(json['name']),
    type: text(json['type']),
    size: whole(json['size']),
    sha256: text(json['sha256']).toLowerCase(),
  };
}

function mailbox(value: unknown): Mailbox {
  const json = record(value);
  return { name: text(json['name']), address: text(json['address']) };
}

export function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SealError('not an object');
  return value as Record<string, unknown>;
}

export function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new SealError('not a list');
  return value;
}

export function text(value: unknown): string {
  if (typeof value !== 'string') throw new SealError('not a text');
  return value;
}

function whole(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new SealError('not a whole number');
  return value;
}
