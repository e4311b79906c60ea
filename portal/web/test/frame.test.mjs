import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDataPacket, checkKeyPacket, packet, padme } from '../dist/frame.js';
import { sealData } from '../dist/openpgp.js';
import { literal, sealPackets, sealPart } from './gateway.mjs';

const KEY = new Uint8Array(32).fill(7);

/** The same packet in partial lengths, as streaming writers make them. */
function inPartialLengths(whole) {
  const body = whole.subarray(6);
  const pieces = [whole.subarray(0, 1)];
  let at = 0;
  for (; body.length - at > 512; at += 512) pieces.push(Uint8Array.of(0xe0 | 9), body.subarray(at, at + 512));
  const rest = body.subarray(at);
  pieces.push(Uint8Array.of(255, 0, 0, rest.length >> 8, rest.length & 255), rest);
  return new Uint8Array(Buffer.concat(pieces));
}

test('one data packet is taken, in any framing', async () => {
  const good = await sealPart(new Uint8Array(5000), KEY);
  checkDataPacket(good);
  checkDataPacket(inPartialLengths(good));
});

test('whatever else is refused before the library sees it', async () => {
  const good = await sealPart(new Uint8Array(100), KEY);
  const changed = (at, value) => good.with(at, value);
  const table = {
    empty: new Uint8Array(0),
    'SEIPD version 1': changed(6, 1),
    'another cipher': changed(7, 7),
    'another mode': changed(8, 2),
    'chunks of 8 MiB': changed(9, 17),
    'cut off': good.subarray(0, good.length - 1),
    'header only': good.subarray(0, 3),
    'something behind it': new Uint8Array(Buffer.concat([good, Uint8Array.of(0)])),
    'a second packet': new Uint8Array(Buffer.concat([good, good])),
    'a marker before it': new Uint8Array(Buffer.concat([Uint8Array.of(0xca, 3, 80, 71, 80), good])),
    'old format': changed(0, 0x84 | 18),
    'another packet': changed(0, 0xc0 | 11),
    'only a head': packet(18, Uint8Array.of(2, 9, 3, 6), new Uint8Array(40)),
    'version 1 for real': await sealPackets(literal(new Uint8Array(9)), KEY, { version: 1 }),
    'OCB for real': await sealPackets(literal(new Uint8Array(9)), KEY, { mode: 2 }),
  };
  for (const [name, bytes] of Object.entries(table)) assert.throws(() => checkDataPacket(bytes), undefined, name);
});

test('key packets', () => {
  const good = packet(3, Uint8Array.of(6, 26, 9, 3, 8), new Uint8Array(60));
  checkKeyPacket(good);
  const table = {
    'version 4': good.with(6, 4),
    'another cipher': good.with(8, 7),
    'another mode': good.with(9, 1),
    'another packet': good.with(0, 0xc1),
    'two of them': new Uint8Array(Buffer.concat([good, good])),
    'too long': packet(3, Uint8Array.of(6, 26, 9, 3), new Uint8Array(1100)),
  };
  for (const [name, bytes] of Object.entries(table)) assert.throws(() => checkKeyPacket(bytes), undefined, name);
});

test('Padmé, with the sizes of its paper', () => {
  const table = [[0, 4096], [4096, 4096], [4097, 4352], [9000, 9216], [65_537, 67_584], [1_000_000, 1_015_808], [26_214_400, 26_214_400]];
  for (const [size, padded] of table) assert.equal(padme(size), padded, `${size}`);
});

test('what the browser seals has exactly a padded size', async () => {
  // Around the borders of chunks and of Padmé's steps.
  for (const size of [0, 1, 3900, 3990, 4000, 4096, 5000, 262_000, 262_100, 262_144, 262_145, 524_288, 1_000_003]) {
    const sealed = await sealData(new Uint8Array(size), KEY);
    assert.equal(sealed.length, padme(sealed.length), `${size} sealed to ${sealed.length}`);
    assert.ok(sealed.length <= Math.max(4096, (size + 200) * 1.13), `${size} sealed to ${sealed.length}`);
  }
});
