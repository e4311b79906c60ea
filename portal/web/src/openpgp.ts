// OpenPGP.js, as it is on the page: the published file, loaded before the modules as a classic script.
//
// Security: messages are opened step by step, so that what lies inside is checked too: no compression, no second
// message, and signatures exactly where they belong.
// Standards: RFC 9580.

import type * as OpenPGP from 'openpgp';
import { type Bytes, concat, fromHex } from './bytes.js';
import { checkDataPacket, checkKeyPacket, checkSignature, checkWrappedKey, literalPacket, padded, wholePacket } from './frame.js';

declare global {
  var openpgp: typeof OpenPGP;
}

export type Certificate = OpenPGP.PublicKey;
export type SecretKey = OpenPGP.PrivateKey;

/** The 32 bytes that all parts of one letter or reply are sealed with. */
export type SessionKey = Bytes;

const CHUNK_OCTET = 12; // chunks of 256 KiB
// A reader's clock may be wrong by years; what a signature may vouch for is fixed by link or pin, not by the time.
export const ANY_TIME = null as unknown as Date;

const TAG = { onePass: 4, literal: 11 };

/** Bytes that don't open, or that aren't what they should be. */
export class SealError extends Error {}

/** Opens the key packet with the password of a pickup. */
export async function openKeyPacket(keyPacket: Bytes, dataPacketBytes: Bytes, password: string): Promise<SessionKey> {
  checkKeyPacket(keyPacket);
  checkDataPacket(dataPacketBytes);
  const message = await openpgp.readMessage({ binaryMessage: concat(keyPacket, dataPacketBytes) });
  return onlyKey(await openpgp.decryptSessionKeys({ message, passwords: password }));
}

/** Opens the key packet that was wrapped for this key. */
export async function openWrappedKey(keyPacket: Bytes, dataPacketBytes: Bytes, key: SecretKey): Promise<SessionKey> {
  const [subkey] = key.subkeys;
  checkWrappedKey(keyPacket, fromHex(subkey?.getFingerprint() ?? '') ?? new Uint8Array(0));
  checkDataPacket(dataPacketBytes);
  const message = await openpgp.readMessage({ binaryMessage: concat(keyPacket, dataPacketBytes) });
  return onlyKey(await openpgp.decryptSessionKeys({ message, decryptionKeys: key, date: ANY_TIME }));
}

function onlyKey(keys: { data: Uint8Array }[]): SessionKey {
  const [key] = keys;
  if (keys.length !== 1 || key?.data.length !== 32) throw new SealError('not one session key of 256 bits');
  return Uint8Array.from(key.data);
}

/** Opens a part that carries no signature of its own. */
export async function openPlain(stored: Bytes, key: SessionKey): Promise<Bytes> {
  const inner = await openData(stored, key, [TAG.literal]);
  // Reads to the end of what follows the literal data, and refuses what may not stand there.
  if ((await inner.verify([], ANY_TIME)).length !== 0) throw new SealError('a signature where none belongs');
  return literal(inner);
}

/** Opens a part that is signed once, by this certificate. */
export async function openSigned(stored: Bytes, key: SessionKey, signer: Certificate): Promise<Bytes> {
  const inner = await openData(stored, key, [TAG.onePass, TAG.literal]);
  const signatures = await inner.verify([signer], ANY_TIME);
  const [signature] = signatures;
  if (signatures.length !== 1 || signature === undefined) throw new SealError('not exactly one signature');
  if ((await signature.verified) !== true) throw new SealError('a signature that does not verify');
  return literal(inner);
}

/** Whether this certificate signed these bytes: one detached signature packet. */
export async function isSigned(bytes: Bytes, signature: Bytes, signer: Certificate): Promise<boolean> {
  try {
    checkSignature(signature);
    const { signatures } = await openpgp.verify({
      message: await openpgp.createMessage({ binary: bytes }),
      signature: await openpgp.readSignature({ binarySignature: signature }),
      verificationKeys: signer,
      date: ANY_TIME,
      format: 'binary',
    });
    return signatures.length === 1 && (await signatures[0]?.verified) === true;
  } catch {
    return false;
  }
}

/** A certificate, whose primary key must be the one that is expected. */
export async function readCertificate(bytes: Bytes, fingerprint: string): Promise<Certificate> {
  const certificate = await openpgp.readKey({ binaryKey: bytes });
  if (certificate.isPrivate() || certificate.getFingerprint().toUpperCase() !== fingerprint.toUpperCase()) {
    throw new SealError('another certificate than the one that the letter names');
  }
  return certificate;
}

/** Seals content with a session key, padded. */
export async function sealData(content: Bytes, key: SessionKey): Promise<Bytes> {
  return sealPackets(literalPacket(content), key);
}

/** Seals whole packets with a session key, padded. */
export async function sealPackets(inner: Bytes, key: SessionKey): Promise<Bytes> {
  // The library's own `encrypt` adds no padding packet: it gets all packets as they are to be sealed.
  const plain = padded(inner, CHUNK_OCTET);
  const packets = { write: () => plain } as unknown as OpenPGP.PacketList<OpenPGP.AnyPacket>;
  const sealed = await openpgp.encrypt({
    message: new openpgp.Message<Uint8Array>(packets),
    sessionKey: { data: key, algorithm: 'aes256', aeadAlgorithm: 'gcm' },
    format: 'binary',
    config: { aeadChunkSizeByte: CHUNK_OCTET, preferredCompressionAlgorithm: openpgp.enums.compression.uncompressed },
  });
  return wholePacket(sealed);
}

/** A key packet that a password opens. The password is a key already: the smallest stretching there is. */
export async function sealKeyByPassword(key: SessionKey, password: string): Promise<Bytes> {
  const packet = await openpgp.encryptSessionKey({
    data: key,
    algorithm: 'aes256',
    aeadAlgorithm: 'gcm',
    passwords: password,
    format: 'binary',
    config: { aeadProtect: true, s2kType: openpgp.enums.s2k.iterated, s2kIterationCountByte: 0 },
  });
  const sealed = Uint8Array.from(packet);
  checkKeyPacket(sealed);
  return sealed;
}

/** A key packet to the certificate's encryption subkey. */
export async function sealKey(key: SessionKey, certificate: Certificate): Promise<Bytes> {
  const packet = await openpgp.encryptSessionKey({
    data: key,
    algorithm: 'aes256',
    aeadAlgorithm: 'gcm',
    encryptionKeys: certificate,
    format: 'binary',
    date: ANY_TIME,
  });
  return Uint8Array.from(packet);
}

/** What is sealed inside, whose packets up to the literal data must be these: the library parses the rest in `verify`. */
async function openData(stored: Bytes, key: SessionKey, tags: number[]): Promise<OpenPGP.Message<Uint8Array>> {
  checkDataPacket(stored);
  const message = await openpgp.readMessage({ binaryMessage: stored });
  const sessionKey = { data: key, algorithm: 'aes256', aeadAlgorithm: 'gcm' } as const;
  const inner = await message.decrypt(undefined, undefined, [sessionKey], ANY_TIME);
  const found = Array.from(inner.packets, (packet) => (packet.constructor as unknown as { tag: number }).tag);
  if (found.join() !== tags.join()) throw new SealError(`packets ${found.join()} instead of ${tags.join()}`);
  return inner as OpenPGP.Message<Uint8Array>;
}

function literal(message: OpenPGP.Message<Uint8Array>): Bytes {
  const data = message.getLiteralData();
  if (!(data instanceof Uint8Array)) throw new SealError('no literal data');
  return new Uint8Array(data);
}
