// The step in which the code from the mail is typed: shared by the pickup page and the page for typed pickup codes.

import { type CodeFor, type CodeRequest, type Proven, Unreachable, askCode, prove } from './api.js';
import { announce, busy, element, fieldError, hidden, setText, showStep } from './page.js';
import { clockTime, language, say } from './texts.js';

const DIGITS = 8;
/** How long somebody should wait for the mail before another one is asked for, in seconds. */
const PATIENCE = 45;

/** What the page does with the step's outcomes. */
export interface CodeEntry {
  /** For what a code is asked again. */
  readonly of: CodeFor;
  /** A code was asked for. */
  requested(request: CodeRequest): void;
  /** The code was right: this may be seen. */
  proven(proven: Proven): Promise<void>;
}

let current: { entry: CodeEntry; request: CodeRequest } | undefined;
let wired = false;
let patience: ReturnType<typeof setInterval> | undefined;

/** Asks for a code by mail, and goes to the step. Throws where the portal can't be reached. */
export async function askForCode(entry: CodeEntry): Promise<void> {
  const request = await askCode(entry.of, language());
  entry.requested(request);
  enterCode(entry, request);
}

/** Goes to the step with a code that was asked for. */
export function enterCode(entry: CodeEntry, request: CodeRequest): void {
  current = { entry, request };
  if (!wired) wire();
  const input = element('code', HTMLInputElement);
  input.value = '';
  fieldError(input, '');
  setText('code-until', say('code-until', { time: clockTime(request.expires) }));
  waitBeforeAgain();
  showStep('code');
  announce(say('code-sent'));
}

/** The digits of what was typed or pasted, in whatever script and grouping. */
export function digitsOf(text: string): string {
  return text.normalize('NFKC').replace(/\p{Nd}/gu, decimal).replace(/\D/g, '');
}

// Digits of other scripts stand in runs of ten that begin with their zero.
function decimal(character: string): string {
  let value = 0;
  const point = character.codePointAt(0) ?? 0;
  while (value < 9 && /\p{Nd}/u.test(String.fromCodePoint(point - value - 1))) value += 1;
  return String(value);
}

function wire(): void {
  wired = true;
  const input = element('code', HTMLInputElement);
  const button = element('code-button', HTMLButtonElement);
  input.addEventListener('input', () => {
    fieldError(input, '');
    if (digitsOf(input.value).length === DIGITS) void busy(button, submit);
  });
  element('code-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    void busy(button, submit);
  });
  const again = element('code-again', HTMLButtonElement);
  again.addEventListener('click', () => {
    if (again.getAttribute('aria-disabled') === 'true' || current === undefined) return;
    const { entry } = current;
    void busy(again, () => telling(input, () => askForCode(entry)));
  });
}

async function submit(): Promise<void> {
  const input = element('code', HTMLInputElement);
  const code = digitsOf(input.value);
  if (current === undefined) return;
  if (code.length !== DIGITS) {
    fieldError(input, say('code-length'));
    input.focus();
    return;
  }
  const { entry, request } = current;
  announce(say('code-checking'));
  await telling(input, async () => {
    const proven = await prove(request.request, code);
    if (proven === undefined) {
      fieldError(input, say('code-wrong'));
      input.select();
      return;
    }
    clearInterval(patience);
    await entry.proven(proven);
  });
}

async function telling(input: HTMLInputElement, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (!(cause instanceof Unreachable)) throw cause;
    fieldError(input, say(`unreachable-${cause.reason}`));
  }
}

function waitBeforeAgain(): void {
  clearInterval(patience);
  let left = PATIENCE;
  const show = (): void => {
    hidden('code-again', left > 0 ? 'hidden' : 'shown');
    hidden('code-wait', left > 0 ? 'shown' : 'hidden');
    setText('code-wait', say('code-wait', { seconds: String(left) }));
    if (left <= 0) clearInterval(patience);
    left -= 1;
  };
  show();
  patience = setInterval(show, 1000);
}
