// The time that signatures of this browser are dated with: the server's, because a phone's own clock may be wrong by years.
//
// Security: a wrong time makes a statement that the gateway refuses, and nothing worse.

/** Earlier than the server says, in milliseconds: the gateway's own clock may be slightly behind the portal's. */
const SLACK = 60_000;

let ahead = 0;

/** Takes note of the `Date` field of an answer (RFC 9110 6.6.1). */
export function noteServerTime(date: string | null): void {
  const server = Date.parse(date ?? '');
  if (!Number.isNaN(server)) ahead = Date.now() - server;
}

/** Now, in whole seconds, slightly in the past. */
export function signingTime(): Date {
  return new Date(Math.floor((Date.now() - ahead - SLACK) / 1000) * 1000);
}
