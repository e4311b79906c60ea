// The letter as it is read: who wrote, what, and the enclosures to be saved one by one.

import { Unreachable, fetchPart } from './api.js';
import { type Bytes, fromUtf8 } from './bytes.js';
import { mailFile, type OpenPart } from './eml.js';
import { type OpenLetter, type StoredLetter, Tampered } from './letter.js';
import { showMail } from './mail-frame.js';
import { busy, element, hidden, setText } from './page.js';
import { showText } from './plain-text.js';
import { safeName, saveFile } from './save.js';
import type { Mailbox, SlipPart } from './slip.js';
import { dateAndTime, longDate, say, size } from './texts.js';

type Progress = (received: number) => void;
type Outcome = 'done' | 'failed';

/** Where stored parts come from, and what opens them. */
export interface Source {
  /** Stored sizes, by the part's number. */
  readonly sizes: readonly number[];
  fetch(n: number, size: number, progress: Progress): Promise<Bytes>;
  open(part: SlipPart, stored: Bytes): Promise<Bytes>;
}

/** Fetches and opens a part. */
export async function openPart(source: Source, part: SlipPart, progress: Progress): Promise<OpenPart> {
  const stored = await source.fetch(part.n, source.sizes[part.n] ?? 0, progress);
  return { part, bytes: await source.open(part, stored) };
}

/** Shows a letter. What can't be opened throws, before anything is shown. */
export async function showLetter(stored: Pick<StoredLetter, 'pickup' | 'parts'>, letter: OpenLetter): Promise<void> {
  const { slip } = letter;
  const source: Source = {
    sizes: stored.parts,
    fetch: (n, size, progress) => fetchPart(stored.pickup, n, size, progress),
    open: (part, bytes) => letter.open(part, bytes),
  };
  const bodies: OpenPart[] = [];
  for (const part of slip.parts.filter(({ kind }) => kind === 'body')) {
    bodies.push(await openPart(source, part, () => undefined));
  }
  const subject = slip.subject.trim() === '' ? say('no-subject') : slip.subject;
  // Not in the title: browsers keep titles in their history, and carry it to other machines.
  setText('letter-subject', subject);
  people('letter-from', slip.from);
  people('letter-to', slip.to);
  people('letter-cc', slip.cc);
  setText('letter-date', dateAndTime(slip.date));
  setText('letter-expires', say('available-until', { date: longDate(slip.expires) }));
  showBodies(bodies, subject);
  const enclosures = slip.parts.filter(({ kind }) => kind === 'enclosure');
  hidden('enclosures', enclosures.length > 0 ? 'shown' : 'hidden');
  element('enclosure-list', HTMLElement).replaceChildren(...enclosures.map((part) => enclosure(source, part)));
  element('letter-print', HTMLButtonElement).onclick = () => window.print();
  offerMailFile(source, letter, subject);
}

function people(id: string, list: readonly Mailbox[]): void {
  hidden(`${id}-row`, list.length > 0 ? 'shown' : 'hidden');
  const shown = list.map(({ name, address }) => {
    const item = document.createElement('span');
    item.className = 'person';
    const bold = document.createElement('strong');
    bold.dir = 'auto';
    bold.textContent = name === '' ? address : name;
    item.append(bold);
    if (name !== '') item.append(' ', Object.assign(document.createElement('span'), { className: 'address', textContent: address }));
    return item;
  });
  element(id, HTMLElement).replaceChildren(...shown);
}

function showBodies(bodies: OpenPart[], subject: string): void {
  const html = bodies.find(({ part }) => part.type === 'text/html');
  const plain = bodies.find(({ part }) => part.type !== 'text/html');
  const frame = element('letter-html', HTMLElement);
  const text = element('letter-text', HTMLElement);
  if (html !== undefined) showMail(frame, fromUtf8(html.bytes), say('frame-title', { subject }));
  if (plain !== undefined) showText(text, fromUtf8(plain.bytes));
  if (html === undefined && plain === undefined) text.textContent = say('no-body');
  const choose = (view: 'html' | 'text'): void => {
    frame.hidden = view !== 'html';
    text.hidden = view !== 'text';
    setText('letter-switch', say(view === 'html' ? 'view-text' : 'view-html'));
  };
  const button = element('letter-switch', HTMLButtonElement);
  button.hidden = html === undefined || plain === undefined;
  button.onclick = () => choose(frame.hidden ? 'html' : 'text');
  choose(html === undefined ? 'text' : 'html');
}

/** An enclosure to be saved. */
export function enclosure(source: Source, part: SlipPart): HTMLElement {
  const name = safeName(part.name, say('unnamed', { number: String(part.n + 1) }));
  const item = document.createElement('li');
  const label = Object.assign(document.createElement('span'), { className: 'file-name', dir: 'auto', textContent: name });
  const details = Object.assign(document.createElement('span'), { className: 'file-size', textContent: size(part.size) });
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'secondary';
  button.textContent = say('save');
  button.setAttribute('aria-label', say('save-name', { name }));
  const status = Object.assign(document.createElement('p'), { className: 'file-status', hidden: true });
  status.setAttribute('role', 'status');
  const tell = (text: string, kind: Outcome = 'done'): void => {
    status.hidden = text === '';
    status.textContent = text;
    status.className = kind === 'done' ? 'file-status' : 'file-status error';
  };
  const stored = source.sizes[part.n] ?? 1;
  button.addEventListener('click', () => {
    void busy(button, () =>
      saving(tell, async () => {
        const progress: Progress = (got) => (button.textContent = `${Math.floor((100 * got) / stored)}\u00a0%`);
        try {
          const { bytes } = await openPart(source, part, progress);
          saveFile(name, bytes);
          tell(say('saved', { name }));
        } finally {
          button.textContent = say('save');
        }
      }),
    );
  });
  const text = Object.assign(document.createElement('span'), { className: 'file-label' });
  text.append(label, details);
  item.append(text, button, status);
  return item;
}

function offerMailFile(source: Source, letter: OpenLetter, subject: string): void {
  const button = element('letter-eml', HTMLButtonElement);
  const tell = (text: string, kind: Outcome = 'done'): void => {
    const status = element('letter-status', HTMLElement);
    status.textContent = text;
    status.hidden = text === '';
    status.className = kind === 'done' ? 'notice' : 'error';
  };
  button.onclick = () => {
    void busy(button, () =>
      saving(tell, async () => {
        const parts: OpenPart[] = [];
        for (const part of letter.slip.parts) parts.push(await openPart(source, part, () => undefined));
        const name = safeName(`${Array.from(subject).slice(0, 60).join('')}.eml`, 'letter.eml');
        saveFile(name, mailFile(letter.slip, parts));
        tell(say('saved', { name }));
      }),
    );
  };
}

async function saving(tell: (text: string, kind?: Outcome) => void, work: () => Promise<void>): Promise<void> {
  try {
    tell('');
    await work();
  } catch (cause) {
    if (cause instanceof Tampered) tell(say('part-tampered'), 'failed');
    else tell(say(cause instanceof Unreachable ? `unreachable-${cause.reason}` : 'session-over'), 'failed');
  }
}
