// Registering a passphrase: the browser's half of OPAQUE, with the answer checked between its two steps.
//
// Security: whoever evaluates the passphrase with a key of their own can guess it offline from what is derived next: account
// file and record pass the portal. So nothing is derived from an answer, and nothing sent, before the organisation's
// signature says that the gateway gave it, to this very request, for this reader and this account.

import { register } from './account-api.js';
import { type Bytes, base64url, equal, fromBase64url, idBytes, utf8 } from './bytes.js';
import { ctx, sha256 } from './derive.js';
import { tampering } from './letter.js';
import type { Opaque } from './opaque.js';
import { type Certificate, SealError, isSigned } from './openpgp.js';

/** Who registers, and whose gateway has to answer: as an open letter or an unlocked account tells it, not the portal. */
export interface Registrant {
  /** The canonical address. */
  readonly reader: string;
  /** Fingerprint of the organisation's primary key. */
  readonly organisation: Bytes;
  readonly certificate: Certificate;
}

export interface Registration {
  /** The account's id, 16 bytes. */
  readonly account: Bytes;
  /** For the server. */
  readonly upload: string;
  /** 64 bytes that the server never sees. */
  readonly exportKey: Bytes;
}

/** For a first passphrase `by` is the pickup, for another one the account. Throws `Tampered` for an answer that isn't the gateway's. */
export async function registerPassphrase(
  passphrase: string,
  { reader, organisation, certificate }: Registrant,
  by: { readonly pickup: string } | { readonly account: Bytes },
  opaque: Opaque,
): Promise<Registration> {
  const { state, message } = await opaque.startRegistration(passphrase);
  const answer = await register(message, 'pickup' in by ? by.pickup : undefined);
  const { account, response } = await tampering(async () => {
    const account = idBytes(answer.account);
    if (account === undefined) throw new SealError('an account without an id');
    if ('account' in by && !equal(account, by.account)) throw new SealError('a registration for another account');
    const evaluated = fromBase64url(answer.response);
    const hashes = [await sha256(fromBase64url(message)), await sha256(evaluated)];
    const said = ctx('registered', account, utf8(reader), organisation, ...hashes);
    if (!(await isSigned(said, fromBase64url(answer.signature), certificate))) {
      throw new SealError('an answer to a registration that is not the gateway’s');
    }
    return { account, response: base64url(evaluated) };
  });
  const { message: upload, exportKey } = await opaque.finishRegistration(passphrase, state, response);
  return { account, upload, exportKey };
}
