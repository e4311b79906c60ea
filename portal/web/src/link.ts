// The half of the key that came with the mail: taken out of the address bar at once, or typed by hand.
//
// Security: the secret never goes to the server. It lies in the fragment, moves into sessionStorage (which survives
// reload, back and a discarded tab, and stays out of other tabs), and leaves the address bar. Mail scanners and mail
// programs append parameters and turn `#` into `%23`: both are undone here.

import { type Bytes, crockfordValue, fiveBits, fromFiveBits, idBytes } from './bytes.js';
import { ctx, sha256 } from './derive.js';

const SECRET = 32;
const CHECK = 4;

/** What the address of a pickup page holds. */
export interface PickupAddress {
  /** The pickup's id as text, or empty where there is none. */
  readonly pickup: string;
  /** The text after the `#`, still unchecked; empty where it was lost. */
  readonly written: string;
}

/** Takes a path such as `/p/<id>` and a fragment apart, whatever was done to them on the way. */
export function takeApart(path: string, fragment: string): PickupAddress {
  const rest = decoded(path.replace(/^\/p\//, ''));
  const hash = rest.indexOf('#');
  const beforeHash = hash < 0 ? rest : rest.slice(0, hash);
  const id = beforeHash.slice(0, 26).toLowerCase();
  const fromFragment = decoded(fragment.replace(/^#/, ''));
  const written = fromFragment === '' && hash >= 0 ? rest.slice(hash + 1) : fromFragment;
  return { pickup: idBytes(id) === undefined ? '' : id, written };
}

/** The 20 bytes of a written pickup code; `undefined` where its check doesn't fit. What follows it doesn't matter. */
export async function parseSecret(written: string): Promise<Bytes | undefined> {
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
  const check = fiveBits((await sha256(ctx('check', secret))).subarray(0, 3)).slice(0, CHECK);
  return check.every((value, at) => value === values[SECRET + at]) ? secret : undefined;
}

function decoded(text: string): string {
  let result = text;
  // Some mail programs encode twice.
  for (let round = 0; round < 3 && result.includes('%'); round += 1) {
    try {
      result = decodeURIComponent(result);
    } catch {
      break;
    }
  }
  return result;
}
