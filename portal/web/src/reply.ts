// A reply, sealed in the browser to the organisation's certificate, with the statement of who wrote it inside.

import { type Bytes, crockford, hex, random, utf8 } from './bytes.js';
import { sha256 } from './derive.js';
import type { OpenLetter } from './letter.js';
import { type SessionKey, sealData, sealKey, sealPackets } from './openpgp.js';

export interface Enclosure {
  readonly name: string;
  readonly type: string;
  readonly bytes: Bytes;
}

export interface ReplyContent {
  readonly subject: string;
  readonly text: string;
  readonly enclosures: readonly Enclosure[];
}

export interface SealedReply {
  /** Its id as text; used once. */
  readonly id: string;
  /** What it is sealed with. */
  readonly key: SessionKey;
  readonly keyPacket: Bytes;
  /** The reply's slip first, then its text, then the enclosures. */
  readonly parts: readonly Bytes[];
}

/** Seals a reply to a letter. */
export async function sealReply(letter: OpenLetter, content: ReplyContent): Promise<SealedReply> {
  const id = random(16);
  const key = random(32);
  const body: Enclosure = { name: '', type: 'text/plain', bytes: utf8(content.text) };
  const parts: Bytes[] = [];
  const listed: object[] = [];
  for (const { name, type, bytes } of [body, ...content.enclosures]) {
    const sealed = await sealData(bytes, key);
    parts.push(sealed);
    const n = parts.length;
    const kind = n === 1 ? 'body' : 'enclosure';
    listed.push({ n, kind, name, type, size: bytes.length, sha256: hex(await sha256(sealed)) });
  }
  const slip = utf8(
    JSON.stringify({
      is: 'sealpost/v1/reply',
      reply: crockford(id),
      letter: letter.slip.letter,
      conversation: letter.slip.conversation,
      from: letter.reader,
      organisation: hex(letter.organisation).toUpperCase(),
      subject: content.subject,
      parts: listed,
    }),
  );
  parts.unshift(await sealPackets(await letter.voice.replySlip(id, slip), key));
  return { id: crockford(id), key, keyPacket: await sealKey(key, letter.certificate), parts };
}
