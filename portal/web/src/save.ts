// Saving what was opened: always as a download, never shown in the portal's origin.
//
// Security: the type is always application/octet-stream, so that no browser opens HTML or SVG from here; names can't
// climb, hide their ending by writing direction, or be devices.

import type { Bytes } from './bytes.js';

const LONGEST_NAME = 120;

/** A file name that is safe on every system; `fallback` where nothing is left of it. */
export function safeName(name: string, fallback: string): string {
  const cleaned = name
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\u2028\u2029]/gu, '')
    .replace(/[\\/:*?"<>|]/g, '_')
    .replace(/\s+/g, ' ')
    .replace(/^[. ]+|[. ]+$/g, '');
  const device = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(cleaned) ? `_${cleaned}` : cleaned;
  if (device === '') return fallback;
  if (device.length <= LONGEST_NAME) return device;
  const ending = /\.[^.]{1,10}$/.exec(device)?.[0] ?? '';
  return Array.from(device).slice(0, LONGEST_NAME - ending.length).join('') + ending;
}

/** Hands bytes to the browser's downloads. */
export function saveFile(name: string, bytes: Bytes): void {
  const url = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
  const anchor = document.createElement('a');
  anchor.href = url;
  anchor.download = name;
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  // Some browsers read the blob only after the click was handled.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
