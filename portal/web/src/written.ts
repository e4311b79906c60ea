// The written form of what people keep and type: 20 bytes as 36 characters with a check, in groups of four. Link secrets
// (the pickup code) and recovery codes have it both.

import { type Bytes, crockford, crockfordValue, fiveBits, fromFiveBits } from './bytes.js';
import { ctx, sha256 } from './derive.js';

const SECRET = 32;
const CHECK = 4;

/** The 20 bytes of a written code; `undefined` where its check doesn't fit. What follows it doesn't matter. */
export async function parseWritten(written: string): Promise<Bytes | undefined> {
  const values: number[] = [];
  for (const character of written) {
    if (/[\s\-\u2010-\u2015]/.test(character)) continue;
    const value = crockfordValue(character);
    if (value < 0) return undefined;
    values.push(value);
    if (values.length === SECRET + CHECK) break;
  }
  if (values.length !== SECRET + CHECK) return undefined;
  const secret = fromFiveBits(values.slice(0, SECRET));
  if (secret === undefined) return undefined;
  const check = await checkOf(secret);
  return check.every((value, at) => value === values[SECRET + at]) ? secret : undefined;
}

/** The nine groups of four characters that 20 bytes are written in. */
export async function writtenGroups(secret: Bytes): Promise<string[]> {
  const check = crockford(Uint8Array.from((await sha256(ctx('check', secret))).subarray(0, 3))).slice(0, CHECK);
  return (crockford(secret) + check).toUpperCase().match(/.{4}/g) ?? [];
}

async function checkOf(secret: Bytes): Promise<number[]> {
  return fiveBits((await sha256(ctx('check', secret))).subarray(0, 3)).slice(0, CHECK);
}
