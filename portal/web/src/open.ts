// Opening a letter by typing: address and pickup code, a code by mail, then the pickup code is tried on the letters that
// this browser may see.
//
// Security: the typed pickup code is the link's secret. It stays in this browser.

import { NotAvailable, SignInFirst, Unreachable, fetchPickup } from './api.js';
import type { Bytes } from './bytes.js';
import { type CodeEntry, askForCode, enterCode } from './code-entry.js';
import { Tampered, WrongSecret, openLetter } from './letter.js';
import { Memory } from './memory.js';
import { browserIsAble, busy, element, fieldError, libraryIsThere, showStep } from './page.js';
import { language, say } from './texts.js';
import { parseWritten } from './written.js';

/** Most letters that one typed code is tried on. */
const MOST_TRIES = 50;

const memory = new Memory('typed');

function start(): void {
  if (!browserIsAble() || !libraryIsThere()) {
    showStep('old-browser');
    return;
  }
  const address = element('address', HTMLInputElement);
  const secret = element('secret', HTMLInputElement);
  for (const input of [address, secret]) input.oninput = () => fieldError(input, '');
  element('open-form', HTMLFormElement).onsubmit = (event) => {
    event.preventDefault();
    void busy(element('open-button', HTMLButtonElement), () => submit(address, secret));
  };
  address.value = memory.address() ?? '';
  const [request, kept] = [memory.request(), memory.secret()];
  if (request !== undefined && kept !== undefined) enterCode(codeEntry(address.value, kept, secret), request);
  else showStep('open');
}

async function submit(address: HTMLInputElement, written: HTMLInputElement): Promise<void> {
  const typed = address.value.trim();
  fieldError(address, /^[^\s@]+@[^\s@]+$/.test(typed) ? '' : say('address-wrong'));
  const secret = await parseWritten(written.value);
  fieldError(written, secret === undefined ? say('secret-wrong') : '');
  const wrong = [address, written].find((input) => input.hasAttribute('aria-invalid'));
  if (wrong !== undefined || secret === undefined) {
    wrong?.focus();
    return;
  }
  // A phone may discard the tab while its owner fetches the code.
  memory.keepAddress(typed);
  memory.keepSecret(secret);
  try {
    await askForCode(codeEntry(typed, secret, written));
  } catch (cause) {
    if (!(cause instanceof Unreachable)) throw cause;
    fieldError(written, say(`unreachable-${cause.reason}`));
  }
}

function codeEntry(address: string, secret: Bytes, written: HTMLInputElement): CodeEntry {
  return {
    of: { address },
    requested: (request) => memory.keepRequest(request),
    proven: async ({ pickups }) => {
      showStep('loading');
      let found: string | undefined;
      try {
        found = await fitting(pickups.slice(0, MOST_TRIES), secret);
      } catch (cause) {
        showStep('code');
        throw cause;
      }
      memory.forgetTyped();
      if (found !== undefined) {
        new Memory(found).keepSecret(secret);
        location.assign(`/p/${found}?lang=${language()}`);
        return;
      }
      showStep('open');
      fieldError(written, say('secret-fits-none'));
      written.focus();
    },
  };
}

/** The pickup that this secret opens. */
async function fitting(pickups: readonly string[], secret: Bytes): Promise<string | undefined> {
  let changed: string | undefined;
  for (const pickup of pickups) {
    try {
      await openLetter(pickup, await fetchPickup(pickup), secret);
      return pickup;
    } catch (cause) {
      // Another one's secret, one that no secret opens, or a letter that ended meanwhile: the next. A changed letter is told
      // on its own page.
      if (cause instanceof Tampered) changed ??= pickup;
      else if (!(cause instanceof WrongSecret || cause instanceof SignInFirst || cause instanceof NotAvailable)) throw cause;
    }
  }
  return changed;
}

start();
