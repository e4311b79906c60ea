import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Tampered, WrongSecret, openLetter } from '../dist/letter.js';
import { openPlain, openSigned } from '../dist/openpgp.js';
import { b64, bytes, letter, literal, organisation, sealPackets, sealPart, sha256, signed } from './gateway.mjs';

const open = (sample, change = {}) =>
  openLetter(sample.pickup.pickup, { ...sample.pickup, ...change }, change.link ?? sample.link);

const flipped = (text, at) => {
  const changed = Buffer.from(text, 'base64url');
  changed[at < 0 ? changed.length + at : at] ^= 1;
  return b64(changed);
};

test('a letter opens: slip, parts, receipt', async () => {
  const sample = await letter();
  const opened = await open(sample);
  assert.equal(opened.slip.subject, 'Ihr Laborbefund ä€');
  assert.equal(opened.slip.from[0].name, 'Dr. Anna Weber');
  for (const [n, part] of opened.slip.parts.entries()) {
    assert.deepEqual(await opened.open(part, sample.stored[n]), sample.parts[n].content);
  }
  assert.deepEqual(await opened.voice.opened(), sample.say('opened', sha256(sample.slipPacket)));
});

test('a wrong half opens nothing', async () => {
  const sample = await letter();
  const table = {
    'another link': { link: new Uint8Array(randomBytes(20)) },
    'no link': { link: new Uint8Array(20) },
    'another share': { share: b64(randomBytes(32)) },
    'another reader': { reader: 'anna@other.example' },
    'another letter': { letter: (await letter()).pickup.letter },
  };
  for (const [name, change] of Object.entries(table)) await assert.rejects(open(sample, change), WrongSecret, name);
});

test('another organisation, whose certificate would vouch for itself, opens nothing', async () => {
  const sample = await letter();
  const { pickup } = await letter();
  await assert.rejects(open(sample, { organisation: pickup.organisation, certificate: pickup.certificate }), WrongSecret);
  await assert.rejects(open(sample, { certificate: pickup.certificate }), Tampered);
});

test('what was changed on the way is refused', async () => {
  const sample = await letter();
  const other = await letter({ org: sample.org });
  const table = {
    'slip, first byte of the content': { slip: flipped(sample.pickup.slip, 60) },
    'slip, last byte': { slip: flipped(sample.pickup.slip, -1) },
    'slip cut off': { slip: b64(sample.slipPacket.subarray(0, -20)) },
    'slip of another letter': { slip: other.pickup.slip },
    'slip twice': { slip: b64(Buffer.concat([sample.slipPacket, sample.slipPacket])) },
    'a share of another length': { share: b64(randomBytes(31)) },
    'certificate is rubbish': { certificate: 'AAAA' },
    'not base64': { slip: '***' },
    'another pickup': { pickup: other.pickup.pickup },
    'one part less': { parts: sample.pickup.parts.slice(1) },
    'two key packets': { keyPacket: b64(Buffer.concat([Buffer.from(sample.pickup.keyPacket, 'base64url'), Buffer.from(sample.pickup.keyPacket, 'base64url')])) },
  };
  for (const [name, change] of Object.entries(table)) await assert.rejects(open(sample, change), Tampered, name);
});

test('a slip that says something else is refused', async () => {
  const other = await letter();
  const table = {
    'another kind of statement': (slip) => ({ ...slip, is: 'sealpost/v2/slip' }),
    'another letter': (slip) => ({ ...slip, letter: other.pickup.letter }),
    'not for this reader': (slip) => ({ ...slip, for: ['anna@other.example'] }),
    'another organisation': (slip) => ({ ...slip, organisation: other.pickup.organisation }),
    'parts in another order': (slip) => ({ ...slip, parts: slip.parts.toReversed() }),
    'a part of an unknown kind': (slip) => ({ ...slip, parts: slip.parts.map((part) => ({ ...part, kind: 'script' })) }),
    'a subject that is no text': (slip) => ({ ...slip, subject: { toString: 'x' } }),
    'a list': (slip) => [slip],
  };
  for (const [name, slip] of Object.entries(table)) await assert.rejects(open(await letter({ slip })), Tampered, name);
});

test('only the organisation may sign, and once', async () => {
  const org = await organisation();
  const stranger = await organisation();
  await assert.rejects(open(await letter({ org, signers: [stranger.privateKey] })), Tampered);
  await assert.rejects(open(await letter({ org, signers: [org.privateKey, org.privateKey] })), Tampered);
  await assert.rejects(open(await letter({ org, signers: [org.privateKey, stranger.privateKey] })), Tampered);
});

test('inside: literal data and padding, signed where it belongs, never compressed', async () => {
  const { privateKey, publicKey } = await organisation();
  const key = new Uint8Array(randomBytes(32));
  const message = await signed(bytes('{}'), [privateKey]);
  assert.deepEqual(await openSigned(await sealPackets(message, key), key, publicKey), bytes('{}'));
  await assert.rejects(openSigned(await sealPackets(literal(bytes('{}')), key), key, publicKey), /packets/);
  await assert.rejects(openPlain(await sealPackets(message, key), key), /packets/);
  await assert.rejects(openPlain(await sealPackets(Buffer.concat([literal(bytes('a')), literal(bytes('b'))]), key), key));
  const compressed = new openpgp.CompressedDataPacket();
  compressed.packets = { write: () => literal(bytes('a')) };
  compressed.algorithm = 2;
  await compressed.compress();
  const list = new openpgp.PacketList();
  list.push(compressed);
  await assert.rejects(openPlain(await sealPackets(list.write(), key), key), /packets/);
});

test('parts: the hash of the slip first, then the size', async () => {
  const sample = await letter();
  const opened = await open(sample);
  const [body, pdf] = opened.slip.parts;
  await assert.rejects(opened.open(body, sample.stored[1]), Tampered);
  await assert.rejects(opened.open(pdf, await sealPart(sample.parts[1].content, sample.key)), Tampered);
  await assert.rejects(opened.open({ ...body, size: body.size + 1 }, sample.stored[0]), Tampered);
  await assert.rejects(opened.open({ ...body, sha256: 'zz' }, sample.stored[0]), Tampered);
});

test('a phone whose clock is ten years behind reads it too', async (t) => {
  const sample = await letter();
  t.mock.timers.enable({ apis: ['Date'], now: new Date('2016-01-01') });
  assert.equal((await open(sample)).slip.subject, 'Ihr Laborbefund ä€');
});
