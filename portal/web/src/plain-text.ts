// Plain text with its web addresses made clickable: built from text nodes, never from HTML.

export interface Piece {
  readonly text: string;
  readonly link?: string;
}

// Trailing punctuation belongs to the sentence; a closing bracket only where it was opened inside the address.
const ADDRESS = /https?:\/\/[^\s<>"'\u0000-\u001f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gi;

/** Text and links in turn. A link's text is the address itself, so that nobody is sent elsewhere than they read. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = withoutSentenceEnd(match[0]);
    const link = webAddress(address);
    if (link === undefined) continue;
    if (match.index > at) found.push({ text: text.slice(at, match.index) });
    found.push({ text: address, link });
    at = match.index + address.length;
  }
  if (at < text.length) found.push({ text: text.slice(at) });
  return found;
}

/** Fills an element with text and links. */
export function showText(into: HTMLElement, text: string): void {
  into.replaceChildren(
    ...pieces(text).map(({ text: shown, link }) => {
      if (link === undefined) return document.createTextNode(shown);
      const anchor = document.createElement('a');
      anchor.href = link;
      anchor.target = '_blank';
      anchor.rel = 'noopener noreferrer';
      anchor.textContent = shown;
      return anchor;
    }),
  );
}

function withoutSentenceEnd(address: string): string {
  let rest = address;
  for (;;) {
    const last = rest.slice(-1);
    const unmatched = last === ')' && rest.split('(').length <= rest.split(')').length - 1;
    if (!unmatched && !/[.,;:!?\]}*_~]/.test(last)) return rest;
    rest = rest.slice(0, -1);
  }
}

function webAddress(text: string): string | undefined {
  try {
    const url = new URL(text);
    // A name and password in front of the host is how a foreign address is dressed up.
    const plain = (url.protocol === 'https:' || url.protocol === 'http:') && url.username === '' && url.password === '';
    return plain ? url.href : undefined;
  } catch {
    return undefined;
  }
}
