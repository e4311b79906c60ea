// A reply that its writer sent, as it was written.

import { fetchReplyPart } from './account-api.js';
import { fromUtf8 } from './bytes.js';
import type { ReplyEntry } from './conversations.js';
import { type Source, enclosure, openPart } from './letter-view.js';
import { element, hidden, setText } from './page.js';
import { showText } from './plain-text.js';
import { dateAndTime, longDate, say } from './texts.js';

/** Shows it. What can't be opened throws, before anything is shown. */
export async function showOwnReply({ stored, reply, date }: ReplyEntry): Promise<void> {
  const source: Source = {
    sizes: stored.parts,
    fetch: (n, size, progress) => fetchReplyPart(stored.reply, n, size, progress),
    open: (part, bytes) => reply.open(part, bytes),
  };
  const text = reply.parts.find(({ kind }) => kind === 'body');
  const shown = text === undefined ? '' : fromUtf8((await openPart(source, text, () => undefined)).bytes);
  const subject = reply.subject.trim() === '' ? say('no-subject') : reply.subject;
  setText('own-subject', subject);
  setText('own-date', dateAndTime(date));
  setText('own-expires', say('available-until', { date: longDate(stored.expires) }));
  showText(element('own-text', HTMLElement), shown === '' ? say('no-body') : shown);
  const enclosures = reply.parts.filter(({ kind }) => kind === 'enclosure');
  hidden('own-enclosures', enclosures.length > 0 ? 'shown' : 'hidden');
  element('own-enclosure-list', HTMLElement).replaceChildren(...enclosures.map((part) => enclosure(source, part)));
}
