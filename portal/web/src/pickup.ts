// The page of a pickup: greeting, code, letter, answer. Whatever interrupts it, it goes on where its reader was.
//
// Security: the link's secret leaves the address bar before anything else happens, and never goes to the server. No
// opening of the page and no single press of a button uses anything up: mail scanners do both.

import { Conflict, postReceipt, postRewrap } from './account-api.js';
import type { Account } from './account.js';
import { NotAvailable, SignInFirst, fetchPickup, postOpened } from './api.js';
import type { Bytes } from './bytes.js';
import { type CodeEntry, askForCode, enterCode } from './code-entry.js';
import type { Opened } from './enrol.js';
import { EnrolView } from './enrol-view.js';
import { type LinkLetter, type OpenLetter, type Pickup, Tampered, WrongSecret, openLetter, openWithAccount } from './letter.js';
import { showLetter } from './letter-view.js';
import { takeApart } from './link.js';
import { Memory, secretsInTab } from './memory.js';
import { browserIsAble, busy, element, fieldError, hidden, libraryIsThere, setText, showProblem, showStep } from './page.js';
import { ReplyView } from './reply-view.js';
import { ownAccount, toSignIn, watch } from './signed-in.js';
import { say } from './texts.js';
import { keepReturn, keepShown } from './unlocked.js';
import { parseWritten } from './written.js';

/** How often it is looked whether the account has a letter that came by link, in milliseconds, and how many times. */
const TAKEN_IN_EVERY = 1000;
const TAKEN_IN_TIMES = 5;
/** Of other letters that are taken in at enrolment. */
const MOST_OTHERS = 15;

function start(): void {
  const taken = takeApart(location.pathname, location.hash);
  cleanAddress(taken.pickup);
  if (!browserIsAble()) {
    showStep('old-browser');
    return;
  }
  if (taken.pickup === '') {
    showProblem('address');
    return;
  }
  if (!libraryIsThere()) {
    showProblem('unreachable', () => location.reload());
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
    const bareCode = element('bare-code', HTMLButtonElement);
    for (const ask of [greet, bareCode]) {
      ask.onclick = () => void busy(ask, () => this.guarded(() => askForCode(this.codeEntry())));
    }
    const input = element('secret', HTMLInputElement);
    input.oninput = () => fieldError(input, '');
    element('secret-form', HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      void busy(element('secret-button', HTMLButtonElement), () => this.typed(input));
    };
    element('bare-secret', HTMLButtonElement).onclick = () => this.askForSecret('secret-missing');
    for (const id of ['bare-sign-in', 'mailbox-sign-in', 'reply-sign-in-button']) element(id, HTMLButtonElement).onclick = () => this.signIn();
    for (const link of document.querySelectorAll<HTMLElement>('.to-sign-in')) link.onclick = () => keepReturn(this.pickup);
  }

  /** With what stood behind the `#`. */
  async arrive(written: string): Promise<void> {
    await this.guarded(async () => {
      const fromLink = await parseWritten(written);
      if (fromLink !== undefined) this.keep(fromLink);
      this.secret = fromLink ?? this.memory.secret();
      if (this.shown) return;
      if (this.secret === undefined && written !== '') this.askForSecret('secret-damaged');
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
    const secret = await parseWritten(input.value);
    if (secret === undefined) {
      fieldError(input, say('secret-wrong'));
      input.focus();
      return;
    }
    input.value = '';
    this.keep(secret);
    await this.guarded(() => this.proceed());
  }

  /** To sign in, and back to this letter. */
  private signIn(): void {
    keepReturn(this.pickup);
    toSignIn();
  }

  /** To the letter, where this browser has proven itself or is signed in; otherwise to the code, or to the greeting. */
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
    // The mail of a letter that is sealed to an account has a link without a secret.
    else if (this.secret === undefined) showStep('bare');
    else showStep('greeting');
  }

  private codeEntry(): CodeEntry {
    return {
      of: { pickup: this.pickup },
      requested: (request) => this.memory.keepRequest(request),
      proven: async ({ account }) => {
        this.memory.forgetRequest();
        if (account !== undefined) keepShown(account);
        await this.guarded(() => this.openProven(account));
      },
    };
  }

  /** After a right code. It opens no letter that is sealed to an account, but leads back into the account. */
  private async openProven(account: string | undefined): Promise<void> {
    try {
      await this.open(await fetchPickup(this.pickup));
    } catch (cause) {
      if (!(cause instanceof SignInFirst) || account === undefined) throw cause;
      showStep('mailbox');
    }
  }

  private async open(released: Pickup): Promise<void> {
    if (released.share === '') {
      showStep('loading');
      await this.openOwn(released);
    } else if (this.secret === undefined) this.askForSecret('secret-missing');
    else {
      showStep('loading');
      await this.openByLink(released, this.secret);
    }
  }

  /** With the account's key, where this tab has it. */
  private async openOwn(released: Pickup): Promise<void> {
    const own = await ownAccount();
    if (own === undefined) {
      this.signIn();
      return;
    }
    await this.showOwn(released, await openWithAccount(this.pickup, released, own.account), own.account);
  }

  private async showOwn(stored: Pickup, letter: OpenLetter, account: Account): Promise<void> {
    await showLetter(stored, letter);
    this.inAccount(letter, account);
    // The letter is open whether or not the sender learns of it.
    await postReceipt(this.pickup, await letter.voice.opened()).catch(() => undefined);
  }

  private inAccount(letter: OpenLetter, account: Account): void {
    this.shown = true;
    watch();
    hidden('offer', 'hidden');
    hidden('letter-back', 'shown');
    showStep('letter');
    new ReplyView(this.pickup, letter, this.memory, { key: account.key, sent: () => undefined });
  }

  private async openByLink(released: Pickup, secret: Bytes): Promise<void> {
    let letter: LinkLetter;
    try {
      letter = await openLetter(this.pickup, released, secret);
    } catch (cause) {
      if (!(cause instanceof WrongSecret)) throw cause;
      this.askForSecret('secret-foreign');
      return;
    }
    if (released.enrolled === true && (await this.takeIn(letter))) return;
    await showLetter(released, letter);
    this.shown = true;
    showStep('letter');
    new ReplyView(this.pickup, letter, this.memory);
    if (released.enrolled === true) {
      hidden('reply-open', 'hidden');
      hidden('reply', 'hidden');
      hidden('reply-sign-in', 'shown');
      return;
    }
    if (released.enrolled === false) this.offer(letter);
    // The letter is open whether or not the sender learns of it.
    await postOpened(this.pickup, await letter.voice.opened()).catch(() => undefined);
  }

  /** Takes a letter that came by link into the account that this tab has open. */
  private async takeIn(letter: LinkLetter): Promise<boolean> {
    const own = await ownAccount();
    if (own === undefined || own.account.reader !== letter.reader) return false;
    const { account } = own;
    const packet = await account.key.wrap(letter.key);
    const { pickup, letter: lid } = letter.binding;
    try {
      await postRewrap(this.pickup, packet, await account.rewrap(pickup, lid, packet));
    } catch (cause) {
      if (cause instanceof Conflict) return false;
      throw cause;
    }
    for (let round = 0; round < TAKEN_IN_TIMES; round += 1) {
      const stored = await fetchPickup(this.pickup);
      if (stored.share === '') {
        await this.showOwn(stored, await openWithAccount(this.pickup, stored, account), account);
        hidden('letter-taken', 'shown');
        return true;
      }
      await new Promise((resolve) => setTimeout(resolve, TAKEN_IN_EVERY));
    }
    return false;
  }

  private offer(letter: LinkLetter): void {
    new EnrolView({ pickup: this.pickup, letter }, () => this.others(letter.reader), (enrolled) => {
      this.inAccount(enrolled.letter, enrolled.unlocked.account);
      hidden('letter-taken', 'shown');
    });
  }

  /** Other letters of the same reader that this tab has opened. */
  private async others(reader: string): Promise<Opened[]> {
    const found: Opened[] = [];
    for (const { pickup, secret } of secretsInTab().slice(0, MOST_OTHERS)) {
      if (pickup === this.pickup) continue;
      try {
        const letter = await openLetter(pickup, await fetchPickup(pickup), secret);
        if (letter.reader === reader) found.push({ pickup, letter });
      } catch {
        // It can be taken in later, by its own link.
      }
    }
    return found;
  }

  private async guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      if (cause instanceof SignInFirst) this.signIn();
      else if (cause instanceof Tampered) showProblem('tampered');
      else if (cause instanceof NotAvailable) showProblem('gone');
      else showProblem('unreachable', () => void this.guarded(() => this.proceed()));
    }
  }
}

start();
