// What an account's owner can change: passphrase and recovery code. And what they can compare: the key's fingerprint.
//
// Security: both changes ask for the present passphrase, so that nobody makes them who only found an open page.

import { type Account, type AccountAnswer, fingerprintGroups } from './account.js';
import { Later, Wrong } from './account-api.js';
import { SignInFirst, Unreachable } from './api.js';
import { Tampered } from './letter.js';
import { Opaque } from './opaque.js';
import { busy, element, fieldError, setText, showProblem, showStep, showWorking, tell } from './page.js';
import { NewPassphrase, knownOf, wireReveal } from './passphrase-view.js';
import { showRecovery } from './recovery-view.js';
import { longDate, say } from './texts.js';
import { type Change, changeWays, signIn } from './ways-in.js';

type Form = 'change' | 'code-new';

export class SettingsView {
  private readonly opaque = new Opaque();

  constructor(
    private readonly account: Account,
    answer: AccountAnswer,
  ) {
    setText('settings-fingerprint', fingerprintGroups(account.key.fingerprint));
    void account.isVouchedFor(answer).then((vouched) => {
      setText('settings-vouch', say(vouched ? 'vouched' : 'not-vouched', { date: longDate(answer.vouchedAt) }));
    });
    element('settings-change', HTMLButtonElement).onclick = () => (location.hash = '#change');
    element('settings-code', HTMLButtonElement).onclick = () => (location.hash = '#code-new');
  }

  show(): void {
    showStep('settings');
  }

  showChange(): void {
    const field = new NewPassphrase(this.account.reader, knownOf(this.account.reader));
    const present = this.present('present-passphrase');
    this.form('change', present, () => {
      const passphrase = field.read();
      return passphrase === undefined ? undefined : { passphrase, recovery: 'stays' };
    });
  }

  showNewCode(): void {
    const present = this.present('code-new-passphrase');
    this.form('code-new', present, () => ({ passphrase: present.value, recovery: 'new' }));
  }

  private present(id: string): HTMLInputElement {
    const input = element(id, HTMLInputElement);
    input.value = '';
    fieldError(input, '');
    wireReveal(id);
    return input;
  }

  private form(step: Form, present: HTMLInputElement, wanted: () => Change | undefined): void {
    tell(`${step}-trouble`, '');
    tell('settings-done', '');
    element(`${step}-form`, HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      void busy(element(`${step}-button`, HTMLButtonElement), async () => {
        if (present.value === '') {
          fieldError(present, say('passphrase-missing'));
          present.focus();
          return;
        }
        const change = wanted();
        if (change !== undefined) await this.change(step, present, change);
      });
    };
    showStep(step);
  }

  private async change(step: Form, present: HTMLInputElement, change: Change): Promise<void> {
    tell(`${step}-trouble`, '');
    showWorking(say('changing'), say('working'));
    try {
      // The passphrase itself unlocks what is wrapped anew: the key that this tab keeps doesn't.
      const unlocked = await signIn(this.account.reader, present.value, this.opaque);
      const code = await changeWays(unlocked, change, this.opaque);
      present.value = '';
      this.opaque.end();
      if (code !== undefined) await showRecovery(code, this.account.reader);
      history.replaceState(null, '', '#settings');
      this.show();
      tell('settings-done', say(step === 'change' ? 'changed' : 'code-renewed'));
    } catch (cause) {
      this.failed(step, present, cause);
    }
  }

  private failed(step: Form, present: HTMLInputElement, cause: unknown): void {
    if (cause instanceof Tampered) {
      showProblem('account');
      return;
    }
    showStep(step);
    if (cause instanceof Wrong) {
      fieldError(present, say('present-wrong'));
      present.focus();
    } else if (cause instanceof Later) {
      tell(`${step}-trouble`, say('sign-in-later', { minutes: String(Math.ceil(cause.seconds / 60)) }));
    } else if (cause instanceof Unreachable) tell(`${step}-trouble`, say(`unreachable-${cause.reason}`));
    else tell(`${step}-trouble`, say(cause instanceof SignInFirst ? 'signed-out' : 'opaque-failed'));
  }
}
