// A reply that its writer sent, opened again with their own key.
//
// Security: the portal keeps it, so it is checked like a letter: signed by the writer's own key, about the letter that it
// is listed under, and each part against its hash.

import type { Account } from './account.js';
import type { OwnReply } from './account-api.js';
import { type Bytes, fromBase64url, fromUtf8, hex } from './bytes.js';
import { openPart, tampering } from './letter.js';
import { SealError, openSigned } from './openpgp.js';
import { type SlipPart, list, record, slipPart, text } from './slip.js';

export interface OpenReply {
  readonly subject: string;
  readonly conversation: string;
  readonly parts: readonly SlipPart[];
  open(part: SlipPart, stored: Bytes): Promise<Bytes>;
}

export function openOwnReply(stored: OwnReply, account: Account): Promise<OpenReply> {
  return tampering(async () => {
    const slip = fromBase64url(stored.slip);
    const key = await account.key.unwrap(fromBase64url(stored.keyPacket), slip);
    const json = record(JSON.parse(fromUtf8(await openSigned(slip, key, account.key.publicKey()))));
    const expected: Record<string, string> = {
      is: 'sealpost/v1/reply',
      reply: stored.reply,
      letter: stored.letter,
      from: account.reader,
      organisation: hex(account.organisation).toUpperCase(),
    };
    for (const [name, value] of Object.entries(expected)) {
      if (json[name] !== value) throw new SealError(`a reply with another ${name}`);
    }
    const parts = list(json['parts']).map(slipPart);
    if (parts.length !== stored.parts.length - 1 || parts.some((part, at) => part.n !== at + 1)) {
      throw new SealError('a reply with other parts');
    }
    const open = (part: SlipPart, bytes: Bytes): Promise<Bytes> => tampering(() => openPart(part, bytes, key));
    return { subject: text(json['subject']), conversation: text(json['conversation']), parts, open };
  });
}
