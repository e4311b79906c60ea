// A forgotten passphrase: code by mail, recovery code, new passphrase, new recovery code. A code that was shown for one of the
// reader's letters does as well as one for the account.
//
// Security: the recovery code stays in this browser, like the passphrase; the gateway gets a proof that is derived from it.

import type { Unlocked } from './account.js';
import { Later, Wrong } from './account-api.js';
import { NotAvailable, SignInFirst, Unreachable } from './api.js';
import { type CodeEntry, askForCode, enterCode } from './code-entry.js';
import { Tampered } from './letter.js';
import { Memory } from './memory.js';
import { Opaque } from './opaque.js';
import { browserIsAble, busy, element, fieldError, libraryIsThere, showProblem, showStep, showWorking, tell } from './page.js';
import { NewPassphrase, knownOf } from './passphrase-view.js';
import { showRecovery } from './recovery-view.js';
import { onwards } from './signed-in.js';
import { say } from './texts.js';
import { forgetShown, keepShown, keepUnlocked, recallShown } from './unlocked.js';
import { changeWays, recoverAccount } from './ways-in.js';
import { parseWritten } from './written.js';

const memory = new Memory('forgotten');
const opaque = new Opaque();
const address = element('address', HTMLInputElement);
const written = element('recover-code', HTMLInputElement);

function start(): void {
  if (!browserIsAble() || typeof WebAssembly !== 'object') {
    showStep('old-browser');
    return;
  }
  if (!libraryIsThere()) {
    showProblem('unreachable', () => location.reload());
    return;
  }
  for (const input of [address, written]) input.oninput = () => fieldError(input, '');
  element('forgotten-form', HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    void busy(element('forgotten-button', HTMLButtonElement), ask);
  };
  element('recover-other', HTMLButtonElement).onclick = () => again('');
  address.value = memory.address() ?? '';
  const shown = recallShown();
  const request = memory.request();
  if (shown !== undefined) askForRecovery(shown);
  else if (request !== undefined && address.value !== '') enterCode(codeEntry(address.value), request);
  else showStep('forgotten');
}

async function ask(): Promise<void> {
  const typed = address.value.trim();
  if (!/^[^\s@]+@[^\s@]+$/.test(typed)) {
    fieldError(address, say('address-wrong'));
    address.focus();
    return;
  }
  // A phone may discard the tab while its owner fetches the code.
  memory.keepAddress(typed);
  try {
    await askForCode(codeEntry(typed));
  } catch (cause) {
    if (!(cause instanceof Unreachable)) throw cause;
    fieldError(address, say(`unreachable-${cause.reason}`));
  }
}

function codeEntry(typed: string): CodeEntry {
  return {
    of: { account: typed },
    requested: (request) => memory.keepRequest(request),
    proven: async ({ account }) => {
      memory.forgetTyped();
      keepShown(account ?? '');
      askForRecovery(account ?? '');
    },
  };
}

function askForRecovery(account: string): void {
  element('recover-form', HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    void busy(element('recover-button', HTMLButtonElement), () => recover(account));
  };
  showStep('recover');
}

/** Back to the beginning. */
function again(reason: string): void {
  forgetShown();
  written.value = '';
  tell('forgotten-over', reason);
  showStep('forgotten');
}

async function recover(account: string): Promise<void> {
  const code = await parseWritten(written.value);
  if (code === undefined) {
    fieldError(written, say('recover-misspelt'));
    written.focus();
    return;
  }
  try {
    const unlocked = await recoverAccount(account, code);
    written.value = '';
    forgetShown();
    choose(unlocked);
  } catch (cause) {
    if (cause instanceof Tampered) showProblem('account');
    else if (cause instanceof NotAvailable) again(say('recover-over'));
    else fieldError(written, said(cause, 'recover-wrong'));
  }
}

function choose(unlocked: Unlocked): void {
  const { reader } = unlocked.account;
  const field = new NewPassphrase(reader, knownOf(reader));
  element('renew-form', HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    void busy(element('renew-button', HTMLButtonElement), () => renew(unlocked, field));
  };
  showStep('renew');
}

async function renew(unlocked: Unlocked, field: NewPassphrase): Promise<void> {
  const passphrase = field.read();
  if (passphrase === undefined) return;
  tell('renew-trouble', '');
  showWorking(say('changing'), say('working'));
  try {
    const code = await changeWays(unlocked, { passphrase, recovery: 'new' }, opaque);
    field.clear();
    opaque.end();
    keepUnlocked(unlocked.file.content);
    if (code !== undefined) await showRecovery(code, unlocked.account.reader);
    onwards();
  } catch (cause) {
    if (cause instanceof Tampered) {
      showProblem('account');
      return;
    }
    showStep('renew');
    tell('renew-trouble', said(cause, 'change-refused'));
  }
}

function said(cause: unknown, wrong: 'recover-wrong' | 'change-refused'): string {
  if (cause instanceof Wrong) return say(wrong);
  if (cause instanceof Later) return say('sign-in-later', { minutes: String(Math.ceil(cause.seconds / 60)) });
  if (cause instanceof Unreachable) return say(`unreachable-${cause.reason}`);
  return say(cause instanceof SignInFirst ? 'session-over' : 'opaque-failed');
}

start();
