// HTML mail, in a frame that runs no script and loads nothing from outside.
//
// Security: the mail was cleaned when it was sealed; the frame's own sandbox and policy hold where the cleaner missed
// something. This is the only place of the portal where HTML is set from text.

import { trustedHtml } from './trusted.js';

const SANDBOX = 'allow-same-origin allow-popups allow-popups-to-escape-sandbox';
// In pixels: room for a bar below mail that is wider than the page, and a bound against mail that grows with its frame.
const SCROLLBAR = 18;
const TALLEST = 60_000;
// Mail is written for a white page.
const STYLE = `<style>
html { background: #fff; color: #1c2733; color-scheme: light; overflow-y: hidden; }
body { margin: 0; font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
style + * { margin-top: 0; }
a { color: #0b5cad; }
img { max-width: 100%; height: auto; }
table { max-width: 100%; }
pre { white-space: pre-wrap; }
blockquote { margin: .5rem 0 .5rem .2rem; padding-left: .8rem; border-left: 3px solid #c9d3dc; }
</style>`;

/** Puts a frame with this mail into an element. */
export function showMail(into: HTMLElement, html: string, title: string): void {
  const frame = document.createElement('iframe');
  frame.className = 'mail-frame';
  frame.title = title;
  frame.setAttribute('sandbox', SANDBOX);
  frame.addEventListener('load', () => {
    const inside = frame.contentDocument;
    if (inside === null) return;
    inside.body.innerHTML = trustedHtml(STYLE + html);
    const root = inside.documentElement;
    const fit = (): void => {
      const scrollbar = root.scrollWidth > root.clientWidth ? SCROLLBAR : 0;
      frame.style.height = `${Math.min(Math.ceil(root.getBoundingClientRect().height) + scrollbar, TALLEST)}px`;
    };
    new ResizeObserver(fit).observe(root);
    fit();
  });
  frame.src = '/mail-frame';
  into.replaceChildren(frame);
}
