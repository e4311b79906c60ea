// The published vectors, which the gateway's own code wrote, read by the browser code.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromBase64url, fromHex, hex, idBytes, utf8 } from '../dist/bytes.js';
import { ctx, openPassword, sha256, statement, voiceKey } from '../dist/derive.js';
import { Tampered, WrongSecret, openLetter } from '../dist/letter.js';
import { parseWritten } from '../dist/written.js';
import { openPlain } from '../dist/openpgp.js';
import { sealReply } from '../dist/reply.js';
import { writeSecret } from './gateway.mjs';

const PUBLISHED = join(dirname(fileURLToPath(import.meta.url)), '../../../tests/vectors/v1.json');
const vectors = JSON.parse(readFileSync(process.env.SEALPOST_VECTORS ?? PUBLISHED, 'utf8'));
const { pickup, letter, organisation, parts, reply } = vectors;

const released = {
  pickup: pickup.pickup,
  letter: letter.letter,
  reader: pickup.reader,
  organisation: organisation.fingerprint,
  certificate: organisation.certificate,
  share: Buffer.from(pickup.share, 'hex').toString('base64url'),
  keyPacket: pickup.keyPacket,
  slip: vectors.slip.packet,
  parts: parts.map(({ packet }) => fromBase64url(packet).length),
  expires: letter.expires,
};
const link = fromHex(pickup.linkSecret);
const binding = {
  pickup: idBytes(pickup.pickup),
  letter: idBytes(letter.letter),
  reader: utf8(pickup.reader),
  organisation: fromHex(organisation.fingerprint),
};

test('ids and the written pickup code', async () => {
  assert.equal(hex(binding.pickup), pickup.pickupBytes);
  assert.equal(hex(binding.letter), letter.letterBytes);
  assert.deepEqual(await parseWritten(pickup.linkSecretWritten), link);
  assert.equal(writeSecret(link), pickup.linkSecretWritten);
});

test('contexts and derivations', async () => {
  const { letter: lid, reader, organisation: fingerprint } = binding;
  assert.equal(hex(ctx('open', lid, reader, fingerprint)), pickup.openContext);
  assert.equal(hex(ctx('voice', lid, reader, fingerprint)), pickup.voiceContext);
  assert.equal(await openPassword(link, fromHex(pickup.share), binding), pickup.password);
});

test('the letter: slip, parts, receipt', async () => {
  const opened = await openLetter(pickup.pickup, released, link);
  assert.equal(opened.slip.subject, letter.subject);
  assert.equal(opened.slip.conversation, letter.conversation);
  assert.deepEqual(opened.slip.readers, letter.readers);
  assert.equal(opened.slip.parts.length, parts.length);
  for (const [n, { packet, plain, name, kind, type, sha256: hash }] of parts.entries()) {
    const part = opened.slip.parts[n];
    assert.deepEqual([part.name, part.kind, part.type, part.sha256], [name, kind, type, hash]);
    assert.deepEqual(await opened.open(part, fromBase64url(packet)), fromBase64url(plain));
  }
  assert.equal(hex(await opened.voice.opened()), vectors.opened.mac);
});

test('a wrong half and changed bytes', async () => {
  const flip = (text) => {
    const changed = Buffer.from(text, 'base64url');
    changed[changed.length - 1] ^= 1;
    return changed.toString('base64url');
  };
  await assert.rejects(openLetter(pickup.pickup, released, link.with(0, link[0] ^ 1)), WrongSecret);
  await assert.rejects(openLetter(pickup.pickup, { ...released, keyPacket: flip(released.keyPacket) }, link), WrongSecret);
  await assert.rejects(openLetter(pickup.pickup, { ...released, slip: flip(released.slip) }, link), Tampered);
  await assert.rejects(openLetter(pickup.pickup, { ...released, slip: parts[0].packet }, link), Tampered);
  const opened = await openLetter(pickup.pickup, released, link);
  await assert.rejects(opened.open(opened.slip.parts[0], fromBase64url(parts[1].packet)), Tampered);
});

test('the reply: its statement and parts', async () => {
  const voice = await voiceKey(link, fromHex(pickup.share), binding);
  const mac = await statement(voice, 'reply', binding, idBytes(reply.reply), await sha256(utf8(reply.json)));
  assert.equal(hex(mac), reply.mac);
  const key = fromHex(reply.sessionKey);
  const slip = await openPlain(fromBase64url(reply.packets[0]), key);
  assert.equal(hex(slip), reply.mac + hex(utf8(reply.json)));
  assert.deepEqual(await openPlain(fromBase64url(reply.packets[1]), key), utf8(reply.text));
  assert.deepEqual(await openPlain(fromBase64url(reply.packets[2]), key), fromBase64url(reply.enclosures[0].plain));
});

test('a reply sealed here names the same subkey as the published one', async () => {
  const opened = await openLetter(pickup.pickup, released, link);
  const sealed = await sealReply(opened, { subject: 'x', text: 'y', enclosures: [] });
  const published = fromBase64url(reply.keyPacket);
  assert.equal(sealed.keyPacket.length, published.length);
  // Framing, version, and the recipient's fingerprint with its version.
  assert.deepEqual(sealed.keyPacket.subarray(0, 37), published.subarray(0, 37));
});
