// The offer below a letter, and what follows it: a passphrase, the account, the recovery code.

import { Conflict, Later } from './account-api.js';
import { Unreachable } from './api.js';
import { type Enrolled, type Opened, Refused, StillWaiting, enrolReader } from './enrol.js';
import { Tampered } from './letter.js';
import { Opaque } from './opaque.js';
import { busy, element, hidden, showProblem, showStep, showWorking, tell } from './page.js';
import { NewPassphrase, knownOf } from './passphrase-view.js';
import { showRecovery } from './recovery-view.js';
import { say } from './texts.js';
import { keepUnlocked } from './unlocked.js';

export class EnrolView {
  private readonly opaque = new Opaque();

  /** `others`: further letters of this reader that this tab can open. `done` goes on with the letter in the account. */
  constructor(
    private readonly by: Opened,
    private readonly others: () => Promise<Opened[]>,
    private readonly done: (enrolled: Enrolled) => void,
  ) {
    element('offer-button', HTMLButtonElement).onclick = () => this.show();
    element('enrol-cancel', HTMLButtonElement).onclick = () => {
      showStep('letter');
      element('offer-button', HTMLButtonElement).focus();
    };
    hidden('offer', 'shown');
  }

  private show(): void {
    const { reader } = this.by.letter;
    const field = new NewPassphrase(reader, knownOf(reader));
    element('enrol-form', HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      void busy(element('enrol-button', HTMLButtonElement), () => this.enrol(field));
    };
    this.trouble('');
    showStep('enrol');
  }

  private async enrol(field: NewPassphrase): Promise<void> {
    const passphrase = field.read();
    if (passphrase === undefined) return;
    this.trouble('');
    showWorking(say('enrol-stretching'), say('working'));
    try {
      const others = await this.others();
      const enrolled = await enrolReader(passphrase, this.by, others, this.opaque, (stage) =>
        showWorking(say(`enrol-${stage}`), say('working')),
      );
      field.clear();
      this.opaque.end();
      keepUnlocked(enrolled.unlocked.file.content);
      await showRecovery(enrolled.recovery, enrolled.unlocked.account.reader);
      this.done(enrolled);
    } catch (cause) {
      this.failed(cause);
    }
  }

  private failed(cause: unknown): void {
    if (cause instanceof Tampered) {
      showProblem('account');
      return;
    }
    showStep('enrol');
    if (cause instanceof Conflict) this.trouble(say('enrol-conflict'), 'sign in');
    else if (cause instanceof StillWaiting) this.trouble(say('enrol-still-waiting'), 'sign in');
    else if (cause instanceof Refused) this.trouble(say('enrol-refused'));
    else if (cause instanceof Later) this.trouble(say('unreachable-often'));
    else if (cause instanceof Unreachable) this.trouble(say(`unreachable-${cause.reason}`));
    else this.trouble(say('opaque-failed'));
  }

  private trouble(text: string, next?: 'sign in'): void {
    tell('enrol-trouble', text);
    hidden('enrol-sign-in', next === undefined ? 'hidden' : 'shown');
  }
}
