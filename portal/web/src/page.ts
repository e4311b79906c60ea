// The page's steps: sections of which one is shown, with its heading told to whoever can't see the change.

import { say } from './texts.js';

export type Problem = 'gone' | 'tampered' | 'unreachable' | 'address' | 'account';

/** An element of the page that must be there. */
export function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}

export function hidden(id: string, is: 'shown' | 'hidden'): void {
  element(id, HTMLElement).hidden = is === 'hidden';
}

export function setText(id: string, text: string): void {
  element(id, HTMLElement).textContent = text;
}

/** Shows one step and moves the focus to what is to be read or filled in first. */
export function showStep(step: string): void {
  for (const section of document.querySelectorAll<HTMLElement>('[data-step]')) {
    section.hidden = section.dataset['step'] !== step;
  }
  const section = document.querySelector<HTMLElement>(`[data-step="${step}"]`);
  const first = section?.querySelector<HTMLElement>('[data-focus]') ?? section?.querySelector<HTMLElement>('h1');
  first?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

/** Says something to screen readers, without moving the focus. */
export function announce(text: string): void {
  setText('announcement', text);
}

/** An error beside its field, or none. */
export function fieldError(input: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  const error = element(`${input.id}-error`, HTMLElement);
  error.textContent = text;
  error.hidden = text === '';
  if (text === '') input.removeAttribute('aria-invalid');
  else input.setAttribute('aria-invalid', 'true');
}

/** Shows that something takes its time. */
export function showWorking(heading: string, advice: string): void {
  setText('working-heading', heading);
  setText('working-advice', advice);
  showStep('working');
}

/** The page for what can't go on; `again` is offered where trying again may help. */
export function showProblem(which: Problem, again?: () => void): void {
  setText('problem-heading', say(`problem-${which}-heading`));
  setText('problem-advice', say(`problem-${which}-advice`));
  hidden('problem-again', again === undefined ? 'hidden' : 'shown');
  hidden('problem-lost', which === 'gone' || which === 'address' ? 'shown' : 'hidden');
  element('problem-again', HTMLButtonElement).onclick = () => again?.();
  showStep('problem');
}

/** An element with its class and text. */
export function make<K extends keyof HTMLElementTagNameMap>(tag: K, className: string, text: string): HTMLElementTagNameMap[K] {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** A line of text in an element that is hidden where there is none. */
export function tell(id: string, text: string): void {
  setText(id, text);
  hidden(id, text === '' ? 'hidden' : 'shown');
}

/** Runs what a button or form asks for, once at a time; the button shows that it is at work. */
export async function busy(button: HTMLButtonElement, work: () => Promise<void>): Promise<void> {
  if (button.getAttribute('aria-disabled') === 'true') return;
  button.setAttribute('aria-disabled', 'true');
  try {
    await work();
  } finally {
    button.removeAttribute('aria-disabled');
  }
}

/** Whether this browser has what opening a letter takes. */
export function browserIsAble(): boolean {
  // The two methods are of 2022; a browser that has them has all the syntax that the modules use.
  return window.isSecureContext && typeof crypto.subtle === 'object' && 'at' in Array.prototype && 'structuredClone' in window;
}

/** Whether OpenPGP.js arrived; without it nothing may be judged as changed. */
export function libraryIsThere(): boolean {
  return typeof openpgp === 'object';
}
