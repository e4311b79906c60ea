// The page of a pickup: greeting, code, letter, answer. Whatever interrupts it, it goes on where its reader was.
//
// Security: the link's secret leaves the address bar before anything else happens, and never goes to the server. No
// opening of the page and no single press of a button uses anything up: mail scanners do both.

import { NotAvailable, fetchPickup, postOpened } from './api.js';
import type { Bytes } from './bytes.js';
import { type CodeEntry, askForCode, enterCode } from './code-entry.js';
import { type Pickup, Tampered, WrongSecret, openLetter } from './letter.js';
import { showLetter } from './letter-view.js';
import { parseSecret, takeApart } from './link.js';
import { Memory } from './memory.js';
import { browserIsAble, busy, element, fieldError, hidden, libraryIsThere, setText, showStep } from './page.js';
import { ReplyView } from './reply-view.js';
import { say } from './texts.js';

type Problem = 'gone' | 'tampered' | 'unreachable' | 'address';

function start(): void {
  const taken = takeApart(location.pathname, location.hash);
  cleanAddress(taken.pickup);
  if (!browserIsAble()) {
    showStep('old-browser');
    return;
  }
  if (taken.pickup === '') {
    problem('address');
    return;
  }
  if (!libraryIsThere()) {
    element('problem-again', HTMLButtonElement).onclick = () => location.reload();
    problem('unreachable');
    return;
  }
  const page = new PickupPage(taken.pickup);
  // The same link, tapped while the page is open, changes only the fragment.
  addEventListener('hashchange', () => {
    const { written } = takeApart(location.pathname, location.hash);
    cleanAddress(taken.pickup);
    if (written !== '') void page.arrive(written);
  });
  void page.arrive(taken.written);
}

/** Nothing but the pickup and the chosen language stays in the address bar and in the back list. */
function cleanAddress(pickup: string): void {
  const language = /[?&]lang=([a-z]{2})\b/.exec(location.search)?.[1];
  history.replaceState(null, '', `/p/${pickup}${language === undefined ? '' : `?lang=${language}`}`);
}

class PickupPage {
  private readonly memory: Memory;

  private secret: Bytes | undefined;

  private shown = false;

  constructor(private readonly pickup: string) {
    this.memory = new Memory(pickup);
    const greet = element('greeting-button', HTMLButtonElement);
    greet.onclick = () => void busy(greet, () => this.guarded(() => askForCode(this.codeEntry())));
    const input = element('secret', HTMLInputElement);
    input.oninput = () => fieldError(input, '');
    element('secret-form', HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      void busy(element('secret-button', HTMLButtonElement), () => this.typed(input));
    };
    element('problem-again', HTMLButtonElement).onclick = () => void this.guarded(() => this.proceed());
  }

  /** With what stood behind the `#`. */
  async arrive(written: string): Promise<void> {
    await this.guarded(async () => {
      const fromLink = await parseSecret(written);
      if (fromLink !== undefined) this.keep(fromLink);
      this.secret = fromLink ?? this.memory.secret();
      if (this.shown) return;
      if (this.secret === undefined) this.askForSecret(written === '' ? 'secret-missing' : 'secret-damaged');
      else await this.proceed();
    });
  }

  private keep(secret: Bytes): void {
    this.secret = secret;
    this.memory.keepSecret(secret);
  }

  private askForSecret(reason: 'secret-missing' | 'secret-damaged' | 'secret-foreign'): void {
    setText('secret-reason', say(reason));
    showStep('secret');
  }

  private async typed(input: HTMLInputElement): Promise<void> {
    const secret = await parseSecret(input.value);
    if (secret === undefined) {
      fieldError(input, say('secret-wrong'));
      input.focus();
      return;
    }
    input.value = '';
    this.keep(secret);
    await this.guarded(() => this.proceed());
  }

  /** To the letter, where this browser has proven itself; otherwise to the code, or to the greeting. */
  private async proceed(): Promise<void> {
    let released: Pickup | undefined;
    try {
      released = await fetchPickup(this.pickup);
    } catch (cause) {
      if (!(cause instanceof NotAvailable)) throw cause;
    }
    const request = this.memory.request();
    if (released !== undefined) await this.open(released);
    else if (request !== undefined) enterCode(this.codeEntry(), request);
    else showStep('greeting');
  }

  private codeEntry(): CodeEntry {
    return {
      of: { pickup: this.pickup },
      requested: (request) => this.memory.keepRequest(request),
      proven: async () => {
        this.memory.forgetRequest();
        await this.guarded(async () => this.open(await fetchPickup(this.pickup)));
      },
    };
  }

  private async open(released: Pickup): Promise<void> {
    if (this.secret === undefined) {
      this.askForSecret('secret-missing');
      return;
    }
    showStep('loading');
    try {
      const letter = await openLetter(this.pickup, released, this.secret);
      await showLetter(released, letter);
      this.shown = true;
      showStep('letter');
      new ReplyView(this.pickup, letter, this.memory);
      // The letter is open whether or not the sender learns of it.
      await postOpened(this.pickup, await letter.openedStatement()).catch(() => undefined);
    } catch (cause) {
      if (!(cause instanceof WrongSecret)) throw cause;
      this.askForSecret('secret-foreign');
    }
  }

  private async guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      if (cause instanceof Tampered) problem('tampered');
      else problem(cause instanceof NotAvailable ? 'gone' : 'unreachable');
    }
  }
}

function problem(which: Problem): void {
  setText('problem-heading', say(`problem-${which}-heading`));
  setText('problem-advice', say(`problem-${which}-advice`));
  hidden('problem-again', which === 'unreachable' ? 'shown' : 'hidden');
  hidden('problem-lost', which === 'gone' || which === 'address' ? 'shown' : 'hidden');
  showStep('problem');
}

start();
