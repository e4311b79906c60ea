// Enrolling: the reader of a letter that was opened by its link gets a key of their own, which a passphrase unlocks.
//
// Security: the statement with the voice key covers everything that goes along, so that nobody between browser and
// gateway can exchange a part of it. The letter's link ends only with the receipt, and that is signed only after this browser
// unlocked what the server stores and opened the letter's slip with it.

import { type Unlocked, unlockAccount } from './account.js';
import { makeAccountFile } from './account-file.js';
import * as api from './account-api.js';
import { fetchPickup } from './api.js';
import { type Bytes, crockford, equal, fromBase64url, random } from './bytes.js';
import { passphrasePassword, recoveryPassword, recoveryProof, sha256 } from './derive.js';
import { type LinkLetter, type OpenLetter, type Pickup, Tampered, openWithAccount } from './letter.js';
import type { Opaque } from './opaque.js';
import { OwnKey } from './own-key.js';
import { registerPassphrase } from './registration.js';
import { forgetRecovery, keepRecovery } from './unlocked.js';

/** What the reader is told meanwhile. */
export type Stage = 'stretching' | 'confirming' | 'checking';

/** The gateway did not believe the enrolment. */
export class Refused extends Error {}

/** No answer yet; it may still come. */
export class StillWaiting extends Error {}

/** A letter that was opened by its link in this tab. */
export interface Opened {
  readonly pickup: string;
  readonly letter: LinkLetter;
}

export interface Enrolled {
  readonly unlocked: Unlocked;
  /** The recovery code. */
  readonly recovery: Bytes;
  /** The letter, opened with the account's key. */
  readonly letter: OpenLetter;
  readonly stored: Pickup;
}

const MOST_KEYS = 16;
const ASK_EVERY = 1000;
const ASK_TIMES = 60;

/** Throws `Conflict` where the address has an account already. */
export async function enrolReader(
  passphrase: string,
  by: Opened,
  others: readonly Opened[],
  opaque: Opaque,
  stage: (stage: Stage) => void,
): Promise<Enrolled> {
  stage('stretching');
  const { letter } = by;
  const { account, upload, exportKey } = await registerPassphrase(passphrase, letter, by, opaque);

  const key = await OwnKey.make(letter.reader);
  const recovery = random(20);
  const password = await passphrasePassword(account, exportKey);
  const content = { account, address: letter.reader, organisation: letter.organisation, key };
  const file = await makeAccountFile(content, [password, await recoveryPassword(account, recovery)]);
  const proof = await sha256(await recoveryProof(account, recovery));
  const keys: { pickup: string; packet: Bytes }[] = [];
  for (const each of [by, ...others].slice(0, MOST_KEYS)) {
    keys.push({ pickup: each.pickup, packet: await key.wrap(each.letter.key) });
  }
  const hashes = [await sha256(key.certificate), await sha256(file), await sha256(fromBase64url(upload)), await sha256(proof)];
  const mac = await letter.state('enrol', key.fingerprint, ...hashes);

  stage('confirming');
  // The account may exist from here on, even where the answer gets lost.
  keepRecovery(account, recovery);
  const { certificate } = key;
  await confirmed(
    await api.enrol({ pickup: by.pickup, account: crockford(account), certificate, file, upload, recovery: proof, mac, keys }),
  );

  stage('checking');
  const answer = await api.fetchAccount();
  if (answer === undefined) throw new StillWaiting('enrolled, and not signed in');
  const unlocked = await unlockAccount(answer, password);
  const same = equal(unlocked.account.id, account) && equal(unlocked.account.key.fingerprint, key.fingerprint);
  if (!same || unlocked.account.reader !== letter.reader || !equal(unlocked.account.organisation, letter.organisation)) {
    throw new Tampered('another account than the one that was made');
  }
  const stored = await fetchPickup(by.pickup);
  const again = await openWithAccount(by.pickup, stored, unlocked.account);
  await api.postReceipt(by.pickup, await again.voice.opened());
  return { unlocked, recovery, letter: again, stored };
}

async function confirmed(answer: { state: api.EnrolmentState; errand: string }): Promise<void> {
  let { state } = answer;
  for (let round = 0; state === 'waiting' && round < ASK_TIMES; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY));
    state = await api.enrolmentState(answer.errand);
  }
  if (state === 'waiting') throw new StillWaiting('no answer yet');
  if (state === 'enrolled') return;
  forgetRecovery();
  if (state === 'conflict') throw new api.Conflict('conflict');
  throw new Refused('the enrolment was refused');
}
