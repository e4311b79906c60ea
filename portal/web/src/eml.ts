// The letter as a mail file, put together in the browser from what was opened: for those who keep their mail.
//
// Standards: RFC 5322 (fields), RFC 2045-2047 (MIME, encoded words), RFC 2231 (names of enclosures).

import { type Bytes, base64, concat, crockford, random, utf8 } from './bytes.js';
import { safeName } from './save.js';
import type { Mailbox, Slip, SlipPart } from './slip.js';

/** A part and its content. */
export interface OpenPart {
  readonly part: SlipPart;
  readonly bytes: Bytes;
}

/** The whole letter in one file, lines ended by CRLF. */
export function mailFile(slip: Slip, parts: readonly OpenPart[]): Bytes {
  const bodies = parts.filter(({ part }) => part.kind === 'body');
  // RFC 2046 5.1.4: the richest form last
  bodies.sort((a, b) => Number(a.part.type === 'text/html') - Number(b.part.type === 'text/html'));
  const enclosures = parts.filter(({ part }) => part.kind === 'enclosure');
  const fields = [
    `From: ${mailboxes(slip.from)}`,
    `To: ${mailboxes(slip.to)}`,
    ...(slip.cc.length > 0 ? [`Cc: ${mailboxes(slip.cc)}`] : []),
    `Date: ${new Date(slip.date * 1000).toUTCString().replace('GMT', '+0000')}`,
    `Subject: ${phrase(slip.subject)}`,
    `Message-ID: <${slip.letter}@sealpost.invalid>`,
    'MIME-Version: 1.0',
  ];
  const text = multipart('alternative', bodies.map(bodyPart));
  const whole = multipart('mixed', [text, ...enclosures.map(enclosurePart)]);
  return concat(utf8(`${fields.join('\r\n')}\r\n`), whole);
}

function bodyPart({ part, bytes }: OpenPart): Bytes {
  return encoded([`Content-Type: ${mediaType(part.type)}; charset=utf-8`], bytes);
}

function enclosurePart({ part, bytes }: OpenPart): Bytes {
  const name = percent(safeName(part.name, 'attachment'));
  return encoded(
    [`Content-Type: ${mediaType(part.type)}`, `Content-Disposition: attachment;\r\n filename*=utf-8''${name}`],
    bytes,
  );
}

function encoded(fields: string[], bytes: Bytes): Bytes {
  const lines = base64(bytes).match(/.{1,76}/g) ?? [];
  return utf8([...fields, 'Content-Transfer-Encoding: base64', '', ...lines, ''].join('\r\n'));
}

function multipart(kind: string, parts: Bytes[]): Bytes {
  const boundary = `sealpost-${crockford(random(16))}`;
  const head = `Content-Type: multipart/${kind};\r\n boundary="${boundary}"\r\n\r\n`;
  const pieces = parts.flatMap((part) => [utf8(`--${boundary}\r\n`), part, utf8('\r\n')]);
  return concat(utf8(head), ...pieces, utf8(`--${boundary}--\r\n`));
}

// Anything else than type/subtype would be a place to write further fields.
function mediaType(type: string): string {
  return /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type : 'application/octet-stream';
}

function mailboxes(list: readonly Mailbox[]): string {
  const written = list.map(({ name, address }) => {
    const safe = /^[!-~]+@[!-~]+$/.test(address) ? address : 'unknown@invalid';
    return name === '' ? `<${safe}>` : `${phrase(name)} <${safe}>`;
  });
  return written.length > 0 ? written.join(',\r\n ') : 'undisclosed-recipients:;';
}

// RFC 2047: whole characters, at most 75 octets a word
function phrase(text: string): string {
  if (/^[A-Za-z0-9 ]{0,60}$/.test(text)) return text;
  const words: string[] = [];
  let word = '';
  for (const character of text) {
    if (utf8(word + character).length > 42) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  words.push(word);
  return words.map((piece) => `=?utf-8?B?${base64(utf8(piece))}?=`).join('\r\n ');
}

function percent(name: string): string {
  return encodeURIComponent(name).replace(/['()*!]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
