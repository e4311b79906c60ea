// Writing an answer: text and files, kept while they are written, sealed here, sent in parts.

import { NotAvailable, type ReplyState, SignInFirst, TooLarge, Unreachable, beginReply, putPart, replyState, sendReply } from './api.js';
import type { OpenLetter } from './letter.js';
import type { DraftFile, Memory } from './memory.js';
import type { OwnKey } from './own-key.js';
import { announce, busy, element, fieldError, hidden, setText } from './page.js';
import { type Enclosure, sealReply } from './reply.js';
import { safeName } from './save.js';
import { say, size } from './texts.js';

const MOST_FILES = 20;
/** In characters; the gateway takes 4 KiB. */
const LONGEST_SUBJECT = 900;
const MOST_BYTES = 25_000_000;
/** How often the fate of a reply is asked for, in milliseconds, and how many times. */
const ASK_EVERY = 3000;
const ASK_TIMES = 20;

/** The form under a letter. */
export class ReplyView {
  private files: DraftFile[] = [];

  private readonly text = element('reply-text', HTMLTextAreaElement);
  private readonly picker = element('reply-files', HTMLInputElement);
  private readonly send = element('reply-send', HTMLButtonElement);

  constructor(
    private readonly pickup: string,
    private readonly letter: OpenLetter,
    private readonly memory: Memory,
    /** Where the writer has an account: their key, with which they can read the reply again. */
    private readonly own?: { readonly key: OwnKey; sent(): void },
  ) {
    this.text.value = '';
    this.showFiles();
    this.progress('');
    for (const id of ['reply', 'reply-sent', 'reply-sign-in'] as const) hidden(id, 'hidden');
    hidden('reply-open', 'shown');
    const [sender] = letter.slip.from;
    setText('reply-to', say('reply-to', { name: sender?.name || sender?.address || '' }));
    element('reply-open', HTMLButtonElement).onclick = () => this.open('asked');
    element('reply-again', HTMLButtonElement).onclick = () => this.open('asked');
    element('reply-cancel', HTMLButtonElement).onclick = () => this.discard();
    element('reply-form', HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      void busy(this.send, () => this.submit());
    };
    this.text.oninput = () => {
      fieldError(this.text, '');
      memory.keepText(this.text.value);
    };
    this.picker.onchange = () => void this.add(Array.from(this.picker.files ?? []));
    this.resume();
  }

  /** Goes on with what the tab remembers. */
  private resume(): void {
    const underWay = this.memory.replyUnderWay();
    const draft = this.memory.draft();
    if (draft !== undefined) {
      this.text.value = draft.text;
      this.files = [...draft.files];
      this.showFiles();
      this.open('found');
    }
    if (underWay !== undefined) {
      this.open('found');
      void busy(this.send, () => this.follow(underWay, 'waiting').catch((cause: unknown) => this.failed(cause)));
    }
  }

  private open(how: 'asked' | 'found'): void {
    this.send.hidden = false;
    hidden('reply', 'shown');
    hidden('reply-sent', 'hidden');
    hidden('reply-open', 'hidden');
    hidden('reply-kept', how === 'found' ? 'shown' : 'hidden');
    if (how === 'found') return;
    this.text.focus();
    element('reply', HTMLElement).scrollIntoView({ block: 'start' });
  }

  private discard(): void {
    const written = this.text.value.trim() !== '' || this.files.length > 0;
    if (written && !window.confirm(say('reply-discard'))) return;
    this.clear();
    hidden('reply', 'hidden');
    hidden('reply-open', 'shown');
    element('reply-open', HTMLButtonElement).focus();
  }

  private clear(): void {
    this.text.value = '';
    this.files = [];
    this.showFiles();
    this.progress('');
    this.memory.forgetDraft();
  }

  private async add(chosen: File[]): Promise<void> {
    this.picker.value = '';
    fieldError(this.picker, '');
    for (const file of chosen) {
      const others = this.files.filter(({ name, bytes }) => bytes !== undefined || name !== file.name);
      if (others.length >= MOST_FILES || total(others) + file.size > MOST_BYTES) {
        fieldError(this.picker, say('files-too-much', { name: file.name, most: size(MOST_BYTES), number: String(MOST_FILES) }));
        break;
      }
      try {
        const bytes = new Uint8Array(await file.arrayBuffer());
        const type = file.type || 'application/octet-stream';
        this.files = [...others, { name: safeName(file.name, 'file'), type, size: file.size, bytes }];
      } catch {
        fieldError(this.picker, say('file-unreadable', { name: file.name }));
      }
    }
    this.memory.keepFiles(this.files);
    this.showFiles();
  }

  private showFiles(): void {
    const list = element('reply-file-list', HTMLElement);
    list.hidden = this.files.length === 0;
    list.replaceChildren(...this.files.map((file) => this.fileItem(file)));
  }

  private fileItem(file: DraftFile): HTMLElement {
    const item = document.createElement('li');
    const text = Object.assign(document.createElement('span'), { className: 'file-label' });
    text.append(
      Object.assign(document.createElement('span'), { className: 'file-name', textContent: file.name }),
      Object.assign(document.createElement('span'), { className: 'file-size', textContent: size(file.size) }),
    );
    const remove = Object.assign(document.createElement('button'), { type: 'button', className: 'secondary' });
    remove.textContent = say('remove');
    remove.setAttribute('aria-label', say('remove-name', { name: file.name }));
    remove.onclick = () => {
      this.files = this.files.filter((other) => other !== file);
      this.memory.keepFiles(this.files);
      this.showFiles();
      fieldError(this.picker, '');
      this.picker.focus();
    };
    item.append(text, remove);
    if (file.bytes === undefined) {
      item.append(Object.assign(document.createElement('p'), { className: 'error', textContent: say('file-again') }));
    }
    return item;
  }

  private async submit(): Promise<void> {
    if (this.text.value.trim() === '' && this.files.length === 0) {
      fieldError(this.text, say('reply-empty'));
      this.text.focus();
      return;
    }
    if (this.files.some(({ bytes }) => bytes === undefined)) {
      fieldError(this.picker, say('files-missing'));
      this.picker.focus();
      return;
    }
    try {
      await this.deliver();
    } catch (cause) {
      this.failed(cause);
    }
  }

  private async deliver(): Promise<void> {
    this.progress(say('sealing'));
    const enclosures = this.files.flatMap(({ name, type, bytes }): Enclosure[] => (bytes ? [{ name, type, bytes }] : []));
    const sealed = await sealReply(this.letter, { subject: this.subject(), text: this.text.value, enclosures });
    const whole = sealed.parts.reduce((sum, part) => sum + part.length, 0);
    await beginReply(this.pickup, sealed.id);
    let done = 0;
    for (const [n, part] of sealed.parts.entries()) {
      await putPart(sealed.id, n, part, (sent) => {
        this.progress(say('sending', { percent: String(Math.floor((100 * (done + Math.min(sent, part.length))) / whole)) }));
      });
      done += part.length;
    }
    this.progress(say('handing-over'));
    this.memory.keepReplyUnderWay(sealed.id);
    const ownKey = await this.own?.key.wrap(sealed.key);
    await this.follow(sealed.id, await sendReply(sealed.id, sealed.keyPacket, sealed.parts.length, ownKey));
  }

  /** Waits until the gateway has taken the reply. Until then the draft is kept. */
  private async follow(reply: string, known: ReplyState): Promise<void> {
    let state = known;
    try {
      for (let round = 0; state === 'waiting' && round < ASK_TIMES; round += 1) {
        this.progress(say('handing-over'));
        await new Promise((resolve) => setTimeout(resolve, ASK_EVERY));
        state = await replyState(reply);
      }
    } catch (cause) {
      // The portal has no such reply for this session: it can't be asked after any more.
      if (cause instanceof NotAvailable) this.memory.forgetReplyUnderWay();
      throw cause;
    }
    if (state === 'waiting') {
      this.progress(say('reply-waiting'));
      this.send.hidden = true;
      return;
    }
    this.memory.forgetReplyUnderWay();
    if (state !== 'taken') {
      this.progress('');
      this.trouble(say(state === 'refused' ? 'reply-refused' : 'reply-not-sent'));
      return;
    }
    this.own?.sent();
    this.clear();
    hidden('reply', 'hidden');
    hidden('reply-sent', 'shown');
    element('reply-sent-heading', HTMLElement).focus();
  }

  private subject(): string {
    const subject = Array.from(this.letter.slip.subject).slice(0, LONGEST_SUBJECT).join('');
    return /^(re|aw|antw|sv)\s*:/i.test(subject) ? subject : `Re: ${subject}`;
  }

  private failed(cause: unknown): void {
    this.progress('');
    if (cause instanceof TooLarge) this.trouble(say('reply-too-large'));
    else if (cause instanceof SignInFirst) this.trouble(say('signed-out'));
    else if (cause instanceof NotAvailable) this.trouble(say('session-over'));
    else if (cause instanceof Unreachable) this.trouble(say(`unreachable-${cause.reason}`));
    else this.trouble(say('reply-failed'));
  }

  private trouble(text: string): void {
    const trouble = element('reply-trouble', HTMLElement);
    trouble.textContent = text;
    trouble.hidden = text === '';
  }

  private progress(text: string): void {
    this.trouble('');
    const progress = element('reply-progress', HTMLElement);
    progress.textContent = text;
    progress.hidden = text === '';
    if (text !== '' && !text.includes('%')) announce(text);
  }
}

function total(files: readonly DraftFile[]): number {
  return files.reduce((sum, file) => sum + file.size, 0);
}
