// What the gateway does when it seals, played with OpenPGP.js: samples for the tests, honest and broken ones.

import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import * as openpgp from 'openpgp';
import { packet } from '../dist/frame.js';
import { crockford } from '../dist/bytes.js';

globalThis.openpgp = openpgp;

export const sha256 = (...pieces) => {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return new Uint8Array(hash.digest());
};
export const b64 = (bytes) => Buffer.from(bytes).toString('base64url');
export const bytes = (text) => new Uint8Array(Buffer.from(text));

const config = { v6Keys: true, aeadProtect: true, s2kType: openpgp.enums.s2k.iterated, s2kIterationCountByte: 0 };

/** SEALING.md's context, written a second time on purpose. */
export function ctx(label, ...fields) {
  const pieces = [Buffer.from(`sealpost/v1/${label}\0`)];
  for (const field of fields) {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(field.length);
    pieces.push(length, Buffer.from(field));
  }
  return new Uint8Array(Buffer.concat(pieces));
}

/** The written form of a link secret, by arithmetic on big integers instead of bit buffers. */
export function writeSecret(secret) {
  const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  const digits = (value, count) =>
    Array.from({ length: count }, (_, at) => alphabet[Number((value >> BigInt(5 * (count - 1 - at))) & 31n)]).join('');
  const check = Buffer.from(sha256(ctx('check', secret))).readUIntBE(0, 3) >> 4;
  return digits(BigInt(`0x${Buffer.from(secret).toString('hex')}`), 32) + digits(BigInt(check), 4);
}

export async function organisation() {
  const { privateKey, publicKey } = await openpgp.generateKey({
    type: 'curve25519',
    userIDs: [{ name: 'Klinikum Musterstadt', email: 'letters@klinik.example' }],
    subkeys: [{ sign: true }, {}],
    format: 'object',
    config,
  });
  return { privateKey, publicKey, fingerprint: new Uint8Array(Buffer.from(publicKey.getFingerprint(), 'hex')) };
}

/** One SEIPDv2 packet around these inner packets. */
export async function sealPackets(inner, key, { version = 2, mode = 3 } = {}) {
  const seipd = openpgp.SymEncryptedIntegrityProtectedDataPacket.fromObject({ version, aeadAlgorithm: mode });
  seipd.packets = { write: () => inner };
  await seipd.encrypt(openpgp.enums.symmetric.aes256, key, { ...openpgp.config, aeadChunkSizeByte: 6 });
  const pieces = seipd.encrypted instanceof Uint8Array ? [seipd.encrypted] : [];
  const reader = pieces.length > 0 ? new Response('').body.getReader() : seipd.encrypted.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
  const head = version === 2 ? Buffer.concat([Uint8Array.of(2, 9, mode, 6), seipd.salt]) : Uint8Array.of(1);
  return packet(18, head, ...pieces);
}

export const literal = (content) => packet(11, bytes('b'), new Uint8Array(5), content);
const padding = () => packet(21, randomBytes(700));

export const sealPart = (content, key) => sealPackets(Buffer.concat([literal(content), padding()]), key);

export async function signed(content, signers) {
  const message = await openpgp.createMessage({ binary: content });
  return openpgp.sign({ message, signingKeys: signers, format: 'binary', config });
}

/** A whole letter; `change` may bend what goes into it. */
export async function letter({ org, signers, slip: bend = (slip) => slip, parts = defaultParts(), reader } = {}) {
  org ??= await organisation();
  const link = new Uint8Array(randomBytes(20));
  const share = new Uint8Array(randomBytes(32));
  const [pid, lid, cid] = [1, 2, 3].map(() => new Uint8Array(randomBytes(16)));
  const key = new Uint8Array(randomBytes(32));
  reader ??= 'maria@patient.example';
  const info = (label) => ctx(label, lid, bytes(reader), org.fingerprint);
  const derive = (label) => new Uint8Array(hkdfSync('sha256', Buffer.concat([link, share]), pid, info(label), 32));
  const stored = [];
  for (const part of parts) stored.push(await sealPart(part.content, key));
  const slip = bend({
    is: 'sealpost/v1/slip',
    letter: crockford(lid),
    conversation: crockford(cid),
    for: ['anna@other.example', reader],
    from: [{ name: 'Dr. Anna Weber', address: 'anna.weber@klinik.example' }],
    to: [{ name: 'Maria Muster', address: reader }],
    cc: [],
    date: 1_790_000_000,
    subject: 'Ihr Laborbefund ä€',
    expires: 1_800_000_000,
    archive: '',
    organisation: Buffer.from(org.fingerprint).toString('hex').toUpperCase(),
    parts: parts.map(({ kind, name, type, content }, n) => ({
      n, kind, name, type, size: content.length, sha256: Buffer.from(sha256(stored[n])).toString('hex'),
    })),
    unknown: { members: 'are ignored' },
  });
  const message = await signed(bytes(JSON.stringify(slip)), signers ?? [org.privateKey]);
  const slipPacket = await sealPackets(Buffer.concat([message, padding()]), key);
  const keyPacket = await openpgp.encryptSessionKey({
    data: key, algorithm: 'aes256', aeadAlgorithm: 'gcm', passwords: b64(derive('open')), format: 'binary', config,
  });
  const voice = derive('voice');
  const pickup = {
    pickup: crockford(pid),
    letter: crockford(lid),
    reader,
    organisation: Buffer.from(org.fingerprint).toString('hex').toUpperCase(),
    certificate: b64(org.publicKey.write()),
    share: b64(share),
    keyPacket: b64(keyPacket),
    slip: b64(slipPacket),
    parts: stored.map((part) => part.length),
    expires: 1_800_000_000,
  };
  const say = (label, ...fields) =>
    new Uint8Array(createHmac('sha256', voice).update(ctx(`say/${label}`, pid, lid, bytes(reader), org.fingerprint, ...fields)).digest());
  return { org, link, key, pickup, stored, slipPacket, say, parts, conversation: slip.conversation };
}

function defaultParts() {
  return [
    { kind: 'body', name: '', type: 'text/html', content: bytes('<p>Guten Tag</p>') },
    { kind: 'enclosure', name: 'Befund.pdf', type: 'application/pdf', content: new Uint8Array(randomBytes(90_000)) },
    { kind: 'enclosure', name: 'leer.txt', type: 'text/plain', content: new Uint8Array(0) },
  ];
}
