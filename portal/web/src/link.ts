// The half of the key that came with the mail: taken out of the address bar at once, or typed by hand.
//
// Security: the secret never goes to the server. It lies in the fragment, moves into sessionStorage (which survives
// reload, back and a discarded tab, and stays out of other tabs), and leaves the address bar. Mail scanners and mail
// programs append parameters and turn `#` into `%23`: both are undone here.

import { idBytes } from './bytes.js';

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
