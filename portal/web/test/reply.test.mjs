import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { idBytes } from '../dist/bytes.js';
import { checkDataPacket } from '../dist/frame.js';
import { openLetter } from '../dist/letter.js';
import { openPlain } from '../dist/openpgp.js';
import { sealReply } from '../dist/reply.js';
import { bytes, letter, sha256 } from './gateway.mjs';

const PHOTO = { name: 'Foto ä.jpg', type: 'image/jpeg', bytes: new Uint8Array(randomBytes(300_000)) };

async function replied() {
  const sample = await letter();
  const opened = await openLetter(sample.pickup.pickup, sample.pickup, sample.link);
  const reply = await sealReply(opened, { subject: 'Re: Ihr Laborbefund', text: 'Danke ä€\n', enclosures: [PHOTO] });
  const message = await openpgp.readMessage({ binaryMessage: Buffer.concat([reply.keyPacket, reply.parts[0]]) });
  const [key] = await openpgp.decryptSessionKeys({ message, decryptionKeys: sample.org.privateKey });
  return { sample, reply, key: key.data };
}

test('the organisation opens a reply, and it says who wrote it', async () => {
  const { sample, reply, key } = await replied();
  const slip = await openPlain(reply.parts[0], key);
  const [mac, json] = [slip.subarray(0, 32), slip.subarray(32)];
  assert.deepEqual(new Uint8Array(mac), sample.say('reply', idBytes(reply.id), sha256(json)));
  const said = JSON.parse(Buffer.from(json).toString());
  const { parts, ...rest } = said;
  assert.deepEqual(rest, {
    is: 'sealpost/v1/reply', reply: reply.id, letter: sample.pickup.letter, conversation: rest.conversation,
    from: 'maria@patient.example', organisation: sample.pickup.organisation, subject: 'Re: Ihr Laborbefund',
  });
  const hash = (n) => Buffer.from(sha256(reply.parts[n])).toString('hex');
  assert.deepEqual(parts, [
    { n: 1, kind: 'body', name: '', type: 'text/plain', size: bytes('Danke ä€\n').length, sha256: hash(1) },
    { n: 2, kind: 'enclosure', name: 'Foto ä.jpg', type: 'image/jpeg', size: 300_000, sha256: hash(2) },
  ]);
  assert.deepEqual(await openPlain(reply.parts[1], key), bytes('Danke ä€\n'));
  assert.deepEqual(await openPlain(reply.parts[2], key), PHOTO.bytes);
});

test('shapes: one PKESKv6 of at most 1 KiB, padded data packets', async () => {
  const { reply } = await replied();
  assert.equal(reply.keyPacket[0], 0xc1);
  assert.equal(reply.keyPacket[1] + 2, reply.keyPacket.length);
  assert.equal(reply.keyPacket[2], 6);
  for (const part of reply.parts) checkDataPacket(part);
  assert.equal(reply.parts[0].length, 4096);
  assert.equal(reply.parts[1].length, 4096);
});

test('two replies share nothing', async () => {
  const [one, two] = [await replied(), await replied()];
  assert.notEqual(one.reply.id, two.reply.id);
  assert.notDeepEqual(one.key, two.key);
});

test('a phone whose clock is ten years behind can answer', async (t) => {
  const sample = await letter();
  t.mock.timers.enable({ apis: ['Date'], now: new Date('2016-01-01') });
  const opened = await openLetter(sample.pickup.pickup, sample.pickup, sample.link);
  assert.equal((await sealReply(opened, { subject: '', text: 'x', enclosures: [] })).parts.length, 2);
});
