// The list of conversations: who wrote when and about what, each entry a link to the whole of it.

import type { AccountLetter } from './account-api.js';
import type { Conversation, Entry } from './conversations.js';
import { element, hidden, make } from './page.js';
import { dateAndTime, longDate, say } from './texts.js';

/** Shows the list; `byLink` are letters that the account has no key for yet. */
export function showConversations(list: readonly Conversation[], byLink: readonly AccountLetter[]): void {
  element('conversations', HTMLElement).replaceChildren(...list.map(conversation));
  hidden('list-empty', list.length + byLink.length === 0 ? 'shown' : 'hidden');
  hidden('by-link', byLink.length > 0 ? 'shown' : 'hidden');
  element('by-link-list', HTMLElement).replaceChildren(
    ...byLink.map(({ created, expires }) => {
      const item = make('li', 'entry bad', '');
      item.append(line('entry-who', dateAndTime(created)), make('span', 'entry-when', say('expires', { date: longDate(expires) })));
      return item;
    }),
  );
}

function conversation({ subject, entries }: Conversation): HTMLElement {
  const section = make('section', 'card conversation', '');
  const heading = make('h2', '', subject === '' ? say('no-subject') : subject);
  heading.dir = 'auto';
  const items = make('ul', 'entries', '');
  items.append(...entries.map((each) => entry(each, subject)));
  section.append(heading, items);
  const ends = entries.flatMap((each) => (each.kind === 'letter' ? [each.letter.slip.expires] : []));
  if (ends.length > 0) section.append(make('p', 'hint', say('expires', { date: longDate(Math.max(...ends)) })));
  return section;
}

function entry(of: Entry, conversationSubject: string): HTMLElement {
  const item = make('li', of.kind === 'bad' ? 'entry bad' : 'entry', '');
  if (of.kind === 'bad') {
    item.append(line('entry-who', say('entry-bad')), make('span', 'entry-when', dateAndTime(of.date)));
    return item;
  }
  const link = document.createElement('a');
  link.href = of.kind === 'letter' ? `#l-${of.stored.pickup}` : `#r-${of.stored.reply}`;
  const subject = of.kind === 'letter' ? of.letter.slip.subject.trim() : of.reply.subject.trim();
  const [sender] = of.kind === 'letter' ? of.letter.slip.from : [];
  link.append(line('entry-who', of.kind === 'letter' ? sender?.name || sender?.address || '' : say('you')));
  if (bare(subject) !== bare(conversationSubject)) link.append(line('entry-subject', subject));
  link.append(make('span', 'entry-when', dateAndTime(of.date)));
  item.append(link);
  return item;
}

function line(className: string, text: string): HTMLElement {
  const shown = make('span', className, text);
  shown.dir = 'auto';
  return shown;
}

function bare(subject: string): string {
  return subject.replace(/^((re|aw|antw|sv|fwd?|wg)\s*:\s*)+/i, '').trim();
}
