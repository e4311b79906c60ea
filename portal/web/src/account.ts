// An account that this tab has unlocked: whose it is, the organisation that it pins, and the key that opens and signs.
//
// Security: address, organisation and key come from the inside of the account file. What the server says beside it is
// compared, and never used in its place.

import { type AccountContent, type UnlockedFile, unlockAccountFile } from './account-file.js';
import { type Bytes, crockford, eightBytes, equal, hex, maybeBase64url, utf8 } from './bytes.js';
import { ctx, sha256 } from './derive.js';
import { type Certificate, SealError, isSigned, readCertificate } from './openpgp.js';
import type { OwnKey } from './own-key.js';
import { tampering } from './letter.js';

/** What the portal says of the account that a session is signed in to. Binary members in base64url. */
export interface AccountAnswer {
  readonly account: string;
  readonly reader: string;
  readonly organisation: string;
  readonly organisationCertificate: string;
  readonly certificate: string;
  readonly fingerprint: string;
  readonly counter: number;
  readonly vouchedAt: number;
  readonly vouch: string;
  readonly file: string;
  /** How often passphrase or recovery code were changed. */
  readonly changes: number;
  readonly how: 'passphrase' | 'recovery' | 'enrolment';
}

export class Account {
  private constructor(
    /** 16 bytes. */
    readonly id: Bytes,
    /** The canonical address. */
    readonly reader: string,
    /** Fingerprint of the organisation's primary key, as the account file pins it. */
    readonly organisation: Bytes,
    /** Its certificate. */
    readonly certificate: Certificate,
    readonly key: OwnKey,
  ) {}

  /** Puts together what lay in the account file and what the server says; both must tell of the same account. */
  static open(content: AccountContent, answer: AccountAnswer): Promise<Account> {
    return tampering(async () => {
      const { account, address, organisation, key } = content;
      const fits =
        answer.account === crockford(account) &&
        answer.reader === address &&
        answer.organisation.toUpperCase() === hex(organisation).toUpperCase() &&
        answer.fingerprint.toUpperCase() === hex(key.fingerprint).toUpperCase() &&
        equal(maybeBase64url(answer.certificate) ?? new Uint8Array(0), key.certificate);
      if (!fits) throw new SealError('an account that is not the one of the account file');
      const written = maybeBase64url(answer.organisationCertificate) ?? new Uint8Array(0);
      return new Account(account, address, organisation, await readCertificate(written, hex(organisation)), key);
    });
  }

  get text(): string {
    return crockford(this.id);
  }

  /** States that a letter was opened with this key, by this key packet. */
  async receipt(letter: Bytes, slipHash: Bytes, keyPacket: Bytes): Promise<Bytes> {
    const fields = [letter, utf8(this.reader), this.organisation, slipHash, await sha256(keyPacket)];
    return this.key.sign(ctx('say/opened', new Uint8Array(0), ...fields));
  }

  /** States that a letter that was opened by its link shall open with this key. */
  async rewrap(pickup: Bytes, letter: Bytes, packet: Bytes): Promise<Bytes> {
    const hash = await sha256(packet);
    return this.key.sign(ctx('say/rewrap', pickup, letter, utf8(this.reader), this.organisation, hash));
  }

  /** States that passphrase or recovery code change; `recovery` is the hash of its proof, or empty where the code stays. */
  async change(file: Bytes, upload: Bytes, recovery: Bytes, changes: number): Promise<Bytes> {
    const fields = [await sha256(file), await sha256(upload), await sha256(recovery), eightBytes(changes)];
    return this.key.sign(ctx('say/change', this.id, utf8(this.reader), this.organisation, ...fields));
  }

  /** Whether the organisation has signed that this key belongs to this address. */
  async isVouchedFor({ vouch, counter, vouchedAt }: AccountAnswer): Promise<boolean> {
    try {
      const { certificate, fingerprint } = this.key;
      const hash = await sha256(certificate);
      const numbers = [eightBytes(counter), eightBytes(vouchedAt)];
      const said = ctx('vouch', utf8(this.reader), fingerprint, hash, ...numbers, utf8('enrolled'));
      return await isSigned(said, maybeBase64url(vouch) ?? new Uint8Array(0), this.certificate);
    } catch {
      return false;
    }
  }
}

/** An account just unlocked, with the file that can be wrapped for other ways. */
export interface Unlocked {
  readonly account: Account;
  readonly answer: AccountAnswer;
  readonly file: UnlockedFile;
}

/** Unlocks what the server stores for the account. A password that should fit and doesn't is a file that was swapped. */
export async function unlockAccount(answer: AccountAnswer, password: string): Promise<Unlocked> {
  const file = await tampering(() => unlockAccountFile(maybeBase64url(answer.file) ?? new Uint8Array(0), password));
  return { account: await Account.open(file.content, answer), answer, file };
}

/** The 32 bytes of a fingerprint in the groups that people compare. */
export function fingerprintGroups(fingerprint: Bytes): string {
  return (hex(fingerprint).toUpperCase().match(/.{4}/g) ?? []).join(' ');
}

