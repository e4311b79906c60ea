// The recovery code, shown once: to be written down, printed or saved, before its owner goes on.

import type { Bytes } from './bytes.js';
import { utf8 } from './bytes.js';
import { announce, element, fieldError, make, setText, showStep, tell } from './page.js';
import { saveFile } from './save.js';
import { longDate, say } from './texts.js';
import { forgetRecovery } from './unlocked.js';
import { writtenGroups } from './written.js';

/** Shows the code until its owner says that they have kept it; then it is gone from this browser. */
export async function showRecovery(code: Bytes, address: string): Promise<void> {
  const groups = await writtenGroups(code);
  const shown = element('recovery-code', HTMLElement);
  // The spaces between the groups make what is selected and read aloud the same as what is seen.
  shown.replaceChildren(...groups.flatMap((group) => [make('span', '', group), document.createTextNode(' ')]));
  setText('recovery-address', address);
  setText('recovery-portal', location.origin);
  tell('recovery-status', '');
  const written = groups.join('-');
  element('recovery-copy', HTMLButtonElement).onclick = () => {
    navigator.clipboard.writeText(written).then(
      () => tell('recovery-status', say('copied')),
      () => tell('recovery-status', say('not-copied')),
    );
  };
  element('recovery-save', HTMLButtonElement).onclick = () => {
    const name = say('recovery-file-name');
    const date = longDate(Date.now() / 1000);
    const text = say('recovery-file', { address, portal: location.origin, code: written, date });
    saveFile(name, utf8(text.replaceAll(' | ', '\r\n')));
    tell('recovery-status', say('saved', { name }));
  };
  element('recovery-print', HTMLButtonElement).onclick = () => window.print();
  const kept = element('recovery-kept', HTMLInputElement);
  kept.checked = false;
  kept.onchange = () => fieldError(kept, '');
  showStep('recovery');
  announce(say('recovery-shown'));
  await new Promise<void>((resolve) => {
    element('recovery-form', HTMLFormElement).onsubmit = (event) => {
      event.preventDefault();
      if (kept.checked) resolve();
      else {
        fieldError(kept, say('recovery-keep-first'));
        kept.focus();
      }
    };
  });
  shown.replaceChildren();
  forgetRecovery();
}
