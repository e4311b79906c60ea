import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountPackets, checkDataPacket, checkKeyPacket, checkWrappedKey, packet, padme } from '../dist/frame.js';
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

const skesk = (...head) => packet(3, Uint8Array.of(...head), new Uint8Array(76 - head.length));
const SKESK = [6, 26, 9, 3, 11, 3, 8];

test('key packets by password', () => {
  const good = skesk(...SKESK);
  checkKeyPacket(good);
  const table = {
    'version 4': good.with(6, 4),
    'another cipher': good.with(8, 7),
    'another mode': good.with(9, 1),
    'Argon2, which would take what the server says of memory': good.with(11, 4),
    'another hash': good.with(12, 10),
    'another packet': good.with(0, 0xc1),
    'two of them': Buffer.concat([good, good]),
    'in pieces': Buffer.concat([Uint8Array.of(0xc3, 0xe6), good.subarray(6, 70), Uint8Array.of(12), good.subarray(70)]),
    'too short': packet(3, Uint8Array.of(...SKESK), new Uint8Array(60)),
    'too long': packet(3, Uint8Array.of(...SKESK), new Uint8Array(1100)),
  };
  for (const [name, bytes] of Object.entries(table)) assert.throws(() => checkKeyPacket(bytes), undefined, name);
});

test('key packets to a certificate: to this one and no other', () => {
  const fingerprint = new Uint8Array(32).fill(5);
  const good = packet(1, Uint8Array.of(6, 33, 6), fingerprint, Uint8Array.of(25), new Uint8Array(32), Uint8Array.of(40), new Uint8Array(40));
  checkWrappedKey(good, fingerprint);
  const table = {
    'to another key': good.with(9, 4),
    'to nobody in particular': packet(1, Uint8Array.of(6, 0, 25), new Uint8Array(73)),
    'version 3': good.with(6, 3),
    'to a version 4 key': good.with(8, 4),
    'another algorithm': good.with(41, 26),
    'another length': good.with(74, 41),
    'by password': good.with(0, 0xc3),
    'two of them': Buffer.concat([good, good]),
  };
  for (const [name, bytes] of Object.entries(table)) assert.throws(() => checkWrappedKey(bytes, fingerprint), undefined, name);
});

test('account files: ways to unlock, then one data packet', async () => {
  const [way, data] = [skesk(...SKESK), await sealPart(new Uint8Array(100), KEY)];
  const file = (...packets) => new Uint8Array(Buffer.concat(packets));
  assert.deepEqual(accountPackets(file(way, way.with(30, 1), data)), { ways: [way, way.with(30, 1)], data });
  const table = {
    empty: file(),
    'no way': file(data),
    'no data': file(way, way),
    'data first': file(data, way),
    'two data packets': file(way, data, data),
    'something behind': file(way, data, Uint8Array.of(0)),
    'another packet between': file(way, packet(21, new Uint8Array(9)), data),
    'a key packet to a certificate': file(packet(1, new Uint8Array(109)), data),
    'nine ways': file(...Array(9).fill(way), data),
    'too large': file(way, await sealPart(new Uint8Array(20_000), KEY)),
    'cut off': file(way, data).subarray(0, -1),
  };
  for (const [name, bytes] of Object.entries(table)) assert.throws(() => accountPackets(bytes), undefined, name);
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
