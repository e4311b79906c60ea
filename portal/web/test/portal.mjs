// Portal and gateway in one, played in memory: what the browser code may ask about accounts, with every check that the
// real ones make of statements and shapes. `hostile` changes answers on their way.

import { ready, server } from '@serenity-kit/opaque';
import { randomBytes } from 'node:crypto';
import * as openpgp from 'openpgp';
import { crockford, idBytes } from '../dist/bytes.js';
import { accountPackets } from '../dist/frame.js';
import { b64, bytes, ctx, letter, organisation, sha256 } from './gateway.mjs';

export const CODE = '12345678';
const SERVER = { server: 'sealpost/v1/opaque' };
const from64 = (text) => new Uint8Array(Buffer.from(text, 'base64url'));
const eight = (number) => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(BigInt(number));
  return buffer;
};
const id = () => crockford(new Uint8Array(randomBytes(16)));
const answer = (status, json) => ({ status, json });
const DONE = { status: 204 };
const NOT_AVAILABLE = answer(404, { error: 'not-available' });
const WRONG = answer(403, { error: 'wrong-code' });
const SIGN_IN = answer(401, { error: 'sign-in' });

export class Portal {
  static async start() {
    await ready;
    const portal = new Portal();
    portal.org = await organisation();
    return portal;
  }

  setup = server.createSetup();
  letters = new Map();
  /** By reader. */
  accounts = new Map();
  replies = new Map();
  sessions = new Map();
  enrolments = new Map();
  tries = new Map();
  /** The newest receipts, by pickup. */
  receipts = new Map();
  mails = [];
  hostile = (_route, json) => json;
  /** How many times an enrolment is asked after before it is answered. */
  slow = 0;

  /** A letter for a reader; straight to the key where the reader has one, unless it is an old one. */
  async deliver(reader, { old = false, ...rest } = {}) {
    const sample = await letter({ org: this.org, reader, ...rest });
    const account = old ? undefined : this.accounts.get(reader);
    const row = { sample, reader, way: account ? 'account' : 'link', created: 1_790_000_000 + this.letters.size * 86_400 };
    if (account) row.wrapped = await this.wrap(sample.key, account.certificate);
    this.letters.set(sample.pickup.pickup, row);
    return sample;
  }

  async wrap(key, certificate, to) {
    const encryptionKeys = to ?? (await openpgp.readKey({ binaryKey: certificate }));
    return openpgp.encryptSessionKey({ data: key, algorithm: 'aes256', aeadAlgorithm: 'gcm', encryptionKeys, format: 'binary', date: null });
  }

  /** `cookie` names a browser. Gives the status, a body, and another cookie where the session got a new id. */
  async ask(cookie, method, path, body) {
    const session = this.sessions.get(cookie) ?? { proven: new Set() };
    this.sessions.set(cookie, session);
    const [, , ...route] = path.split('?')[0].split('/');
    const given = body instanceof Uint8Array ? body : body === undefined ? {} : JSON.parse(body);
    const result = await this.#route(session, method, route, given, path);
    if (result.json !== undefined) result.json = await this.hostile(route.join('/'), result.json, session);
    return result;
  }

  /** Takes the place of `fetch` for the browser code. */
  fetchAs(cookie) {
    return async (path, init = {}) => {
      const result = await this.ask(cookie, init.method ?? 'GET', path, init.body);
      const content = result.bytes ?? (result.json === undefined ? null : JSON.stringify(result.json));
      return new Response(content, { status: result.status, headers: { date: new Date().toUTCString() } });
    };
  }

  async #route(session, method, route, given, path) {
    switch (route[0]) {
      case 'code': return this.#code(session, given);
      case 'proof': return this.#proof(session, given);
      case 'pickups': return this.#pickup(session, route, given);
      case 'account': return this.#account(session, method, route.slice(1), given, path);
      case 'replies': return this.#reply(session, method, route, given);
      default: return NOT_AVAILABLE;
    }
  }

  #code(session, { pickup, address, account }) {
    const request = id();
    session.code = { request, pickup, address, account: account === undefined ? undefined : this.accounts.get(account)?.id ?? id() };
    return answer(200, { request, expires: Math.floor(Date.now() / 1000) + 600 });
  }

  #proof(session, { request, code }) {
    if (session.code?.request !== request || code !== CODE) return WRONG;
    const { pickup, address, account } = session.code;
    const pickups = pickup !== undefined ? [pickup] : address === undefined ? [] : this.#pickupsOf(address);
    for (const each of pickups) session.proven.add(each);
    const of = account ?? this.accounts.get(this.letters.get(pickups[0])?.reader)?.id;
    if (of !== undefined) session.codeFor = of;
    return answer(200, { pickups, ...(of === undefined ? {} : { account: of }) });
  }

  #pickupsOf(reader) {
    return [...this.letters].filter(([, row]) => row.reader === reader).map(([pickup]) => pickup);
  }

  async #pickup(session, [, pickup, what, n], given) {
    const row = this.letters.get(pickup);
    const account = this.accounts.get(row?.reader);
    const owner = account !== undefined && session.account === account.id;
    if (row === undefined || !(owner || session.proven.has(pickup))) return NOT_AVAILABLE;
    const { sample } = row;
    if (what === 'parts') return { status: 200, bytes: sample.stored[Number(n)] };
    if (what === 'opened') return DONE;
    const lid = idBytes(sample.pickup.letter);
    const slipHash = sha256(sample.slipPacket);
    if (what === 'receipt') {
      const said = ctx('say/opened', new Uint8Array(0), lid, bytes(row.reader), this.org.fingerprint, slipHash, sha256(row.wrapped ?? new Uint8Array(0)));
      if (!owner || !(await signedBy(account.certificate, said, from64(given.signature)))) return DONE;
      this.receipts.set(pickup, given.signature);
      row.way = 'account';
      return DONE;
    }
    if (what === 'rewrap') {
      const said = ctx('say/rewrap', idBytes(pickup), lid, bytes(row.reader), this.org.fingerprint, sha256(from64(given.packet)));
      if (owner && (await signedBy(account.certificate, said, from64(given.signature)))) row.wrapped = from64(given.packet);
      return DONE;
    }
    const by = { way: row.way, enrolled: account !== undefined };
    if (owner && row.wrapped) return answer(200, { ...sample.pickup, ...by, share: '', keyPacket: b64(row.wrapped) });
    return row.way === 'account' ? SIGN_IN : answer(200, { ...sample.pickup, ...by });
  }

  async #account(session, method, route, given, path) {
    const own = [...this.accounts.values()].find((account) => account.id === session.account);
    const [what, name, , n] = route;
    switch (what) {
      case undefined: return own ? answer(200, { ...this.#told(own), how: session.how }) : SIGN_IN;
      case 'register': return this.#register(session, given, own);
      case 'enrol': return this.#enrol(session, given);
      case 'enrolment': return this.#enrolment(session, name);
      case 'sign-in': return name === undefined ? this.#signIn(session, given) : this.#signInEnd(session, name, given);
      case 'recover': return this.#recover(session, given);
      case 'change': return own ? this.#change(own, given) : SIGN_IN;
      case 'sign-out': delete session.account; return DONE;
      case 'letters': return own ? this.#letters(own, path) : SIGN_IN;
      case 'replies': {
        if (!own) return SIGN_IN;
        if (name !== undefined) return { status: 200, bytes: this.replies.get(name).parts[Number(n)] };
        return answer(200, { replies: this.#replies(own), next: null });
      }
      default: return NOT_AVAILABLE;
    }
  }

  #told(account) {
    const hexFingerprint = Buffer.from(this.org.fingerprint).toString('hex').toUpperCase();
    return {
      account: account.id, reader: account.reader, organisation: hexFingerprint, organisationCertificate: b64(this.org.publicKey.write()),
      certificate: b64(account.certificate), fingerprint: account.fingerprint, counter: 1, vouchedAt: 1_790_000_000,
      vouch: b64(account.vouch), file: b64(account.file), changes: account.changes,
    };
  }

  async #register(session, { request, pickup }, own) {
    const row = pickup === undefined ? undefined : this.letters.get(pickup);
    if (pickup !== undefined && !(row && session.proven.has(pickup))) return NOT_AVAILABLE;
    if (row && this.accounts.has(row.reader)) return answer(409, { error: 'conflict' });
    const reader = row?.reader ?? own?.reader;
    if (reader === undefined) return SIGN_IN;
    const { registrationResponse } = server.createRegistrationResponse({ serverSetup: this.setup, userIdentifier: reader, registrationRequest: request });
    session.registration = own?.id ?? id();
    const signature = b64(await this.registered(idBytes(session.registration), reader, from64(request), from64(registrationResponse)));
    return answer(200, { account: session.registration, response: registrationResponse, signature });
  }

  /** The gateway's signature by which a browser knows its answer. */
  async registered(account, reader, request, response, org = this.org) {
    const said = ctx('registered', account, bytes(reader), org.fingerprint, sha256(request), sha256(response));
    return openpgp.sign({ message: await openpgp.createMessage({ binary: said }), signingKeys: org.privateKey, detached: true, format: 'binary', date: org.publicKey.getCreationTime() });
  }

  async #enrol(session, given) {
    const row = this.letters.get(given.pickup);
    if (!row || !session.proven.has(given.pickup) || session.registration !== given.account) return answer(200, { state: 'refused', errand: id() });
    const [certificate, file, upload, recovery] = [given.certificate, given.file, given.upload, given.recovery].map(from64);
    const key = await openpgp.readKey({ binaryKey: certificate });
    const fingerprint = new Uint8Array(Buffer.from(key.getFingerprint(), 'hex'));
    const mac = row.sample.say('enrol', fingerprint, sha256(certificate), sha256(file), sha256(upload), sha256(recovery));
    let state = this.accounts.has(row.reader) ? 'conflict' : 'enrolled';
    accountPackets(file);
    if (b64(mac) !== given.mac || key.users[0].userID.userID !== row.reader || recovery.length !== 32 || JSON.stringify(given).length > 16_384) state = 'refused';
    if (state === 'enrolled') {
      const said = ctx('vouch', bytes(row.reader), fingerprint, sha256(certificate), eight(1), eight(1_790_000_000), bytes('enrolled'));
      const vouch = await openpgp.sign({ message: await openpgp.createMessage({ binary: said }), signingKeys: this.org.privateKey, detached: true, format: 'binary', date: this.org.publicKey.getCreationTime() });
      this.accounts.set(row.reader, {
        id: given.account, reader: row.reader, certificate, fingerprint: key.getFingerprint().toUpperCase(), vouch, file,
        record: given.upload, recovery: given.recovery, changes: 0,
      });
      for (const { pickup, packet } of given.keys) {
        const mine = this.letters.get(pickup);
        if (mine?.reader === row.reader) mine.wrapped = from64(packet);
      }
    }
    const errand = id();
    this.enrolments.set(errand, { state, left: this.slow, account: given.account });
    return this.#enrolment(session, errand, { errand });
  }

  #enrolment(session, errand, extra = {}) {
    const asked = this.enrolments.get(errand);
    if (asked.left > 0) {
      asked.left -= 1;
      return answer(200, { state: 'waiting', ...extra });
    }
    if (asked.state === 'enrolled') Object.assign(session, { account: asked.account, how: 'passphrase' });
    return answer(200, { state: asked.state, ...extra });
  }

  #signIn(session, { address, request }) {
    const reader = address.trim().toLowerCase();
    const tries = (this.tries.get(reader) ?? 0) + 1;
    if (tries > 5 && session.codeFor === undefined) return answer(429, { error: 'later', seconds: 90 });
    this.tries.set(reader, tries);
    const account = this.accounts.get(reader);
    const { serverLoginState, loginResponse } = server.startLogin({
      serverSetup: this.setup, userIdentifier: reader, registrationRecord: account?.record ?? null, startLoginRequest: request, identifiers: SERVER,
    });
    session.signIn = { name: id(), state: serverLoginState, account };
    return answer(200, { signIn: session.signIn.name, response: loginResponse });
  }

  #signInEnd(session, name, { finalization }) {
    const begun = session.signIn;
    delete session.signIn;
    if (begun?.name !== name || begun.account === undefined) return WRONG;
    try {
      server.finishLogin({ serverLoginState: begun.state, finishLoginRequest: finalization, identifiers: SERVER });
    } catch {
      return WRONG;
    }
    this.tries.delete(begun.account.reader);
    Object.assign(session, { account: begun.account.id, how: 'passphrase' });
    return DONE;
  }

  #recover(session, { proof }) {
    const account = [...this.accounts.values()].find((each) => each.id === session.codeFor);
    if (account === undefined || b64(sha256(from64(proof))) !== account.recovery) return WRONG;
    Object.assign(session, { account: account.id, how: 'recovery' });
    return DONE;
  }

  async #change(account, given) {
    const [file, upload, recovery] = [given.file, given.upload, given.recovery].map(from64);
    accountPackets(file);
    const said = ctx(
      'say/change', idBytes(account.id), bytes(account.reader), this.org.fingerprint, sha256(file), sha256(upload), sha256(recovery), eight(account.changes),
    );
    if (!(await signedBy(account.certificate, said, from64(given.signature)))) return WRONG;
    Object.assign(account, { file, record: given.upload, changes: account.changes + 1 });
    if (recovery.length > 0) account.recovery = given.recovery;
    return DONE;
  }

  #letters(account, path) {
    const after = Number(new URLSearchParams(path.split('?')[1]).get('after') ?? 0);
    const all = [...this.letters.values()].filter(({ reader }) => reader === account.reader).reverse();
    const letters = all.slice(after, after + 30).map(({ sample, wrapped, created }) => {
      const { pickup, letter: lid, organisation: o, slip, parts, expires } = sample.pickup;
      return { pickup, letter: lid, conversation: sample.conversation, organisation: o, keyPacket: wrapped ? b64(wrapped) : null, slip, parts, created, expires };
    });
    return answer(200, { letters, next: all.length > after + 30 ? String(after + 30) : null });
  }

  #replies(account) {
    return [...this.replies].filter(([, reply]) => reply.account === account.id && reply.ownKey).map(([reply, { pickup, ownKey, parts, sent }]) => {
      const { sample } = this.letters.get(pickup);
      return {
        reply, pickup, letter: sample.pickup.letter, conversation: sample.conversation, keyPacket: ownKey, slip: b64(parts[0]),
        parts: parts.map((part) => part.length), sent, expires: 1_800_000_000,
      };
    }).reverse();
  }

  #reply(session, method, [, reply, what, n], given) {
    if (reply === undefined) {
      this.replies.set(given.reply, { pickup: given.pickup, parts: [] });
      return DONE;
    }
    const row = this.replies.get(reply);
    if (what === 'parts') row.parts[Number(n)] = given;
    if (what === 'send') Object.assign(row, { keyPacket: given.keyPacket, ownKey: given.ownKey, account: session.account, sent: 1_790_400_000 });
    return what === 'parts' ? DONE : answer(200, { state: 'taken' });
  }
}

async function signedBy(certificate, said, signature) {
  const { signatures } = await openpgp.verify({
    message: await openpgp.createMessage({ binary: said }),
    signature: await openpgp.readSignature({ binarySignature: signature }),
    verificationKeys: await openpgp.readKey({ binaryKey: certificate }),
    date: null, format: 'binary',
  });
  return signatures.length === 1 && (await signatures[0].verified.catch(() => false)) === true;
}
