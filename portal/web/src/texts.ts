// The texts of the page's language, which the server puts into the page as JSON.

type Variables = Readonly<Record<string, string>>;

let texts: Record<string, string> | undefined;

/** A text, with its variables put in. */
export function say(key: string, variables: Variables = {}): string {
  texts ??= JSON.parse(document.getElementById('texts')?.textContent ?? '{}') as Record<string, string>;
  const text = texts[`js-${key}`] ?? `[js-${key}]`;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => variables[name] ?? whole);
}

export function language(): string {
  return document.documentElement.lang || 'en';
}

export function longDate(seconds: number): string {
  return new Intl.DateTimeFormat(language(), { dateStyle: 'long' }).format(new Date(seconds * 1000));
}

export function dateAndTime(seconds: number): string {
  return new Intl.DateTimeFormat(language(), { dateStyle: 'long', timeStyle: 'short' }).format(new Date(seconds * 1000));
}

export function clockTime(seconds: number): string {
  return new Intl.DateTimeFormat(language(), { timeStyle: 'short' }).format(new Date(seconds * 1000));
}

/** A size as people read it: `840 kB`, `2.4 MB`. */
export function size(bytes: number): string {
  const [value, unit, digits] = bytes < 1_000_000 ? [bytes / 1000, 'kB', 0] : [bytes / 1_000_000, 'MB', 1];
  const rounded = bytes < 1000 ? 1 : value;
  return `${new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(rounded)}\u00a0${unit}`;
}
