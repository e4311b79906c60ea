import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { crockford, idBytes } from '../dist/bytes.js';
import { takeApart } from '../dist/link.js';
import { parseWritten, writtenGroups } from '../dist/written.js';
import { writeSecret } from './gateway.mjs';

const ID = '0123456789abcdefghjkmnpqrg';
const SECRET = new Uint8Array(20).map((_, at) => at * 13);
const WRITTEN = writeSecret(SECRET);

test('addresses, whatever was done to them on the way', () => {
  const table = [
    [`/p/${ID}`, `#${WRITTEN}`, ID, WRITTEN],
    [`/p/${ID}/`, `#${WRITTEN}`, ID, WRITTEN],
    [`/p/${ID.toUpperCase()}`, `#${WRITTEN}`, ID, WRITTEN],
    [`/p/${ID}%23${WRITTEN}`, '', ID, WRITTEN],
    [`/p/${ID}%2523${WRITTEN}`, '', ID, WRITTEN],
    [`/p/${ID}`, `#${WRITTEN}&utm_source=mail`, ID, `${WRITTEN}&utm_source=mail`],
    [`/p/${ID}`, '', ID, ''],
    [`/p/${ID}`, '#', ID, ''],
    [`/p/${ID}`, '#%E0%A4%A', ID, '%E0%A4%A'],
    ['/p/short', `#${WRITTEN}`, '', WRITTEN],
    ['/p/', '', '', ''],
    [`/p/${'u'.repeat(26)}`, '', '', ''],
  ];
  for (const [path, fragment, pickup, written] of table) {
    assert.deepEqual(takeApart(path, fragment), { pickup, written }, path + fragment);
  }
});

test('pickup codes as people and mail programs write them', async () => {
  const groups = WRITTEN.match(/.{4}/g).join('-');
  const spoken = WRITTEN.replaceAll('0', 'o').replaceAll('1', 'L');
  for (const text of [
    WRITTEN, WRITTEN.toLowerCase(), groups, groups.replaceAll('-', ' '), groups.replaceAll('-', '\u2013'), `  ${groups}\n`, spoken,
    `${WRITTEN}&fbclid=abc`, `${WRITTEN}.`, `${WRITTEN}EXTRA`, `${groups}?x=1`,
  ]) {
    assert.deepEqual(await parseWritten(text), SECRET, text);
  }
});

test('pickup codes that are none', async () => {
  const wrongLast = WRITTEN.slice(0, 35) + (WRITTEN.at(-1) === 'A' ? 'B' : 'A');
  const swapped = WRITTEN[5] + WRITTEN.slice(1, 5) + WRITTEN[0] + WRITTEN.slice(6);
  for (const text of ['', 'abc', WRITTEN.slice(0, 35), WRITTEN.slice(1), wrongLast, swapped, `U${WRITTEN.slice(1)}`, `${WRITTEN.slice(0, 20)}?${WRITTEN.slice(20)}`]) {
    assert.equal(await parseWritten(text), undefined, text);
  }
});

test('random codes come back', async () => {
  for (let round = 0; round < 200; round += 1) {
    const secret = new Uint8Array(randomBytes(20));
    assert.deepEqual(await parseWritten(writeSecret(secret)), secret);
  }
});

test('ids come back, foreign texts do not', () => {
  const id = new Uint8Array(randomBytes(16));
  assert.deepEqual(idBytes(crockford(id)), id);
  assert.equal(crockford(id).length, 26);
  for (const text of ['', 'abc', 'z'.repeat(26), `${'0'.repeat(25)}u`]) assert.equal(idBytes(text), undefined, text);
});
