// What the portal answers: codes, proofs, sealed pickups and parts, replies. All of it same-origin, JSON or bytes.

import { type Bytes, base64url } from './bytes.js';
import { noteServerTime } from './clock.js';
import type { Pickup } from './letter.js';

/** No answer, or one that an overloaded server gives: worth trying again. */
export class Unreachable extends Error {
  constructor(
    readonly reason: 'offline' | 'busy' | 'often',
    options?: ErrorOptions,
  ) {
    super(reason, options);
  }
}

/** Not proven, unknown, withdrawn or expired: one answer for all. */
export class NotAvailable extends Error {}

/** The letter opens with the account alone: its reader must sign in. */
export class SignInFirst extends Error {}

/** More than the portal takes. */
export class TooLarge extends Error {}

export interface CodeRequest {
  readonly request: string;
  /** Seconds since 1970. */
  readonly expires: number;
}

/** What a code is asked for: a letter by its link, all letters of an address, or the account of an address. */
export type CodeFor = { readonly pickup: string } | { readonly address: string } | { readonly account: string };

/** What a right code opens for this browser. */
export interface Proven {
  readonly pickups: string[];
  /** The account of the mailbox that the code went to, if it has one. */
  readonly account?: string;
}

/** `open`: begun, but never handed over. */
export type ReplyState = 'open' | 'waiting' | 'taken' | 'refused';

/** Asks for a code by mail, for a pickup or for an address that was typed; the mail is in this language. */
export async function askCode(of: CodeFor, language: string): Promise<CodeRequest> {
  return (await (await post('/api/code', { ...of, language })).json()) as CodeRequest;
}

/** What a code opens for this browser; `undefined` where it is wrong, expired or spent. */
export async function prove(request: string, code: string): Promise<Proven | undefined> {
  const response = await ask('/api/proof', json('POST', { request, code }));
  if (response.status === 403) return undefined;
  return (await checked(response).json()) as Proven;
}

/** A pickup that this browser may see. */
export async function fetchPickup(pickup: string): Promise<Pickup> {
  return (await checked(await ask(`/api/pickups/${pickup}`)).json()) as Pickup;
}

/** A stored part, of exactly the announced size. */
export function fetchPart(pickup: string, n: number, size: number, progress: (received: number) => void): Promise<Bytes> {
  return fetchBytes(`/api/pickups/${pickup}/parts/${n}`, size, progress);
}

/** Bytes of exactly this number. */
export async function fetchBytes(path: string, size: number, progress: (received: number) => void): Promise<Bytes> {
  const response = checked(await ask(path));
  const part = new Uint8Array(size);
  const reader = response.body?.getReader();
  let received = 0;
  try {
    for (let next = await reader?.read(); next?.value !== undefined; next = await reader?.read()) {
      part.set(next.value.subarray(0, size - received), received);
      received += next.value.length;
      if (received > size) break;
      progress(received);
    }
  } catch (cause) {
    throw new Unreachable('offline', { cause });
  }
  if (received !== size) throw new Unreachable('offline');
  return part;
}

/** Tells the portal that the letter was opened. */
export async function postOpened(pickup: string, mac: Bytes): Promise<void> {
  await post(`/api/pickups/${pickup}/opened`, { mac: base64url(mac) });
}

export async function beginReply(pickup: string, reply: string): Promise<void> {
  await post('/api/replies', { pickup, reply });
}

/** Uploads one part of a reply. `fetch` can't tell how far an upload is; the older interface can. */
export function putPart(reply: string, n: number, part: Bytes, progress: (sent: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('PUT', `/api/replies/${reply}/parts/${n}`);
    request.setRequestHeader('content-type', 'application/octet-stream');
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onerror = () => reject(new Unreachable('offline'));
    request.onload = () => {
      if (request.status < 300) resolve();
      else reject(failure(request.status));
    };
    request.send(part);
  });
}

/** Hands a reply over. `ownKey` is its session key for the writer, who may then read it again. */
export async function sendReply(reply: string, keyPacket: Bytes, parts: number, ownKey?: Bytes): Promise<ReplyState> {
  const own = ownKey === undefined ? {} : { ownKey: base64url(ownKey) };
  return state(await post(`/api/replies/${reply}/send`, { keyPacket: base64url(keyPacket), parts, ...own }));
}

export async function replyState(reply: string): Promise<ReplyState> {
  return state(checked(await ask(`/api/replies/${reply}`)));
}

async function state(response: Response): Promise<ReplyState> {
  return ((await response.json()) as { state: ReplyState }).state;
}

export async function post(path: string, body: object): Promise<Response> {
  return checked(await ask(path, json('POST', body)));
}

export function json(method: string, body: object): RequestInit {
  return { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  try {
    const response = await fetch(path, { ...init, credentials: 'same-origin', cache: 'no-store', redirect: 'error' });
    noteServerTime(response.headers.get('date'));
    return response;
  } catch (cause) {
    throw new Unreachable('offline', { cause });
  }
}

export function checked(response: Response): Response {
  if (!response.ok) throw failure(response.status);
  return response;
}

function failure(status: number): Error {
  if (status === 413) return new TooLarge('too large');
  if (status === 401) return new SignInFirst('sign in first');
  if (status === 404 || status === 403) return new NotAvailable('not available');
  return new Unreachable(status === 429 ? 'often' : 'busy');
}
