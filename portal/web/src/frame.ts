// OpenPGP packet framing: checked before the library sees the bytes, and written for what the browser seals.
//
// Security: a stored part is exactly one SEIPDv2 packet with AES-256 and GCM, a key row exactly one SKESKv6 or PKESKv6,
// an account file SKESKv6 packets and one data packet. The library alone would also try other packets with the same
// session key, and would look at the first encrypted packet only.
// Standards: RFC 9580 4.2 (framing), 5.1.2 (PKESK), 5.2.3 (signature), 5.3.2 (SKESK), 5.13.2 (SEIPD).

import { type Bytes, concat, equal, random, utf8 } from './bytes.js';

const AES256 = 9;
const GCM = 3;
const X25519 = 25;
const S2K_ITERATED = 3;
const SHA256 = 8;
const TAG = { pkesk: 1, signature: 2, skesk: 3, literal: 11, seipd: 18, padding: 21 };
const LARGEST_CHUNK_OCTET = 16;
const LARGEST_KEY_ROW = 1024;
const LARGEST_ACCOUNT_FILE = 16 * 1024;
const MOST_WAYS = 8;
const SKESK = 5 + 11 + 12 + 32 + 16; // head, specifier, nonce, key, tag
const FINGERPRINT = 32;
const WRAPPED_KEY = 40;
const SEIPD_HEAD = 36; // version, cipher, mode, chunk size, salt
const GCM_TAG = 16;
const LONG_HEADER = 6; // tag octet and five-octet length

export class ShapeError extends Error {}

interface Packet {
  readonly tag: number;
  readonly body: Uint8Array;
  /** More than one where the length was given in parts. */
  readonly pieces: number;
}

/** Refuses whatever isn't exactly one data packet of version 1 of sealing. */
export function checkDataPacket(stored: Uint8Array): void {
  checkData(onlyPacket(stored));
}

/** Refuses whatever isn't exactly one password key packet of version 1 of sealing. */
export function checkKeyPacket(stored: Uint8Array): void {
  if (stored.length > LARGEST_KEY_ROW) throw new ShapeError('a key packet of more than 1 KiB');
  checkPasswordKey(onlyPacket(stored));
}

/** Refuses whatever isn't exactly one key packet to the version 6 key of this fingerprint. */
export function checkWrappedKey(stored: Uint8Array, fingerprint: Uint8Array): void {
  if (stored.length > LARGEST_KEY_ROW) throw new ShapeError('a key packet of more than 1 KiB');
  const { tag, body, pieces } = onlyPacket(stored);
  // RFC 9580 5.1.2: version, length, key version, fingerprint, algorithm; 5.1.6: ephemeral key, length, wrapped key
  const key = 3 + FINGERPRINT;
  const fits =
    tag === TAG.pkesk &&
    pieces === 1 &&
    body.length === key + 1 + 32 + 1 + WRAPPED_KEY &&
    body[0] === 6 &&
    body[1] === 1 + FINGERPRINT &&
    body[2] === 6 &&
    equal(body.subarray(3, key), fingerprint) &&
    body[key] === X25519 &&
    body[key + 33] === WRAPPED_KEY;
  if (!fits) throw new ShapeError('not one PKESKv6 packet to this X25519 key');
}

/** Refuses whatever isn't exactly one signature of version 6. */
export function checkSignature(stored: Uint8Array): void {
  if (stored.length > LARGEST_KEY_ROW) throw new ShapeError('a signature of more than 1 KiB');
  const { tag, body } = onlyPacket(stored);
  if (tag !== TAG.signature || body[0] !== 6) throw new ShapeError('not one signature of version 6');
}

/** An account file taken apart. */
export interface AccountPackets {
  /** One password key packet per way to unlock. */
  readonly ways: readonly Bytes[];
  readonly data: Bytes;
}

/** Refuses whatever isn't one to eight password key packets and one data packet. */
export function accountPackets(file: Uint8Array): AccountPackets {
  if (file.length > LARGEST_ACCOUNT_FILE) throw new ShapeError('an account file of more than 16 KiB');
  const ways: Bytes[] = [];
  let at = 0;
  for (;;) {
    const next = packetAt(file, at);
    const bytes = Uint8Array.from(file.subarray(at, next.end));
    if (next.end === file.length) {
      checkData(next);
      if (ways.length === 0) throw new ShapeError('an account file that nothing unlocks');
      return { ways, data: bytes };
    }
    checkPasswordKey(next);
    ways.push(bytes);
    if (ways.length > MOST_WAYS) throw new ShapeError('an account file with too many ways to unlock it');
    at = next.end;
  }
}

function checkData({ tag, body }: Packet): void {
  const fits =
    tag === TAG.seipd &&
    body.length >= SEIPD_HEAD + 2 * GCM_TAG &&
    body[0] === 2 &&
    body[1] === AES256 &&
    body[2] === GCM &&
    (body[3] ?? 255) <= LARGEST_CHUNK_OCTET;
  if (!fits) throw new ShapeError('not one SEIPDv2 packet with AES-256 and GCM');
}

function checkPasswordKey({ tag, body, pieces }: Packet): void {
  // RFC 9580 5.3.2: version, count, cipher, mode, count, specifier (3.7.1.3), nonce, key, tag
  const fits =
    tag === TAG.skesk &&
    pieces === 1 &&
    body.length === SKESK &&
    body[0] === 6 &&
    body[2] === AES256 &&
    body[3] === GCM &&
    body[4] === 11 &&
    body[5] === S2K_ITERATED &&
    body[6] === SHA256;
  if (!fits) throw new ShapeError('not one SKESKv6 packet with AES-256 and GCM');
}

/** The one packet that the bytes are; nothing before or after it. */
function onlyPacket(bytes: Uint8Array): Packet {
  const packet = packetAt(bytes, 0);
  if (packet.end !== bytes.length) throw new ShapeError('something follows the packet');
  return packet;
}

function packetAt(bytes: Uint8Array, from: number): Packet & { end: number } {
  const first = bytes[from] ?? 0;
  if ((first & 0xc0) !== 0xc0) throw new ShapeError('not a packet in the current format');
  const pieces: Uint8Array[] = [];
  let at = from + 1;
  for (;;) {
    const { length, size, partial } = lengthAt(bytes, at);
    const start = at + size;
    if (start + length > bytes.length) throw new ShapeError('a packet is cut off');
    pieces.push(bytes.subarray(start, start + length));
    at = start + length;
    if (!partial) break;
  }
  const [only] = pieces;
  const body = pieces.length === 1 && only !== undefined ? only : concat(...pieces);
  return { tag: first & 0x3f, body, pieces: pieces.length, end: at };
}

// RFC 9580 4.2.1
function lengthAt(bytes: Uint8Array, at: number): { length: number; size: number; partial: boolean } {
  const octet = (offset: number): number => {
    const value = bytes[at + offset];
    if (value === undefined) throw new ShapeError('a length is cut off');
    return value;
  };
  const first = octet(0);
  if (first < 192) return { length: first, size: 1, partial: false };
  if (first < 224) return { length: ((first - 192) << 8) + octet(1) + 192, size: 2, partial: false };
  if (first < 255) return { length: 2 ** (first & 0x1f), size: 1, partial: true };
  const length = octet(1) * 2 ** 24 + (octet(2) << 16) + (octet(3) << 8) + octet(4);
  return { length, size: 5, partial: false };
}

/** A packet with the long form of its length, so that sizes can be reckoned. */
export function packet(tag: number, ...body: Uint8Array[]): Bytes {
  const length = body.reduce((sum, piece) => sum + piece.length, 0);
  const header = new Uint8Array(LONG_HEADER);
  header[0] = 0xc0 | tag;
  header[1] = 255;
  new DataView(header.buffer).setUint32(2, length);
  return concat(header, ...body);
}

/** What the library encrypted, checked, and written with one length instead of partial ones. */
export function wholePacket(sealed: Uint8Array): Bytes {
  checkDataPacket(sealed);
  return packet(TAG.seipd, onlyPacket(sealed).body);
}

/** Literal data without name and date. */
export function literalPacket(content: Uint8Array): Bytes {
  return packet(TAG.literal, utf8('b'), new Uint8Array(5), content);
}

/** What is to be sealed, then padding, so that the sealed packet gets its padded size exactly. */
export function padded(packets: Uint8Array, chunkOctet: number): Bytes {
  const bare = packets.length + LONG_HEADER;
  const target = paddedSize(sealedSize(bare, chunkOctet), chunkOctet);
  return concat(packets, packet(TAG.padding, random(plainSize(target, chunkOctet) - bare)));
}

/** What a size is rounded up to: at least 4 KiB, otherwise Padmé (at most 12 % more, and few different sizes). */
export function padme(size: number): number {
  if (size <= 4096) return 4096;
  const exponent = Math.floor(Math.log2(size));
  const step = 2 ** (exponent - Math.floor(Math.log2(exponent)) - 1);
  return Math.ceil(size / step) * step;
}

function paddedSize(size: number, chunkOctet: number): number {
  let target = padme(size);
  // A size can fall into the gap that a new chunk's tag makes: then the next one.
  while (plainSize(target, chunkOctet) < 0) target = padme(target + 1);
  return target;
}

function sealedSize(plain: number, chunkOctet: number): number {
  const chunks = Math.ceil(plain / 2 ** (chunkOctet + 6));
  return LONG_HEADER + SEIPD_HEAD + plain + GCM_TAG * (chunks + 1);
}

/** The plain size that is sealed to exactly `sealed` bytes; -1 where there is none. */
function plainSize(sealed: number, chunkOctet: number): number {
  const chunk = 2 ** (chunkOctet + 6);
  const room = sealed - LONG_HEADER - SEIPD_HEAD - GCM_TAG;
  const plain = room - GCM_TAG * Math.ceil(room / (chunk + GCM_TAG));
  return sealedSize(plain, chunkOctet) === sealed ? plain : -1;
}
