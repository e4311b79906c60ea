// The page to sign in on. Where it came from a letter, it goes back there.
//
// Security: one text for a wrong passphrase and an address that has no account. Neither learns anybody more.

import { Later, Wrong, fetchAccount } from './account-api.js';
import { Unreachable } from './api.js';
import { type CodeEntry, askForCode } from './code-entry.js';
import { Tampered } from './letter.js';
import { Opaque } from './opaque.js';
import { announce, browserIsAble, busy, element, fieldError, hidden, libraryIsThere, setText, showProblem, showStep, showWorking, tell } from './page.js';
import { wireReveal } from './passphrase-view.js';
import { onwards } from './signed-in.js';
import { say } from './texts.js';
import { isUnlocked, keepReturn, keepUnlocked, takeReturn } from './unlocked.js';
import { signIn } from './ways-in.js';

const opaque = new Opaque();
const address = element('address', HTMLInputElement);
const passphrase = element('passphrase', HTMLInputElement);

async function start(): Promise<void> {
  if (!browserIsAble() || typeof WebAssembly !== 'object') {
    showStep('old-browser');
    return;
  }
  if (!libraryIsThere()) {
    showProblem('unreachable', () => location.reload());
    return;
  }
  address.oninput = () => fieldError(address, '');
  wireReveal('passphrase');
  element('sign-in-form', HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    void busy(element('sign-in-button', HTMLButtonElement), submit);
  };
  const code = element('sign-in-code', HTMLButtonElement);
  code.onclick = () => void busy(code, byCode);
  // A session of another tab: this one has no key yet.
  const known = await fetchAccount().catch(() => undefined);
  if (known !== undefined && isUnlocked()) {
    onwards();
    return;
  }
  if (known !== undefined) {
    address.value = known.reader;
    reason('sign-in-again');
  }
  const back = takeReturn();
  if (back !== undefined) {
    keepReturn(back);
    if (known === undefined) reason('sign-in-for-letter');
  }
  show();
}

function reason(which: 'sign-in-again' | 'sign-in-for-letter'): void {
  tell('sign-in-reason', say(which));
  hidden('sign-in-intro', 'hidden');
}

function show(): void {
  showStep('sign-in');
  (address.value === '' ? address : passphrase).focus();
}

async function submit(): Promise<void> {
  const typed = address.value.trim();
  fieldError(address, /^[^\s@]+@[^\s@]+$/.test(typed) ? '' : say('address-wrong'));
  fieldError(passphrase, passphrase.value === '' ? say('passphrase-missing') : '');
  const wrong = [address, passphrase].find((input) => input.hasAttribute('aria-invalid'));
  if (wrong !== undefined) {
    wrong.focus();
    return;
  }
  hidden('sign-in-later', 'hidden');
  await telling(async () => {
    showWorking(say('signing-in'), say('working'));
    const { file } = await signIn(typed, passphrase.value, opaque);
    keepUnlocked(file.content);
    passphrase.value = '';
    opaque.end();
    onwards();
  });
}

/** Past the waiting time, by showing that the mailbox is theirs. What was typed stays in its fields meanwhile. */
async function byCode(): Promise<void> {
  const entry: CodeEntry = {
    of: { account: address.value.trim() },
    requested: () => undefined,
    proven: submit,
  };
  await telling(() => askForCode(entry));
}

async function telling(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof Tampered) {
      showProblem('account');
      return;
    }
    show();
    if (cause instanceof Later) later(cause.seconds);
    else fieldError(passphrase, said(cause));
    if (cause instanceof Wrong) passphrase.select();
  }
}

function said(cause: unknown): string {
  if (cause instanceof Wrong) return say('sign-in-wrong');
  if (cause instanceof Unreachable) return say(`unreachable-${cause.reason}`);
  return say('opaque-failed');
}

function later(seconds: number): void {
  const minutes = Math.ceil(seconds / 60);
  const text = say(minutes === 1 ? 'sign-in-later-one' : 'sign-in-later', { minutes: String(minutes) });
  setText('sign-in-wait', text);
  hidden('sign-in-later', 'shown');
  announce(text);
}

void start();
