// Fields for passphrases: shown or hidden as their owner likes, and checked before anything is done with a new one.

import { element, fieldError } from './page.js';
import { weakness } from './passphrase.js';
import { say } from './texts.js';

/** Lets the owner look at what they type. */
export function wireReveal(id: string): void {
  const input = element(id, HTMLInputElement);
  const button = element(`${id}-reveal`, HTMLButtonElement);
  const show = (shown: boolean): void => {
    input.type = shown ? 'text' : 'password';
    button.setAttribute('aria-pressed', String(shown));
    button.textContent = say(shown ? 'conceal' : 'reveal');
  };
  button.onclick = () => {
    show(input.type === 'password');
    input.focus();
  };
  input.oninput = () => fieldError(input, '');
  show(false);
}

/** The field for a new passphrase. */
export class NewPassphrase {
  private readonly input = element('new-passphrase', HTMLInputElement);

  /** `known`: what everybody knows of its owner. */
  constructor(address: string, private readonly known: readonly string[]) {
    element('own-address', HTMLInputElement).value = address;
    this.input.value = '';
    fieldError(this.input, '');
    wireReveal('new-passphrase');
  }

  /** The passphrase; `undefined` where the reader was told what is wrong with it. */
  read(): string | undefined {
    const passphrase = this.input.value;
    const wrong = weakness(passphrase, this.known);
    if (wrong === undefined) return passphrase;
    const missing = 12 - Array.from(passphrase.normalize('NFC')).length;
    fieldError(this.input, say(`passphrase-${wrong}`, { missing: String(missing) }));
    this.input.focus();
    return undefined;
  }

  /** Forgets what was typed. */
  clear(): void {
    this.input.value = '';
  }
}

/** What everybody knows of somebody: address, organisation. */
export function knownOf(address: string): string[] {
  return [address, document.querySelector('.organisation')?.textContent ?? ''];
}
