// The reader's own OpenPGP key: made in this browser, kept in the account file, known to the gateway by its certificate.
//
// Security: what is read back is checked against the one shape that an account's key has (version 6, Ed25519, one X25519
// subkey, one User ID equal to the address), so that nothing else is ever used for opening or signing.
// Standards: RFC 9580.

import { type Bytes, equal, fromHex, utf8 } from './bytes.js';
import { signingTime } from './clock.js';
import { checkSignature } from './frame.js';
import { type Certificate, SealError, type SecretKey, type SessionKey, openWrappedKey, sealKey } from './openpgp.js';

const ED25519 = 27;
const X25519 = 25;

export class OwnKey {
  private constructor(
    private readonly secretKey: SecretKey,
    /** The whole certificate, as the gateway pins it. */
    readonly certificate: Bytes,
    /** Of the primary key, 32 bytes. */
    readonly fingerprint: Bytes,
  ) {}

  /** A new key pair for this address. */
  static async make(address: string): Promise<OwnKey> {
    const { privateKey } = await openpgp.generateKey({
      type: 'curve25519',
      // A name and no address: the library writes `<address>` otherwise, and the User ID is the address itself.
      userIDs: [{ name: address }],
      date: signingTime(),
      format: 'object',
      config: { v6Keys: true, aeadProtect: true },
    });
    return OwnKey.of(privateKey, address);
  }

  /** From the bytes of `secret()`. */
  static async read(bytes: Bytes, address: string): Promise<OwnKey> {
    return OwnKey.of(await openpgp.readPrivateKey({ binaryKey: bytes }), address);
  }

  private static of(key: SecretKey, address: string): OwnKey {
    const [user, ...users] = key.users;
    const [subkey, ...subkeys] = key.subkeys;
    const fits =
      key.isDecrypted() &&
      key.keyPacket.version === 6 &&
      key.keyPacket.algorithm === ED25519 &&
      subkey?.keyPacket.version === 6 &&
      subkey.keyPacket.algorithm === X25519 &&
      subkeys.length === 0 &&
      users.length === 0 &&
      user?.userID !== null &&
      user?.userID !== undefined &&
      equal(utf8(user.userID.userID), utf8(address));
    const fingerprint = fromHex(key.getFingerprint());
    if (!fits || fingerprint?.length !== 32) throw new SealError('not the key of an account of this address');
    return new OwnKey(key, Uint8Array.from(key.toPublic().write()), fingerprint);
  }

  /** The transferable secret key, not encrypted: for the inside of the account file. */
  secret(): Bytes {
    return Uint8Array.from(this.secretKey.write());
  }

  publicKey(): Certificate {
    return this.secretKey.toPublic();
  }

  /** A detached signature: one packet of version 6. */
  async sign(message: Bytes): Promise<Bytes> {
    const signature = await openpgp.sign({
      message: await openpgp.createMessage({ binary: message }),
      signingKeys: this.secretKey,
      date: this.time(),
      detached: true,
      format: 'binary',
    });
    const bytes = Uint8Array.from(signature);
    checkSignature(bytes);
    return bytes;
  }

  /** One-pass signature, literal data, signature: what a reply's slip is made of. */
  async signed(content: Bytes): Promise<Bytes> {
    const packets = await openpgp.sign({
      message: await openpgp.createMessage({ binary: content, filename: '', date: new Date(0) }),
      signingKeys: this.secretKey,
      date: this.time(),
      format: 'binary',
    });
    return Uint8Array.from(packets);
  }

  /** Never before the key itself was made. */
  private time(): Date {
    const [now, made] = [signingTime(), this.secretKey.getCreationTime()];
    return now > made ? now : made;
  }

  /** A key packet to this key. */
  wrap(key: SessionKey): Promise<Bytes> {
    return sealKey(key, this.publicKey());
  }

  /** What a key packet to this key holds; `data` is any packet that is sealed with it. */
  unwrap(keyPacket: Bytes, data: Bytes): Promise<SessionKey> {
    return openWrappedKey(keyPacket, data, this.secretKey);
  }
}
