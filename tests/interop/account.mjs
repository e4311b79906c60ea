// Makes a reader's account with OpenPGP.js, as a browser does: certificate, account file, statements, wrapped keys, a reply.
//
//   node account.mjs <directory with v1.json and keyring/>
//
// Writes accounts-v1.json to the standard output: the members are told in SEALING.md, reading the vectors. The organisation's
// vouch and its answer to a registration are made here too, with the published key. Everything is random; what is kept in tests/vectors was made once.
import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import * as openpgp from '../../portal/web/node_modules/openpgp/dist/node/openpgp.mjs';

const { enums } = openpgp;
const encoder = new TextEncoder();
const hex = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
const toHex = (bytes) => Buffer.from(bytes).toString('hex');
const base64 = (text) => Uint8Array.from(Buffer.from(text, 'base64url'));
const toBase64 = (bytes) => Buffer.from(bytes).toString('base64url');
const concat = (...parts) => Uint8Array.from(Buffer.concat(parts.map((part) => Buffer.from(part))));
const sha256 = (bytes) => Uint8Array.from(createHash('sha256').update(bytes).digest());
const hmac = (key, bytes) => createHmac('sha256', key).update(bytes).digest();
const hkdf = (salt, ikm, info) => new Uint8Array(hkdfSync('sha256', ikm, salt, info, 32));
const random = (length) => Uint8Array.from(randomBytes(length));

function ctx(label, ...fields) {
  const framed = fields.flatMap((field) => [Uint8Array.of(field.length >> 8, field.length & 255), field]);
  return concat(encoder.encode(`sealpost/v1/${label}`), Uint8Array.of(0), ...framed);
}

function uint64(number) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(number));
  return Uint8Array.from(bytes);
}

/** Bits in Crockford base32, from the most significant ones. */
function crockford(bytes) {
  let bits = '';
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0');
  const places = Math.ceil(bits.length / 5);
  const digit = (i) => '0123456789abcdefghjkmnpqrstvwxyz'[parseInt(bits.slice(i * 5, i * 5 + 5).padEnd(5, '0'), 2)];
  return Array.from({ length: places }, (_, i) => digit(i)).join('');
}

/** Recovery code (and link secret) as people read it. */
const written = (secret) => (crockford(secret) + crockford(sha256(ctx('check', secret))).slice(0, 4)).toUpperCase();

/** Padmé: at most 12 % more, and few distinct sizes. */
function padme(length) {
  const exponent = Math.floor(Math.log2(length));
  const step = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1));
  return Math.ceil(length / step) * step;
}


// Published like everything else here: a day on which every clock that tests this is past.
const DATE = new Date(1_760_000_000_000);

// --- sealing ---

function literalPacket(bytes) {
  const literal = new openpgp.LiteralDataPacket(new Date(0));
  literal.setBytes(bytes, enums.literal.binary);
  literal.setFilename('');
  return literal;
}

async function packed(packets) {
  const bytes = packets.write();
  return bytes instanceof Uint8Array ? Uint8Array.from(bytes) : await bytes.readToEnd((chunks) => concat(...chunks));
}

async function seal(key, content) {
  const size = Math.max(4096, padme(content.length + 6));
  const amount = size - content.length - 6;
  const header = Uint8Array.of(0xd5, 0xff, amount >>> 24, (amount >> 16) & 255, (amount >> 8) & 255, amount & 255);
  const plain = concat(content, header, random(amount));
  const message = new openpgp.Message({ write: () => plain });
  return Uint8Array.from(await openpgp.encrypt({
    message, sessionKey: { data: key, algorithm: 'aes256', aeadAlgorithm: 'gcm' }, format: 'binary',
    config: { aeadChunkSizeByte: 12, preferredCompressionAlgorithm: enums.compression.uncompressed },
  }));
}

async function literal(bytes) {
  const packets = new openpgp.PacketList();
  packets.push(literalPacket(bytes));
  return packed(packets);
}

/** One-pass signature, literal packet, signature: what lies in a reply's slip. */
async function signedContent(key, bytes) {
  const packets = new openpgp.PacketList();
  packets.push(literalPacket(bytes));
  const signed = await openpgp.sign({
    message: new openpgp.Message(packets), signingKeys: key, format: 'binary', date: DATE,
    config: { preferredCompressionAlgorithm: enums.compression.uncompressed },
  });
  return Uint8Array.from(signed);
}

/** A statement: one detached signature packet. */
async function sign(key, bytes) {
  const message = await openpgp.createMessage({ binary: bytes });
  return Uint8Array.from(await openpgp.sign({ message, signingKeys: key, detached: true, format: 'binary', date: DATE }));
}

/** A key packet to a certificate: one PKESK. */
async function wrap(sessionKey, certificate) {
  return Uint8Array.from(await openpgp.encryptSessionKey({
    data: sessionKey, algorithm: 'aes256', aeadAlgorithm: 'gcm', encryptionKeys: certificate, format: 'binary', date: DATE,
  }));
}

/** A key packet by password: one SKESK, as small a count as there is. */
async function wrapByPassword(sessionKey, password) {
  return Uint8Array.from(await openpgp.encryptSessionKey({
    data: sessionKey, algorithm: 'aes256', aeadAlgorithm: 'gcm', passwords: password, format: 'binary',
    config: { aeadProtect: true, preferredAEADAlgorithm: enums.aead.gcm, s2kType: enums.s2k.iterated, s2kIterationCountByte: 0 },
  }));
}

// --- the letter that is enrolled with, from v1.json ---

const directory = process.argv[2];
const vectors = JSON.parse(readFileSync(join(directory, 'v1.json'), 'utf8'));
const { pickup, letter, organisation } = vectors;
const pid = hex(pickup.pickupBytes);
const lid = hex(letter.letterBytes);
const a = encoder.encode(pickup.reader);
const o = hex(organisation.fingerprint);
const bound = [pid, lid, a, o];
const voice = hex(pickup.voice);

// --- the certificate ---

// The User ID is the address and nothing else: `name` is written as it is, `email` would get angle brackets.
const { privateKey, publicKey } = await openpgp.generateKey({
  type: 'curve25519', userIDs: [{ name: pickup.reader }], format: 'object', date: DATE,
  config: { v6Keys: true, aeadProtect: true },
});
const certificate = Uint8Array.from(publicKey.write());
const secretKey = Uint8Array.from(privateKey.write());
const fingerprint = hex(publicKey.getFingerprint());

// --- the account file ---

const aid = random(16);
const exportKey = random(64);
const recoveryCode = random(20);
const recoveryProof = hkdf(aid, recoveryCode, ctx('recovery-proof'));
const unlock = {
  passphrase: toBase64(hkdf(aid, exportKey, ctx('unlock/passphrase'))),
  recovery: toBase64(hkdf(aid, recoveryCode, ctx('unlock/recovery'))),
};
const accountKey = random(32);
const content = encoder.encode(JSON.stringify({
  is: 'sealpost/v1/account', account: crockford(aid), address: pickup.reader, organisation: organisation.fingerprint,
  key: toBase64(secretKey),
}));
const file = concat(
  await wrapByPassword(accountKey, unlock.passphrase), await wrapByPassword(accountKey, unlock.recovery),
  await seal(accountKey, await literal(content)),
);

// --- statements ---

const upload = random(192);
const recoveryHash = sha256(recoveryProof);
const enrol = ctx('say/enrol', ...bound, fingerprint, sha256(certificate), sha256(file), sha256(upload), sha256(recoveryHash));
const keyPacket = await wrap(hex(pickup.sessionKey), publicKey);
const receipt = ctx('say/opened', new Uint8Array(0), lid, a, o, sha256(base64(vectors.slip.packet)), sha256(keyPacket));
const rewrap = ctx('say/rewrap', ...bound, sha256(keyPacket));
const newFile = concat(
  await wrapByPassword(accountKey, toBase64(random(32))), await wrapByPassword(accountKey, unlock.recovery),
  await seal(accountKey, await literal(content)),
);
const newUpload = random(192);
const change = ctx('say/change', aid, a, o, sha256(newFile), sha256(newUpload), sha256(new Uint8Array(0)), uint64(0));

const [, organisationKey] = readFileSync(join(directory, 'keyring', 'organisation'), 'utf8').split(/\s+/);
const organisationSecret = await openpgp.readPrivateKey({ binaryKey: base64(organisationKey) });
const vouchedAt = DATE.getTime() / 1000 + 1;
const vouch = ctx(
  'vouch', a, fingerprint, sha256(certificate), uint64(1), uint64(vouchedAt), encoder.encode('enrolled'),
);

// What the gateway says of its answer; both messages are random octets, as the records are.
const request = random(32);
const response = random(64);
const registered = ctx('registered', aid, a, o, sha256(request), sha256(response));

// --- a reply ---

const replyKey = random(32);
const replyId = random(16);
const text = 'Grüße aus dem Konto\r\n\nLF und CRLF bleiben.';
const body = await seal(replyKey, await literal(encoder.encode(text)));
const json = JSON.stringify({
  is: 'sealpost/v1/reply', reply: crockford(replyId), letter: letter.letter, conversation: letter.conversation,
  from: pickup.reader, organisation: organisation.fingerprint, subject: 'Re: Ihr Befund – Labor',
  parts: [{
    n: 1, kind: 'body', name: '', type: 'text/plain', size: encoder.encode(text).length, sha256: toHex(sha256(body)),
  }],
});
const slip = await seal(replyKey, await signedContent(privateKey, encoder.encode(json)));
const organisationCertificate = await openpgp.readKey({ binaryKey: base64(organisation.certificate) });

process.stdout.write(`${JSON.stringify({
  version: 1,
  reader: pickup.reader,
  certificate: { fingerprint: toHex(fingerprint).toUpperCase(), certificate: toBase64(certificate), secretKey: toBase64(secretKey) },
  account: {
    account: crockford(aid), accountBytes: toHex(aid), exportKey: toHex(exportKey), recoveryCode: toHex(recoveryCode),
    recoveryCodeWritten: written(recoveryCode), recoveryProof: toHex(recoveryProof), recoveryHash: toHex(recoveryHash),
    unlockByPassphrase: unlock.passphrase, unlockByRecoveryCode: unlock.recovery, accountKey: toHex(accountKey),
    content: toBase64(content), file: toBase64(file),
  },
  registered: {
    request: toBase64(request), response: toBase64(response), context: toHex(registered),
    signature: toBase64(await sign(organisationSecret, registered)),
  },
  enrol: { upload: toBase64(upload), context: toHex(enrol), mac: toHex(hmac(voice, enrol)) },
  vouch: { counter: 1, time: vouchedAt, context: toHex(vouch), signature: toBase64(await sign(organisationSecret, vouch)) },
  receipt: { context: toHex(receipt), signature: toBase64(await sign(privateKey, receipt)) },
  rewrap: { keyPacket: toBase64(keyPacket), context: toHex(rewrap), signature: toBase64(await sign(privateKey, rewrap)) },
  change: {
    file: toBase64(newFile), upload: toBase64(newUpload), changes: 0, context: toHex(change),
    signature: toBase64(await sign(privateKey, change)),
  },
  reply: {
    reply: crockford(replyId), json, sessionKey: toHex(replyKey),
    keyPacket: toBase64(await wrap(replyKey, organisationCertificate)), packets: [slip, body].map(toBase64),
    ownKeyPacket: toBase64(await wrap(replyKey, publicKey)), subject: 'Re: Ihr Befund – Labor', text,
  },
}, null, 2)}\n`);
