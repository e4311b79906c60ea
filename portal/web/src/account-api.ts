// What the portal answers about accounts: signing in, enrolling, recovering, letters and replies of the account.

import type { AccountAnswer } from './account.js';
import { Unreachable, ask, checked, fetchBytes, json, post } from './api.js';
import { type Bytes, base64url } from './bytes.js';
import type { StoredLetter } from './letter.js';

/** Too many tries; none is looked at for so many seconds. */
export class Later extends Error {
  constructor(readonly seconds: number) {
    super('later');
  }
}

/** The address has an account already. */
export class Conflict extends Error {}

/** Wrong passphrase, wrong recovery code, unknown address: one answer for all. */
export class Wrong extends Error {}

export interface Registered {
  readonly account: string;
  readonly response: string;
  /** The organisation's, over both and the request. */
  readonly signature: string;
}

export interface Enrolment {
  readonly pickup: string;
  readonly account: string;
  readonly certificate: Bytes;
  readonly file: Bytes;
  readonly upload: string;
  readonly recovery: Bytes;
  readonly mac: Bytes;
  readonly keys: readonly { readonly pickup: string; readonly packet: Bytes }[];
}

export type EnrolmentState = 'enrolled' | 'waiting' | 'refused' | 'conflict';

/** A letter of the account; without a key packet it still opens by its link alone. */
export interface AccountLetter extends Omit<StoredLetter, 'keyPacket'> {
  readonly keyPacket: string | null;
  readonly conversation: string;
  /** Seconds since 1970. */
  readonly created: number;
}

/** A reply that its writer sent. */
export interface OwnReply {
  readonly reply: string;
  readonly pickup: string;
  readonly letter: string;
  readonly conversation: string;
  readonly keyPacket: string;
  readonly slip: string;
  readonly parts: readonly number[];
  readonly sent: number;
  readonly expires: number;
}

/** One page of a list, newest first; without `next` it is the last. */
export interface Listed<T> {
  readonly items: readonly T[];
  readonly next?: string;
}

/** Begins a registration: for a first passphrase with the pickup that proves the session, otherwise for another one. */
export async function register(request: string, pickup?: string): Promise<Registered> {
  const body = pickup === undefined ? { request } : { request, pickup };
  return answered(await ask('/api/account/register', json('POST', body)));
}

export async function enrol(enrolment: Enrolment): Promise<{ state: EnrolmentState; errand: string }> {
  const { certificate, file, recovery, mac, keys } = enrolment;
  const binary = { certificate: base64url(certificate), file: base64url(file), recovery: base64url(recovery), mac: base64url(mac) };
  const wrapped = keys.map(({ pickup, packet }) => ({ pickup, packet: base64url(packet) }));
  return answered(await ask('/api/account/enrol', json('POST', { ...enrolment, ...binary, keys: wrapped })));
}

export async function enrolmentState(errand: string): Promise<EnrolmentState> {
  return (await answered<{ state: EnrolmentState }>(await ask(`/api/account/enrolment/${errand}`))).state;
}

export async function beginSignIn(address: string, request: string): Promise<{ signIn: string; response: string }> {
  return answered(await ask('/api/account/sign-in', json('POST', { address, request })));
}

export async function endSignIn(signIn: string, finalization: string): Promise<void> {
  await told(await ask(`/api/account/sign-in/${signIn}`, json('POST', { finalization })));
}

export async function recover(proof: Bytes): Promise<void> {
  await told(await ask('/api/account/recover', json('POST', { proof: base64url(proof) })));
}

/** The account that this session is signed in to; `undefined` where it is none. */
export async function fetchAccount(): Promise<AccountAnswer | undefined> {
  const response = await ask('/api/account');
  if ([401, 403, 404].includes(response.status)) return undefined;
  return (await checked(response).json()) as AccountAnswer;
}

export async function fetchLetters(after?: string): Promise<Listed<AccountLetter>> {
  const { letters, next } = await listed<{ letters: AccountLetter[]; next?: string | null }>('letters', after);
  return { items: letters, ...(next ? { next } : {}) };
}

export async function fetchReplies(after?: string): Promise<Listed<OwnReply>> {
  const { replies, next } = await listed<{ replies: OwnReply[]; next?: string | null }>('replies', after);
  return { items: replies, ...(next ? { next } : {}) };
}

export function fetchReplyPart(reply: string, n: number, size: number, progress: (got: number) => void): Promise<Bytes> {
  return fetchBytes(`/api/account/replies/${reply}/parts/${n}`, size, progress);
}

export async function postReceipt(pickup: string, signature: Bytes): Promise<void> {
  await post(`/api/pickups/${pickup}/receipt`, { signature: base64url(signature) });
}

/** Throws `Conflict` where the gateway doesn't believe it. */
export async function postRewrap(pickup: string, packet: Bytes, signature: Bytes): Promise<void> {
  const body = { packet: base64url(packet), signature: base64url(signature) };
  await told(await ask(`/api/pickups/${pickup}/rewrap`, json('POST', body)));
}

export async function change(upload: string, file: Bytes, recovery: Bytes, signature: Bytes): Promise<void> {
  const binary = { file: base64url(file), recovery: base64url(recovery), signature: base64url(signature) };
  await told(await ask('/api/account/change', json('POST', { upload, ...binary })));
}

export async function postSignOut(): Promise<void> {
  await post('/api/account/sign-out', {});
}

async function listed<T>(what: string, after: string | undefined): Promise<T> {
  const query = after === undefined ? '' : `?after=${encodeURIComponent(after)}`;
  return answered(await ask(`/api/account/${what}${query}`));
}

async function answered<T>(response: Response): Promise<T> {
  return (await (await told(response)).json()) as T;
}

async function told(response: Response): Promise<Response> {
  if (response.status === 429) {
    const seconds = await response.json().then((body: { seconds?: unknown }) => body.seconds, () => undefined);
    if (typeof seconds === 'number' && seconds > 0) throw new Later(seconds);
    throw new Unreachable('often');
  }
  if (response.status === 403) throw new Wrong('wrong');
  if (response.status === 409) throw new Conflict('conflict');
  return checked(response);
}
