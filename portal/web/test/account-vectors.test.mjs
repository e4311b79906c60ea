// The published account, as another implementation made it: read here, and its statements made again.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import './gateway.mjs';
import { unlockAccount } from '../dist/account.js';
import { fromBase64url, fromHex, hex, idBytes, utf8 } from '../dist/bytes.js';
import { passphrasePassword, recoveryPassword, recoveryProof, sha256, statement, voiceKey } from '../dist/derive.js';
import { Tampered, openWithAccount } from '../dist/letter.js';
import { openOwnReply } from '../dist/own-reply.js';
import { registerPassphrase } from '../dist/registration.js';
import { parseWritten, writtenGroups } from '../dist/written.js';

const VECTORS = join(dirname(fileURLToPath(import.meta.url)), '../../../tests/vectors');
const read = (name) => JSON.parse(readFileSync(join(VECTORS, name), 'utf8'));
const { organisation, letter, pickup, slip, parts } = read('v1.json');
const vectors = read('accounts-v1.json');
const { certificate, account, vouch, registered, receipt, rewrap, enrol, change, reply } = vectors;
const id = idBytes(account.account);

const answer = {
  account: account.account, reader: vectors.reader, organisation: organisation.fingerprint, organisationCertificate: organisation.certificate,
  certificate: certificate.certificate, fingerprint: certificate.fingerprint, counter: vouch.counter, vouchedAt: vouch.time,
  vouch: vouch.signature, file: account.file, changes: change.changes, how: 'passphrase',
};

/** What a signature is over: signed again, with a library that is asked what it hashed, would be random; so the bytes. */
async function signs(opened, make, context) {
  const said = [];
  const spied = Object.assign(Object.create(Object.getPrototypeOf(opened)), opened, {
    key: { certificate: opened.key.certificate, fingerprint: opened.key.fingerprint, sign: async (message) => (said.push(hex(message)), new Uint8Array(0)) },
  });
  await make(spied);
  assert.deepEqual(said, [context]);
}

async function verifies(opened, context, signature) {
  const { signatures } = await openpgp.verify({
    message: await openpgp.createMessage({ binary: fromHex(context) }), signature: await openpgp.readSignature({ binarySignature: fromBase64url(signature) }),
    verificationKeys: opened.key.publicKey(), date: null, format: 'binary',
  });
  assert.equal(await signatures[0].verified, true);
}

test('ways to unlock, recovery code and its proof', async () => {
  assert.equal(await passphrasePassword(id, fromHex(account.exportKey)), account.unlockByPassphrase);
  assert.equal(await recoveryPassword(id, fromHex(account.recoveryCode)), account.unlockByRecoveryCode);
  assert.equal(hex(await recoveryProof(id, fromHex(account.recoveryCode))), account.recoveryProof);
  assert.equal(hex(await sha256(fromHex(account.recoveryProof))), account.recoveryHash);
  assert.deepEqual(await parseWritten(account.recoveryCodeWritten), fromHex(account.recoveryCode));
  assert.equal((await writtenGroups(fromHex(account.recoveryCode))).join(''), account.recoveryCodeWritten);
});

test('the account file by both ways, and the vouch', async () => {
  for (const password of [account.unlockByPassphrase, account.unlockByRecoveryCode]) {
    const { account: opened } = await unlockAccount(answer, password);
    assert.equal(opened.reader, vectors.reader);
    assert.equal(hex(opened.key.fingerprint).toUpperCase(), certificate.fingerprint.toUpperCase());
    assert.ok(await opened.isVouchedFor(answer));
    assert.equal(await opened.isVouchedFor({ ...answer, counter: 2 }), false);
  }
});

test('the answer to a registration: what is asked with its request takes it, and no other answer', async (t) => {
  const { account: opened } = await unlockAccount(answer, account.unlockByPassphrase);
  const finished = [];
  const opaque = {
    startRegistration: async () => ({ state: '', message: registered.request }),
    finishRegistration: async (_passphrase, _state, response) => (finished.push(response), { message: '', exportKey: new Uint8Array(64) }),
  };
  const given = { account: account.account, response: registered.response, signature: registered.signature };
  for (const [json, taken] of [[given, true], [{ ...given, response: `A${given.response.slice(1)}` }, false], [{ ...given, signature: vouch.signature }, false]]) {
    t.mock.method(globalThis, 'fetch', async () => new Response(JSON.stringify(json)));
    const done = registerPassphrase('x', opened, { account: id }, opaque);
    if (taken) assert.deepEqual((await done).account, id);
    else await assert.rejects(done, Tampered);
    t.mock.restoreAll();
  }
  assert.deepEqual(finished, [registered.response]);
});

test('statements: the same bytes are signed', async () => {
  const { account: opened } = await unlockAccount(answer, account.unlockByPassphrase);
  const [pid, lid] = [idBytes(pickup.pickup), idBytes(letter.letter)];
  const slipHash = await sha256(fromBase64url(slip.packet));
  await signs(opened, (spied) => spied.receipt(lid, slipHash, fromBase64url(rewrap.keyPacket)), receipt.context);
  await signs(opened, (spied) => spied.rewrap(pid, lid, fromBase64url(rewrap.keyPacket)), rewrap.context);
  const none = new Uint8Array(0);
  await signs(opened, (spied) => spied.change(fromBase64url(change.file), fromBase64url(change.upload), none, change.changes), change.context);
  for (const { context, signature } of [receipt, rewrap, change]) await verifies(opened, context, signature);
  const binding = { pickup: pid, letter: lid, reader: utf8(vectors.reader), organisation: fromHex(organisation.fingerprint) };
  const voice = await voiceKey(fromHex(pickup.linkSecret), fromHex(pickup.share), binding);
  const hashes = [await sha256(fromBase64url(certificate.certificate)), await sha256(fromBase64url(account.file)), await sha256(fromBase64url(enrol.upload)), await sha256(fromHex(account.recoveryHash))];
  assert.equal(hex(await statement(voice, 'enrol', binding, fromHex(certificate.fingerprint), ...hashes)), enrol.mac);
});

test('the letter by the wrapped key, and the own reply', async () => {
  const { account: opened } = await unlockAccount(answer, account.unlockByPassphrase);
  const stored = {
    pickup: pickup.pickup, letter: letter.letter, organisation: organisation.fingerprint, keyPacket: rewrap.keyPacket, slip: slip.packet,
    parts: parts.map(({ packet }) => fromBase64url(packet).length), expires: letter.expires,
  };
  assert.equal((await openWithAccount(pickup.pickup, stored, opened)).slip.subject, letter.subject);
  const own = {
    reply: reply.reply, pickup: pickup.pickup, letter: letter.letter, conversation: letter.conversation, keyPacket: reply.ownKeyPacket,
    slip: reply.packets[0], parts: reply.packets.map((packet) => fromBase64url(packet).length), sent: 1, expires: 2,
  };
  const read = await openOwnReply(own, opened);
  assert.equal(read.subject, reply.subject);
  assert.deepEqual(await read.open(read.parts[0], fromBase64url(reply.packets[1])), utf8(reply.text));
  for (const bend of [{ reply: pickup.pickup }, { letter: pickup.pickup }, { slip: slip.packet }, { parts: [1] }, { keyPacket: reply.keyPacket }]) {
    await assert.rejects(openOwnReply({ ...own, ...bend }, opened), undefined, JSON.stringify(Object.keys(bend)));
  }
});
