// What a tab remembers: the link's secret, a half-written reply, a reply on its way. Phones discard tabs while their
// owner fetches a code, and bring them back empty but for this.
//
// Security: sessionStorage belongs to one tab and ends with it. Only the name of a request for a code, which is worthless
// without this browser's cookie, goes where a second tab can see it: the same link tapped again goes on there.

import { type Bytes, base64, base64url, fromBase64url } from './bytes.js';
import type { CodeRequest } from './api.js';

/** Files of a draft that are small enough to be kept, all together, in bytes. */
const KEPT_FILES = 2 * 1024 * 1024;

export interface DraftFile {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  /** Missing where the file was too large to be kept: then it has to be chosen again. */
  readonly bytes: Bytes | undefined;
}

export interface Draft {
  readonly text: string;
  readonly files: readonly DraftFile[];
}

export class Memory {
  constructor(private readonly pickup: string) {}

  secret(): Bytes | undefined {
    const kept = read(sessionStorage, this.key('secret'));
    return kept === undefined ? undefined : fromBase64url(kept);
  }

  keepSecret(secret: Bytes): void {
    write(sessionStorage, this.key('secret'), base64url(secret));
  }

  /** An address that was typed where there is no link. */
  address(): string | undefined {
    return read(sessionStorage, this.key('address'));
  }

  keepAddress(address: string): void {
    write(sessionStorage, this.key('address'), address);
  }

  /** Everything that was typed, once it led to a letter. */
  forgetTyped(): void {
    for (const name of ['secret', 'address']) remove(sessionStorage, this.key(name));
    this.forgetRequest();
  }

  /** A code that was asked for and still counts. */
  request(): CodeRequest | undefined {
    const kept = parsed<CodeRequest>(read(localStorage, this.key('request')));
    if (kept !== undefined && kept.expires * 1000 > Date.now()) return kept;
    this.forgetRequest();
    return undefined;
  }

  keepRequest(request: CodeRequest): void {
    write(localStorage, this.key('request'), JSON.stringify(request));
  }

  forgetRequest(): void {
    remove(localStorage, this.key('request'));
  }

  draft(): Draft | undefined {
    const text = read(sessionStorage, this.key('text'));
    const files = parsed<StoredFile[]>(read(sessionStorage, this.key('files'))) ?? [];
    if (text === undefined && files.length === 0) return undefined;
    return { text: text ?? '', files: files.map(unpack) };
  }

  keepText(text: string): void {
    write(sessionStorage, this.key('text'), text);
  }

  keepFiles(files: readonly DraftFile[]): void {
    let room = KEPT_FILES;
    const stored = files.map(({ name, type, size, bytes }): StoredFile => {
      if (bytes === undefined || size > room) return { name, type, size };
      room -= size;
      return { name, type, size, base64: base64(bytes) };
    });
    const names = stored.map(({ name, type, size }) => ({ name, type, size }));
    // The names must survive where the browser has no room for the files.
    if (!write(sessionStorage, this.key('files'), JSON.stringify(stored))) {
      write(sessionStorage, this.key('files'), JSON.stringify(names));
    }
  }

  forgetDraft(): void {
    remove(sessionStorage, this.key('text'));
    remove(sessionStorage, this.key('files'));
  }

  /** A reply that was handed over, and whose fate isn't known yet. */
  replyUnderWay(): string | undefined {
    return read(sessionStorage, this.key('reply'));
  }

  keepReplyUnderWay(reply: string): void {
    write(sessionStorage, this.key('reply'), reply);
  }

  forgetReplyUnderWay(): void {
    remove(sessionStorage, this.key('reply'));
  }

  private key(name: string): string {
    return `sealpost.${this.pickup}.${name}`;
  }
}

/** Letters whose link's secret this tab has. */
export function secretsInTab(): { pickup: string; secret: Bytes }[] {
  const found: { pickup: string; secret: Bytes }[] = [];
  for (const key of Object.keys(sessionStorage)) {
    const pickup = /^sealpost\.(\w{26})\.secret$/.exec(key)?.[1];
    const secret = pickup === undefined ? undefined : new Memory(pickup).secret();
    if (pickup !== undefined && secret !== undefined) found.push({ pickup, secret });
  }
  return found;
}

interface StoredFile {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly base64?: string;
}

function unpack({ name, type, size, base64: kept }: StoredFile): DraftFile {
  return { name, type, size, bytes: kept === undefined ? undefined : fromBase64url(kept) };
}

// Storage can be switched off, full, or hold what an older page wrote: then the page works without memory.
function read(storage: Storage, key: string): string | undefined {
  try {
    return storage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(storage: Storage, key: string, value: string): boolean {
  try {
    storage.setItem(key, value);
    return true;
  } catch {
    return false;
  }
}

function remove(storage: Storage, key: string): void {
  try {
    storage.removeItem(key);
  } catch {
    // Nothing was kept, then.
  }
}

function parsed<T>(text: string | undefined): T | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}
