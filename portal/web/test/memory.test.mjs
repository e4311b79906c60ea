import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Memory } from '../dist/memory.js';

/** Storage with a quota, as browsers have it. */
class Storage {
  constructor(quota) {
    this.quota = quota;
    this.kept = new Map();
  }
  getItem(key) {
    return this.kept.get(key) ?? null;
  }
  setItem(key, value) {
    if (value.length > this.quota) throw new Error('QuotaExceededError');
    this.kept.set(key, value);
  }
  removeItem(key) {
    this.kept.delete(key);
  }
}

const file = (name, size) => ({ name, type: 'image/png', size, bytes: new Uint8Array(size).fill(7) });

beforeEach(() => {
  globalThis.sessionStorage = new Storage(5_000_000);
  globalThis.localStorage = new Storage(5_000_000);
});

test('a discarded tab finds secret, text and small files again', () => {
  const secret = new Uint8Array(20).fill(200);
  const before = new Memory('a');
  before.keepSecret(secret);
  before.keepText('halb geschrieben ä');
  before.keepFiles([file('a.png', 1000), file('b.png', 3_000_000), file('c.png', 2000)]);
  const after = new Memory('a');
  assert.deepEqual(after.secret(), secret);
  const draft = after.draft();
  assert.equal(draft.text, 'halb geschrieben ä');
  assert.deepEqual(draft.files.map(({ name, bytes }) => [name, bytes?.length]), [['a.png', 1000], ['b.png', undefined], ['c.png', 2000]]);
  assert.deepEqual(draft.files[0].bytes, file('a.png', 1000).bytes);
});

test('where there is no room for the files, their names survive', () => {
  sessionStorage.quota = 1000;
  const memory = new Memory('a');
  memory.keepFiles([file('a.png', 5000)]);
  assert.deepEqual(memory.draft().files.map(({ name, bytes }) => [name, bytes]), [['a.png', undefined]]);
});

test('one letter does not see what was written for another', () => {
  new Memory('a').keepText('x');
  assert.equal(new Memory('b').draft(), undefined);
  assert.equal(new Memory('b').secret(), undefined);
});

test('only the name of a request for a code is where other tabs see it, and it ends', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 });
  const memory = new Memory('a');
  memory.keepSecret(new Uint8Array(20));
  memory.keepText('x');
  memory.keepRequest({ request: 'r', expires: 1600 });
  assert.equal(localStorage.kept.size, 1);
  assert.deepEqual(new Memory('a').request(), { request: 'r', expires: 1600 });
  t.mock.timers.tick(601_000);
  assert.equal(new Memory('a').request(), undefined);
  assert.equal(localStorage.kept.size, 0);
});

test('what cannot be stored or read does not stop the page', () => {
  sessionStorage.quota = 0;
  const memory = new Memory('a');
  memory.keepSecret(new Uint8Array(20));
  memory.keepText('x');
  memory.keepFiles([file('a', 1)]);
  assert.equal(memory.secret(), undefined);
  sessionStorage.kept.set('sealpost.a.files', '{broken');
  assert.equal(memory.draft(), undefined);
  globalThis.sessionStorage = { getItem() { throw new Error('SecurityError'); } };
  assert.equal(memory.secret(), undefined);
});
