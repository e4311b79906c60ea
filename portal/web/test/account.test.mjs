import assert from 'node:assert/strict';
import { ready, server } from '@serenity-kit/opaque';
import { randomBytes } from 'node:crypto';
import { beforeEach, test } from 'node:test';
import { fingerprintGroups } from '../dist/account.js';
import { DoesNotUnlock, makeAccountFile, unlockAccountFile } from '../dist/account-file.js';
import * as api from '../dist/account-api.js';
import { NotAvailable, SignInFirst, Unreachable, askCode, fetchPickup, prove } from '../dist/api.js';
import { crockford, idBytes } from '../dist/bytes.js';
import { recoveryPassword } from '../dist/derive.js';
import { enrolReader, Refused } from '../dist/enrol.js';
import { Tampered, openLetter, openWithAccount } from '../dist/letter.js';
import { run } from '../dist/opaque-worker.js';
import { Opaque } from '../dist/opaque.js';
import { openPlain, openSigned } from '../dist/openpgp.js';
import { OwnKey } from '../dist/own-key.js';
import { sealReply } from '../dist/reply.js';
import { ownAccount } from '../dist/signed-in.js';
import { forgetShown, isUnlocked, keepShown, keepUnlocked, recallShown } from '../dist/unlocked.js';
import { changeWays, codeToShow, recoverAccount, signIn } from '../dist/ways-in.js';
import { CODE, Portal } from './portal.mjs';
import { b64, bytes, ctx, organisation, sha256 } from './gateway.mjs';

const READER = 'maria@patient.example';
const PASSPHRASE = 'vier Äpfel rollen langsam';

/** The worker, in this thread. */
class Here extends Opaque {
  run(step) {
    return run(step);
  }
}

class Kept {
  kept = new Map();
  getItem(key) { return this.kept.get(key) ?? null; }
  setItem(key, value) { this.kept.set(key, value); }
  removeItem(key) { this.kept.delete(key); }
}

beforeEach(() => {
  globalThis.sessionStorage = new Kept();
  globalThis.localStorage = new Kept();
});

const opaque = new Here();
const quiet = () => undefined;
const un64 = (text) => new Uint8Array(Buffer.from(text, 'base64url'));
const browser = (portal, cookie) => (globalThis.fetch = portal.fetchAs(cookie));

async function byLink(portal, sample) {
  const { pickup } = sample.pickup;
  const { request } = await askCode({ pickup }, 'en');
  assert.equal(await prove(request, '00000000'), undefined);
  await prove(request, CODE);
  return { pickup, letter: await openLetter(pickup, await fetchPickup(pickup), sample.link) };
}

/** A reader who enrolled after reading a letter. */
async function enrolled() {
  const portal = await Portal.start();
  const sample = await portal.deliver(READER);
  browser(portal, 'first');
  const opened = await byLink(portal, sample);
  return { portal, sample, opened, ...(await enrolReader(PASSPHRASE, opened, [], opaque, quiet)) };
}

test('enrolment: key, file, receipt, and the letter by the account alone', async () => {
  const stages = [];
  const portal = await Portal.start();
  portal.slow = 2;
  const [sample, other] = [await portal.deliver(READER), await portal.deliver(READER)];
  browser(portal, 'first');
  const [opened, second] = [await byLink(portal, sample), await byLink(portal, other)];
  const done = await enrolReader(PASSPHRASE, opened, [second], opaque, (stage) => stages.push(stage));
  assert.deepEqual(stages, ['stretching', 'confirming', 'checking']);
  assert.equal(done.letter.slip.subject, 'Ihr Laborbefund ä€');
  assert.ok(portal.receipts.has(opened.pickup), 'the receipt is signed and believed');
  assert.ok(!portal.receipts.has(second.pickup), 'the other letter was not opened with the new key yet');
  assert.ok(await done.unlocked.account.isVouchedFor(done.unlocked.answer));
  assert.equal((await openWithAccount(second.pickup, await fetchPickup(second.pickup), done.unlocked.account)).reader, READER);
  browser(portal, 'thief with link and code');
  const { request } = await askCode({ pickup: opened.pickup }, 'en');
  await prove(request, CODE);
  await assert.rejects(fetchPickup(opened.pickup), SignInFirst);
});

test('a second enrolment of the same address is told so, and changes nothing', async () => {
  const { portal, unlocked } = await enrolled();
  const old = await portal.deliver(READER, { old: true });
  browser(portal, 'second');
  const opened = await byLink(portal, old);
  await assert.rejects(enrolReader(PASSPHRASE, opened, [], opaque, quiet), api.Conflict);
  assert.equal(portal.accounts.get(READER).id, unlocked.account.text);
});

test('a portal that exchanges what an enrolment carries is found by the gateway', async () => {
  const table = {
    certificate: b64((await OwnKey.make(READER)).certificate),
    file: (given) => b64(Buffer.from(given.file, 'base64url').fill(1, 3000)),
    upload: (given) => given.upload.replace(/.$/, 'A').replace(/^./, (c) => (c === 'A' ? 'B' : 'A')),
    recovery: b64(randomBytes(32)),
    mac: b64(randomBytes(32)),
  };
  for (const [member, value] of Object.entries(table)) {
    const portal = await Portal.start();
    const sample = await portal.deliver(READER);
    browser(portal, 'first');
    const opened = await byLink(portal, sample);
    const honest = globalThis.fetch;
    globalThis.fetch = (path, init) => {
      if (path !== '/api/account/enrol') return honest(path, init);
      const given = JSON.parse(init.body);
      return honest(path, { ...init, body: JSON.stringify({ ...given, [member]: typeof value === 'string' ? value : value(given) }) });
    };
    await assert.rejects(enrolReader(PASSPHRASE, opened, [], opaque, quiet), Refused, member);
    assert.equal(sessionStorage.getItem('sealpost.recovery'), null, 'a recovery code of nothing is forgotten');
  }
});

test('after enrolment: what the portal swaps is refused before a receipt is signed', async () => {
  const stranger = await organisation();
  const foreign = await OwnKey.make(READER);
  const table = {
    'no key packet for the new key': ['pickups', (json, portal) => ({ ...json, keyPacket: portal.original.keyPacket })],
    'a key packet of rubbish': ['pickups', (json) => ({ ...json, keyPacket: b64(Buffer.from(json.keyPacket, 'base64url').fill(9, 60)) })],
    'another letter': ['pickups', (json) => ({ ...json, letter: crockford(new Uint8Array(16)) })],
    'another reader': ['account', (json) => ({ ...json, reader: 'anna@other.example' })],
    'another organisation': ['account', (json) => ({ ...json, organisation: Buffer.from(stranger.fingerprint).toString('hex'), organisationCertificate: b64(stranger.publicKey.write()) })],
    "another organisation's certificate alone": ['account', (json) => ({ ...json, organisationCertificate: b64(stranger.publicKey.write()) })],
    'another certificate': ['account', (json) => ({ ...json, certificate: b64(foreign.certificate) })],
    'another account': ['account', (json) => ({ ...json, account: crockford(new Uint8Array(16)) })],
    'a file that nothing unlocks': ['account', async (json) => ({ ...json, file: b64(await makeAccountFile({ account: idBytes(json.account), address: READER, organisation: new Uint8Array(32), key: foreign }, ['x'])) })],
    'a file of rubbish': ['account', (json) => ({ ...json, file: b64(randomBytes(4000)) })],
    'no file': ['account', (json) => ({ ...json, file: undefined })],
  };
  for (const [name, [route, bend]] of Object.entries(table)) {
    const portal = await Portal.start();
    const sample = await portal.deliver(READER);
    portal.original = sample.pickup;
    browser(portal, 'first');
    const opened = await byLink(portal, sample);
    portal.hostile = (asked, json) => (asked === 'account' || asked.startsWith('pickups') ? (asked.startsWith(route) && asked.split('/').length < 3 ? bend(json, portal) : json) : json);
    await assert.rejects(enrolReader(PASSPHRASE, opened, [], opaque, quiet), Tampered, name);
    assert.equal(portal.receipts.size, 0, name);
    assert.equal(portal.letters.get(opened.pickup).way, 'link', `${name}: the link still opens it`);
  }
});

/** What a portal can answer to a registration in the gateway's place; `request` is what the browser asked with. */
function answersOfAPortal(portal, earlier, stranger) {
  const own = server.createSetup();
  const evaluate = (serverSetup, request) => server.createRegistrationResponse({ serverSetup, userIdentifier: READER, registrationRequest: request }).registrationResponse;
  const signedBy = async (json, reader, request, response, org) => b64(await portal.registered(idBytes(json.account), reader, un64(request), un64(response), org));
  const another = crockford(new Uint8Array(randomBytes(16)));
  return {
    'evaluated with a key of its own, and the signature of the right answer': (json, request) => ({ ...json, response: evaluate(own, request) }),
    'the same, signed by nobody': (json, request) => ({ ...json, response: evaluate(own, request), signature: '' }),
    'the same, without a word': (json, request) => ({ account: json.account, response: evaluate(own, request) }),
    'the same, signed by another organisation': async (json, request) => {
      const response = evaluate(own, request);
      return { ...json, response, signature: await signedBy(json, READER, request, response, { ...stranger, fingerprint: portal.org.fingerprint }) };
    },
    'an earlier answer, with its signature': (json) => ({ ...earlier, account: json.account }),
    'an earlier answer, for the account that it was for': () => earlier,
    'the right answer, with an earlier signature': (json) => ({ ...json, signature: earlier.signature }),
    'what the gateway answers another reader to the same request': async (json, request) => ({ ...json, signature: await signedBy(json, 'anna@other.example', request, json.response) }),
    "the server's key exchanged": (json, request) => ({ ...json, response: b64(Buffer.concat([un64(json.response).subarray(0, 32), un64(evaluate(own, request)).subarray(32)])) }),
    'another account': (json) => ({ ...json, account: another }),
    'no account': (json) => ({ ...json, account: undefined }),
    'a signature over something else': (json) => ({ ...json, signature: b64(portal.accounts.get(READER)?.vouch ?? new Uint8Array(100)) }),
    'one octet of the signature': (json) => ({ ...json, signature: b64(un64(json.signature).with(90, un64(json.signature)[90] ^ 1)) }),
    'two signatures': (json) => ({ ...json, signature: b64(Buffer.concat([un64(json.signature), un64(json.signature)])) }),
    'no base64url': (json) => ({ ...json, response: `${json.response}*` }),
    'a number': (json) => ({ ...json, signature: 7 }),
  };
}

/** Tries all of them on what `begin` gives: the portal, an honest registration, and what the browser does that needs one. */
async function refusesEachAnswer(begin) {
  await ready;
  for (const name of Object.keys(answersOfAPortal({}, {}, {}))) {
    const { portal, register, work } = await begin();
    const answers = answersOfAPortal(portal, await register(), await organisation());
    const [asked, steps] = [[], []];
    const honest = globalThis.fetch;
    globalThis.fetch = (path, init) => {
      asked.push([path, init]);
      return honest(path, init);
    };
    portal.hostile = (route, json) => (route === 'account/register' ? answers[name](json, JSON.parse(asked.at(-1)[1].body).request) : json);
    const watched = new Here();
    watched.run = (step) => {
      steps.push(step.step);
      return run(step);
    };
    await assert.rejects(work(watched), Tampered, name);
    assert.deepEqual(asked.map(([path]) => path), ['/api/account/register'], `${name}: nothing is sent after it`);
    assert.deepEqual(steps, ['start-registration'], `${name}: nothing is derived from it`);
    assert.equal(sessionStorage.getItem('sealpost.recovery'), null, name);
  }
}

test('a registration that the portal answers itself: an enrolment stops before anything is derived or sent', () =>
  refusesEachAnswer(async () => {
    const portal = await Portal.start();
    const sample = await portal.deliver(READER);
    browser(portal, 'first');
    const opened = await byLink(portal, sample);
    const register = async () => api.register((await opaque.startRegistration(PASSPHRASE)).message, opened.pickup);
    return { portal, register, work: (watched) => enrolReader(PASSPHRASE, opened, [], watched, quiet) };
  }));

for (const how of ['passphrase', 'recovery code']) {
  test(`a registration that the portal answers itself: a change by ${how} stops likewise`, () =>
    refusesEachAnswer(async () => {
      const { portal, recovery } = await enrolled();
      sessionStorage.removeItem('sealpost.recovery');
      browser(portal, 'second');
      const byCode = async () => recoverAccount((await prove((await askCode({ account: READER }, 'en')).request, CODE)).account, recovery);
      const before = how === 'passphrase' ? await signIn(READER, PASSPHRASE, opaque) : await byCode();
      const register = async () => api.register((await opaque.startRegistration(PASSPHRASE)).message);
      return { portal, register, work: (watched) => changeWays(before, { passphrase: 'eine ganz neue für mich', recovery: 'new' }, watched) };
    }));
}

test('sign in on another browser; letters that were sealed straight to the key', async () => {
  const { portal } = await enrolled();
  const straight = await portal.deliver(READER);
  browser(portal, 'second');
  await assert.rejects(fetchPickup(straight.pickup.pickup), NotAvailable);
  const { account } = await signIn(' Maria@Patient.example', PASSPHRASE.normalize('NFD'), opaque);
  const { items } = await api.fetchLetters();
  assert.equal(items.length, 2);
  for (const item of items) {
    const opened = await openWithAccount(item.pickup, item, account);
    assert.equal(opened.slip.subject, 'Ihr Laborbefund ä€');
    await api.postReceipt(item.pickup, await opened.voice.opened());
  }
  assert.ok(portal.receipts.has(straight.pickup.pickup));
  assert.match(fingerprintGroups(account.key.fingerprint), /^([0-9A-F]{4} ){15}[0-9A-F]{4}$/);
});

test('wrong passphrase and unknown address look the same, and then have to wait', async () => {
  const { portal } = await enrolled();
  browser(portal, 'second');
  for (const address of [READER, 'nobody@other.example']) {
    for (let n = 0; n < 5; n += 1) await assert.rejects(signIn(address, 'nicht die richtige', opaque), api.Wrong);
    await assert.rejects(signIn(address, 'nicht die richtige', opaque), (cause) => cause instanceof api.Later && cause.seconds === 90);
  }
  const { request } = await askCode({ account: READER }, 'en');
  const proven = await prove(request, CODE);
  assert.equal(proven.account, portal.accounts.get(READER).id);
  assert.equal((await signIn(READER, PASSPHRASE, opaque)).account.reader, READER);
});

test('a swapped or older account file does not pass for the present one', async () => {
  const { portal } = await enrolled();
  const before = portal.accounts.get(READER).file;
  browser(portal, 'second');
  await changeWays(await signIn(READER, PASSPHRASE, opaque), { passphrase: 'eine ganz neue für mich', recovery: 'stays' }, opaque);
  portal.hostile = (route, json) => (route === 'account' ? { ...json, file: b64(before) } : json);
  browser(portal, 'third');
  await assert.rejects(signIn(READER, 'eine ganz neue für mich', opaque), Tampered);
});

test('change: old passphrase out, new one in, the recovery code stays', async () => {
  const { portal, recovery, unlocked } = await enrolled();
  browser(portal, 'second');
  const again = await signIn(READER, PASSPHRASE, opaque);
  assert.equal(await changeWays(again, { passphrase: 'eine ganz neue für mich', recovery: 'stays' }, opaque), undefined);
  await assert.rejects(signIn(READER, PASSPHRASE, opaque), api.Wrong);
  const { account } = await signIn(READER, 'eine ganz neue für mich', opaque);
  assert.deepEqual(account.key.fingerprint, unlocked.account.key.fingerprint);
  browser(portal, 'third');
  await prove((await askCode({ account: READER }, 'en')).request, CODE);
  assert.equal((await recoverAccount(account.text, recovery)).account.reader, READER);
});

test('a change that was replayed or meant for another number of changes is refused', async () => {
  const { portal } = await enrolled();
  browser(portal, 'second');
  const again = await signIn(READER, PASSPHRASE, opaque);
  portal.accounts.get(READER).changes = 7;
  await assert.rejects(changeWays(again, { passphrase: 'eine ganz neue für mich', recovery: 'new' }, opaque), api.Wrong);
  assert.equal(sessionStorage.getItem('sealpost.recovery'), null);
});

test('forgotten: code by mail, recovery code, new passphrase, new recovery code', async () => {
  const { portal, recovery } = await enrolled();
  browser(portal, 'second');
  const { account } = await prove((await askCode({ account: READER }, 'en')).request, CODE);
  await assert.rejects(recoverAccount(account, new Uint8Array(20)), api.Wrong);
  const back = await recoverAccount(account, recovery);
  const fresh = await changeWays(back, { passphrase: 'nie wieder vergessen, diese', recovery: 'new' }, opaque);
  assert.equal(fresh.length, 20);
  assert.notDeepEqual(fresh, recovery);
  assert.ok(sessionStorage.getItem('sealpost.recovery'), 'kept until its owner says that they have it');
  await assert.rejects(recoverAccount(account, recovery), api.Wrong);
  const file = portal.accounts.get(READER).file;
  await assert.rejects(unlockAccountFile(file, await recoveryPassword(idBytes(account), recovery)), DoesNotUnlock);
  assert.equal((await unlockAccountFile(file, await recoveryPassword(idBytes(account), fresh))).content.address, READER);
  browser(portal, 'third');
  assert.equal((await signIn(READER, 'nie wieder vergessen, diese', opaque)).account.reader, READER);
});

test('forgotten: the code of a letter that is sealed to the account does as well, for as long as it counts', async () => {
  const { portal, recovery } = await enrolled();
  const letter = await portal.deliver(READER);
  const foreign = await portal.deliver('nobody@patient.example');
  browser(portal, 'second');
  assert.equal((await prove((await askCode({ pickup: foreign.pickup.pickup }, 'en')).request, CODE)).account, undefined);
  const { account } = await prove((await askCode({ pickup: letter.pickup.pickup }, 'en')).request, CODE);
  await assert.rejects(fetchPickup(letter.pickup.pickup), SignInFirst);
  keepShown(account);
  assert.equal(recallShown(), account, 'a reload goes on');
  assert.equal((await recoverAccount(recallShown(), recovery)).account.reader, READER);
  const honest = Date.now;
  for (const [minutes, expected] of [[19, account], [20, undefined]]) {
    Date.now = () => honest() + minutes * 60_000 - 1000 * (minutes === 19);
    assert.equal(recallShown(), expected, `${minutes}`);
  }
  Date.now = honest;
  keepShown('what no account is called');
  assert.equal(recallShown(), undefined);
  keepShown(account);
  forgetShown();
  assert.equal(recallShown(), undefined);
});

test('a recovery code of a change that got lost on its way is not shown as the one that counts', async () => {
  const { portal, recovery, unlocked } = await enrolled();
  const { id } = unlocked.account;
  assert.deepEqual(await codeToShow(id, unlocked.answer), recovery, 'it was not confirmed to be kept');
  const honest = globalThis.fetch;
  for (const arrives of [false, true]) {
    const before = await signIn(READER, PASSPHRASE, opaque);
    globalThis.fetch = async (path, init) => {
      if (path === '/api/account/change') {
        if (arrives) await honest(path, init);
        throw new TypeError('no connection');
      }
      return honest(path, init);
    };
    await assert.rejects(changeWays(before, { passphrase: PASSPHRASE, recovery: 'new' }, opaque), Unreachable);
    globalThis.fetch = honest;
    const code = await codeToShow(id, await api.fetchAccount() ?? (await signIn(READER, PASSPHRASE, opaque)).answer);
    assert.equal(code !== undefined, arrives);
  }
  assert.equal(portal.accounts.get(READER).changes, 1);
});

test('another account than the one that was asked for is refused', async () => {
  const { portal, recovery } = await enrolled();
  browser(portal, 'second');
  const { account } = await prove((await askCode({ account: READER }, 'en')).request, CODE);
  portal.hostile = (route, json) => (route === 'account' ? { ...json, account: crockford(new Uint8Array(16)) } : json);
  await assert.rejects(recoverAccount(account, recovery), Tampered);
  portal.hostile = (route, json) => (route === 'account/register' ? { ...json, account: crockford(new Uint8Array(16)) } : json);
  const back = await recoverAccount(account, recovery);
  await assert.rejects(changeWays(back, { passphrase: 'nie wieder vergessen, diese', recovery: 'new' }, opaque), Tampered);
});

test('account files: what lies inside must be what they are for', async () => {
  const key = await OwnKey.make(READER);
  const content = { account: new Uint8Array(randomBytes(16)), address: READER, organisation: new Uint8Array(32).fill(1), key };
  const file = await makeAccountFile(content, ['one', 'two']);
  for (const password of ['one', 'two']) assert.deepEqual((await unlockAccountFile(file, password)).content.account, content.account);
  await assert.rejects(unlockAccountFile(file, 'three'), DoesNotUnlock);
  const replaced = await (await unlockAccountFile(file, 'one')).withThisWayReplaced('new');
  await assert.rejects(unlockAccountFile(replaced, 'one'), DoesNotUnlock);
  for (const password of ['new', 'two']) await unlockAccountFile(replaced, password);
  await assert.rejects(unlockAccountFile(await makeAccountFile({ ...content, address: 'anna@other.example' }, ['one']), 'one'), /not the key/);
  await assert.rejects(unlockAccountFile(file.with(file.length - 1, file.at(-1) ^ 1), 'one'));
  const name = (await organisation()).privateKey;
  await assert.rejects(OwnKey.read(name.write(), 'letters@klinik.example'), /not the key/);
  const { privateKey } = await openpgp.generateKey({ type: 'curve25519', userIDs: [{ email: READER }], format: 'object', config: { v6Keys: true } });
  await assert.rejects(OwnKey.read(privateKey.write(), READER), /not the key/, 'angle brackets');
  const v4 = await openpgp.generateKey({ type: 'curve25519', userIDs: [{ name: READER }], format: 'object', config: { v6Keys: false } });
  await assert.rejects(OwnKey.read(v4.privateKey.write(), READER), /not the key/, 'version 4');
});

test('a vouch that is not the organisation’s, or says something else, is no vouch', async () => {
  const { unlocked: { account, answer } } = await enrolled();
  const stranger = await organisation();
  const message = await openpgp.createMessage({ binary: ctx('vouch', bytes(READER)) });
  const foreign = await openpgp.sign({ message, signingKeys: stranger.privateKey, detached: true, format: 'binary' });
  assert.ok(await account.isVouchedFor(answer));
  for (const change of [{ counter: 2 }, { vouchedAt: 5 }, { vouch: b64(foreign) }, { vouch: '' }, { vouch: 'AAAA' }, { counter: -1 }]) {
    assert.equal(await account.isVouchedFor({ ...answer, ...change }), false, JSON.stringify(change));
  }
});

test('a tab whose key is of another account than the session asks for the passphrase again', async () => {
  const { portal, unlocked } = await enrolled();
  keepUnlocked(unlocked.file.content);
  assert.equal((await ownAccount()).account.reader, READER);
  const honest = portal.hostile;
  portal.hostile = (route, json) => (route === 'account' ? { ...json, account: crockford(new Uint8Array(16)) } : json);
  assert.equal(await ownAccount(), undefined);
  assert.equal(isUnlocked(), false);
  portal.hostile = honest;
  keepUnlocked(unlocked.file.content);
  portal.hostile = (route, json) => (route === 'account' ? { ...json, fingerprint: '00' } : json);
  await assert.rejects(ownAccount(), Tampered);
  browser(portal, 'a session that ended');
  assert.equal(await ownAccount(), undefined);
  assert.equal(isUnlocked(), false);
});

test('a reply of an enrolled reader: signed by their key, readable by them', async () => {
  const { portal, letter, unlocked: { account } } = await enrolled();
  const reply = await sealReply(letter, { subject: 'Re: Befund', text: 'Danke ä€', enclosures: [] });
  const json = await openSigned(reply.parts[0], reply.key, account.key.publicKey());
  const said = JSON.parse(Buffer.from(json).toString());
  assert.deepEqual([said.is, said.reply, said.from], ['sealpost/v1/reply', reply.id, READER]);
  assert.equal(said.parts[0].sha256, Buffer.from(sha256(reply.parts[1])).toString('hex'));
  const own = await account.key.wrap(reply.key);
  assert.deepEqual(await account.key.unwrap(own, reply.parts[0]), reply.key);
  assert.deepEqual(await openPlain(reply.parts[1], reply.key), bytes('Danke ä€'));
  const message = await openpgp.readMessage({ binaryMessage: Buffer.concat([reply.keyPacket, reply.parts[0]]) });
  const [forOrganisation] = await openpgp.decryptSessionKeys({ message, decryptionKeys: portal.org.privateKey });
  assert.deepEqual(new Uint8Array(forOrganisation.data), reply.key);
});

test('a letter with the account: for this reader, of this organisation, to this key', async () => {
  const { portal, unlocked: { account } } = await enrolled();
  const good = await portal.deliver(READER);
  const stored = (await api.fetchLetters()).items.find(({ pickup }) => pickup === good.pickup.pickup);
  await openWithAccount(stored.pickup, stored, account);
  const forAnother = await portal.deliver('anna@other.example', { slip: (slip) => ({ ...slip, for: ['anna@other.example'] }) });
  const wrapped = b64(await portal.wrap(forAnother.key, account.key.certificate));
  await assert.rejects(openWithAccount(forAnother.pickup.pickup, { ...forAnother.pickup, keyPacket: wrapped }, account), Tampered);
  const elsewhere = await Portal.start();
  const foreign = await elsewhere.deliver(READER);
  const foreignKey = b64(await portal.wrap(foreign.key, account.key.certificate));
  await assert.rejects(openWithAccount(foreign.pickup.pickup, { ...foreign.pickup, keyPacket: foreignKey }, account), Tampered, 'another organisation');
  const posing = { ...foreign.pickup, keyPacket: foreignKey, organisation: stored.organisation };
  await assert.rejects(openWithAccount(foreign.pickup.pickup, posing, account), Tampered, 'another organisation that poses as ours');
  await assert.rejects(openWithAccount(good.pickup.pickup, stored, { ...account, reader: 'anna@patient.example', key: account.key, organisation: account.organisation, certificate: account.certificate }), Tampered);
  await assert.rejects(openWithAccount(stored.pickup, { ...stored, keyPacket: b64(await portal.wrap(randomBytes(32), account.key.certificate)) }, account), Tampered);
});

test('a phone whose clock is ten years behind makes a key of today', async (t) => {
  const portal = await Portal.start();
  const delivered = await portal.deliver(READER);
  const today = Date.now();
  browser(portal, 'first');
  const honest = globalThis.fetch;
  globalThis.fetch = async (path, init) => {
    const response = await honest(path, init);
    response.headers.set('date', new Date(today).toUTCString());
    return response;
  };
  t.mock.timers.enable({ apis: ['Date'], now: new Date('2016-01-01') });
  const opened = await byLink(portal, delivered);
  const { unlocked } = await enrolReader(PASSPHRASE, opened, [], opaque, quiet);
  const made = (await openpgp.readKey({ binaryKey: unlocked.account.key.certificate })).getCreationTime().getTime();
  assert.ok(Math.abs(made - today) < 120_000);
  const { signatures } = await openpgp.verify({
    message: await openpgp.createMessage({ binary: bytes('x') }), signature: await openpgp.readSignature({ binarySignature: await unlocked.account.key.sign(bytes('x')) }),
    verificationKeys: unlocked.account.key.publicKey(), date: new Date(today), format: 'binary',
  });
  assert.equal(await signatures[0].verified, true);
});
