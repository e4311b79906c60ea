// Bytes and their written forms: UTF-8, base64url, hexadecimal, and the Crockford base32 of ids and pickup codes.

/** Bytes that WebCrypto takes (never backed by shared memory). */
export type Bytes = Uint8Array<ArrayBuffer>;

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

export function utf8(text: string): Bytes {
  return Uint8Array.from(new TextEncoder().encode(text));
}

/** Throws on bytes that are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
}

export function concat(...pieces: Uint8Array[]): Bytes {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** A whole number as 8 bytes, the highest first. */
export function eightBytes(value: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  a.forEach((byte, at) => (difference |= byte ^ (b[at] ?? 256)));
  return difference === 0;
}

export function random(length: number): Bytes {
  const bytes = new Uint8Array(length);
  // The browser gives at most 65,536 bytes at once.
  for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, length)));
  return bytes;
}

export function base64url(bytes: Uint8Array): string {
  return base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

export function fromBase64url(text: string): Bytes {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

export function base64(bytes: Uint8Array): string {
  let binary = '';
  for (let at = 0; at < bytes.length; at += 0x8000) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(binary);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** `undefined` where the text isn't pairs of hexadecimal digits. */
export function fromHex(text: string): Bytes | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** For bytes from outside: `undefined` where the text isn't base64url. */
export function maybeBase64url(text: unknown): Bytes | undefined {
  return typeof text === 'string' && /^[\w-]*$/.test(text) && text.length % 4 !== 1 ? fromBase64url(text) : undefined;
}

/** The value of one character of Crockford's alphabet, with the spellings that people mistake for others. */
export function crockfordValue(character: string): number {
  const lower = character.toLowerCase();
  if (lower === 'o') return 0;
  if (lower === 'i' || lower === 'l') return 1;
  return lower.length === 1 ? CROCKFORD.indexOf(lower) : -1;
}

/** Values of five bits each, the highest bit first. */
export function fiveBits(bytes: Uint8Array): number[] {
  const values: number[] = [];
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      values.push((held >> bits) & 31);
    }
  }
  if (bits > 0) values.push((held << (5 - bits)) & 31);
  return values;
}

export function crockford(bytes: Uint8Array): string {
  return fiveBits(bytes).map((value) => CROCKFORD.charAt(value)).join('');
}

/** The bytes of values of five bits; `undefined` where bits are left over that aren't zero. */
export function fromFiveBits(values: number[]): Bytes | undefined {
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (const value of values) {
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((held >> bits) & 255);
    }
  }
  return (held & ((1 << bits) - 1)) === 0 ? Uint8Array.from(bytes) : undefined;
}

/** The 16 bytes of a written id; `undefined` where the text is none. */
export function idBytes(text: string): Bytes | undefined {
  const values = Array.from(text, crockfordValue);
  if (values.length !== 26 || values.includes(-1)) return undefined;
  return fromFiveBits(values);
}
