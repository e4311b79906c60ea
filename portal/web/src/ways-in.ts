// Signing in, recovering, and changing what unlocks: the order of messages between this browser and the gateway.
//
// Security: the passphrase goes into the OPAQUE worker and nowhere else; the export key and the recovery code unlock what
// the server stores and never leave. What was changed is fetched back and unlocked, before anybody relies on it.

import { type AccountAnswer, type Unlocked, unlockAccount } from './account.js';
import { unlockAccountFile } from './account-file.js';
import * as api from './account-api.js';
import { Unreachable } from './api.js';
import { type Bytes, fromBase64url, idBytes, random } from './bytes.js';
import { passphrasePassword, recoveryPassword, recoveryProof, sha256 } from './derive.js';
import { Tampered } from './letter.js';
import type { Opaque } from './opaque.js';
import { SealError } from './openpgp.js';
import { registerPassphrase } from './registration.js';
import { forgetRecovery, keepRecovery, recallRecovery } from './unlocked.js';

/** Throws `Wrong`, `Later`, `Unreachable`, `OpaqueFailed`, or `Tampered`. */
export async function signIn(address: string, passphrase: string, opaque: Opaque): Promise<Unlocked> {
  const { state, message } = await opaque.startSignIn(passphrase);
  const begun = await api.beginSignIn(address, message);
  const finished = await opaque.finishSignIn(passphrase, state, begun.response);
  if (finished === undefined) throw new api.Wrong('wrong passphrase');
  await api.endSignIn(begun.signIn, finished.message);
  return unlocked((account) => passphrasePassword(account, finished.exportKey));
}

/** With the recovery code, after a code by mail was shown for this account. Throws `Wrong`, `Later`, `Tampered`. */
export async function recoverAccount(account: string, code: Bytes): Promise<Unlocked> {
  const id = idBytes(account) ?? new Uint8Array(16);
  await api.recover(await recoveryProof(id, code));
  const recovered = await unlocked(() => recoveryPassword(id, code));
  if (recovered.account.text !== account) throw new Tampered('another account than the one that was recovered');
  return recovered;
}

/** What stays and what is made new. */
export interface Change {
  readonly passphrase: string;
  readonly recovery: 'stays' | 'new';
}

/** Sets a passphrase, and a new recovery code where it is asked for: that code, or `undefined`. */
export async function changeWays(before: Unlocked, { passphrase, recovery }: Change, opaque: Opaque): Promise<Bytes | undefined> {
  const { account, answer, file } = before;
  const { upload, exportKey } = await registerPassphrase(passphrase, account, { account: account.id }, opaque);
  const password = await passphrasePassword(account.id, exportKey);
  const code = recovery === 'new' ? random(20) : undefined;
  const ways = code === undefined ? undefined : [password, await recoveryPassword(account.id, code)];
  const wrapped = ways === undefined ? await file.withThisWayReplaced(password) : await file.withWays(ways);
  const proof = code === undefined ? new Uint8Array(0) : await sha256(await recoveryProof(account.id, code));
  const signature = await account.change(wrapped, fromBase64url(upload), proof, answer.changes);
  // From here on the new code may be the one that counts, even where the answer gets lost.
  if (code !== undefined) keepRecovery(account.id, code);
  try {
    await api.change(upload, wrapped, proof, signature);
  } catch (cause) {
    if (!(cause instanceof Unreachable)) forgetRecovery();
    throw cause;
  }
  await unlocked(() => Promise.resolve(password));
  return code;
}

/**
 * The recovery code that this tab still has to show; `undefined` where it isn't the account's. Where the answer to a change got
 * lost, either code may be the one that counts, and the account file tells which.
 */
export async function codeToShow(account: Bytes, { file }: AccountAnswer): Promise<Bytes | undefined> {
  const code = recallRecovery(account);
  if (code === undefined) return undefined;
  try {
    await unlockAccountFile(fromBase64url(file), await recoveryPassword(account, code));
    return code;
  } catch {
    return undefined;
  }
}

/** What the server stores for this session's account, unlocked. */
async function unlocked(password: (account: Bytes) => Promise<string>): Promise<Unlocked> {
  const answer = await api.fetchAccount();
  if (answer === undefined) throw new Unreachable('busy');
  const id = idBytes(answer.account);
  if (id === undefined) throw new Tampered('an account without an id', { cause: new SealError('not an id') });
  return unlockAccount(answer, await password(id));
}
