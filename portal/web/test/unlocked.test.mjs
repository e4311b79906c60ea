import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { beforeEach, test } from 'node:test';
import './gateway.mjs';
import { Memory } from '../dist/memory.js';
import { OwnKey } from '../dist/own-key.js';
import { weakness } from '../dist/passphrase.js';
import {
  forgetEverything, forgetRecovery, isUnlocked, keepRecovery, keepReturn, keepUnlocked, recallRecovery, recallUnlocked, takeReturn, touch,
} from '../dist/unlocked.js';

/** Keys are own properties, as in a browser. */
class Storage {
  getItem(key) { return Object.hasOwn(this, key) ? this[key] : null; }
  setItem(key, value) { this[key] = value; }
  removeItem(key) { delete this[key]; }
}

const content = async () => ({
  account: new Uint8Array(randomBytes(16)), address: 'maria@patient.example', organisation: new Uint8Array(32).fill(2), key: await OwnKey.make('maria@patient.example'),
});

beforeEach(() => {
  globalThis.sessionStorage = new Storage();
  globalThis.localStorage = new Storage();
});

test('a tab that was reloaded has its key again', async () => {
  const before = await content();
  keepUnlocked(before);
  const after = await recallUnlocked();
  assert.deepEqual([after.account, after.address, after.organisation], [before.account, before.address, before.organisation]);
  assert.deepEqual(after.key.fingerprint, before.key.fingerprint);
  assert.deepEqual(Object.keys(localStorage), [], 'other tabs see nothing of it');
});

test('a tab forgets its key when it was idle, and at the sign-out', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  const account = await content();
  keepUnlocked(account);
  keepRecovery(account.account, new Uint8Array(20));
  t.mock.timers.tick(119 * 60_000);
  touch();
  t.mock.timers.tick(119 * 60_000);
  assert.ok(isUnlocked(), 'who does something stays');
  t.mock.timers.tick(2 * 60_000);
  assert.equal(await recallUnlocked(), undefined);
  assert.deepEqual(Object.keys(sessionStorage), []);
  keepUnlocked(account);
  t.mock.timers.setTime(1_000_000_000_000);
  assert.equal(isUnlocked(), false, 'a clock that was set back does not keep it longer');
  keepUnlocked(account);
  new Memory('x').keepText('draft');
  new Memory('x').keepRequest({ request: 'r', expires: 9_999_999_999 });
  localStorage.setItem('foreign', '1');
  forgetEverything();
  assert.deepEqual([Object.keys(sessionStorage), Object.keys(localStorage)], [[], ['foreign']]);
});

test('what a tab cannot have kept like this is nothing', async () => {
  for (const kept of ['', '{', 'null', '{}', '{"used":1}', JSON.stringify({ account: 'x', address: 'y', organisation: 'z', key: '*', used: Date.now() })]) {
    sessionStorage.setItem('sealpost.account', kept);
    assert.equal(await recallUnlocked().catch(() => undefined), undefined, kept);
  }
});

test('a recovery code is kept for its account, until it was confirmed', () => {
  const [one, other] = [new Uint8Array(16), new Uint8Array(16).fill(1)];
  keepRecovery(one, new Uint8Array(20).fill(9));
  assert.equal(recallRecovery(other), undefined);
  assert.deepEqual(recallRecovery(one), new Uint8Array(20).fill(9));
  forgetRecovery();
  assert.equal(recallRecovery(one), undefined);
});

test('after signing in a tab goes back to a letter, once, and nowhere else', () => {
  keepReturn('0123456789abcdefghjkmnpqrg');
  assert.equal(takeReturn(), '0123456789abcdefghjkmnpqrg');
  assert.equal(takeReturn(), undefined);
  for (const elsewhere of ['//evil.example', '../lost', 'javascript:alert(1)', '']) {
    keepReturn(elsewhere);
    assert.equal(takeReturn(), undefined, elsewhere);
  }
});

test('passphrases: too short, easy to guess, and good ones in whatever script', () => {
  const known = ['maria.muster@patient.example', 'Klinikum Musterstadt'];
  const table = {
    short: ['', 'kurz', 'elf zeichen', 'ä'.normalize('NFD').repeat(11)],
    long: ['lang und länger '.repeat(17)],
    guessable: [
      'passwordpassword', 'Passwort123456', 'P4ssw0rt2024!!', 'aaaaaaaaaaaaaaaa', 'abababababababab', 'abcabcabcabcabc', '1234567890123', '123456789012345678',
      'qwertyuiop123', 'qwertzuiopü123', 'asdfghjkl12345', 'abcdefghijklmnop', '0987654321098765', '01.02.1980 01.02.1980', 'maria.muster1980', 'Maria Muster Klinikum',
      'KlinikumMusterstadt', 'Klinikum Musterstadt 2026', 'Sommer2024Sommer', 'Sommer2024Winter', 'iloveyouiloveyou', 'correct horse battery staple',
      'meine Passphrase', 'Passphrase!2345', 'Willkommen2026!', '1qaz2wsx3edc', '!!!!!!!!!!!!!!!!', '            ',
    ],
    good: [
      'vier Äpfel rollen langsam', 'drei Katzen tanzen Walzer', 'x8Gv!q2LpR#t', 'Tisch Regen Kupfer Lama', 'mein Hund jagt blaue Bälle', 'лошадь шкаф море чай',
      '四匹の林檎が転がる坂道で', 'correct zebra battery wardrobe',
    ],
  };
  for (const [verdict, passphrases] of Object.entries(table)) {
    for (const passphrase of passphrases) {
      assert.equal(weakness(passphrase, known) ?? 'good', verdict, `${passphrase} (${Array.from(passphrase).length})`);
    }
  }
});
