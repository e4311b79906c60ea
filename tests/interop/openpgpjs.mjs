// Opens the published vectors with OpenPGP.js and answers them, as a browser does: a second implementation of SEALING.md.
//
//   node openpgpjs.mjs <directory with v1.json>
//
// Writes one JSON object: what was opened, what stayed closed, and a reply for the gateway to open.
// OpenPGP.js is the portal's own copy, so that what is tested is what is shipped.
import { createHmac, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import * as openpgp from '../../portal/web/node_modules/openpgp/dist/node/openpgp.mjs';

const { enums } = openpgp;
const encoder = new TextEncoder();
const hex = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
const base64 = (text) => Uint8Array.from(Buffer.from(text, 'base64url'));
const toBase64 = (bytes) => Buffer.from(bytes).toString('base64url');
const concat = (...parts) => Uint8Array.from(Buffer.concat(parts.map((part) => Buffer.from(part))));
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();
const hmac = (key, bytes) => createHmac('sha256', key).update(bytes).digest();
const vectors = JSON.parse(readFileSync(join(process.argv[2], 'v1.json'), 'utf8'));

function ctx(label, ...fields) {
  const framed = fields.flatMap((field) => [Uint8Array.of(field.length >> 8, field.length & 255), field]);
  return concat(encoder.encode(`sealpost/v1/${label}`), Uint8Array.of(0), ...framed);
}

/** 16 bytes in 26 characters of lower-case Crockford base32. */
function idText(bytes) {
  let bits = BigInt(`0x${Buffer.from(bytes).toString('hex')}`) << 2n;
  let text = '';
  for (let i = 0; i < 26; i++, bits >>= 5n) text = '0123456789abcdefghjkmnpqrstvwxyz'[Number(bits & 31n)] + text;
  return text;
}

const { pickup, letter, organisation } = vectors;
const right = {
  pid: hex(pickup.pickupBytes), lid: hex(letter.letterBytes), a: encoder.encode(pickup.reader),
  o: hex(organisation.fingerprint), l: hex(pickup.linkSecret), s: hex(pickup.share),
};
const derive = (label, { pid, lid, a, o, l, s }) =>
  new Uint8Array(hkdfSync('sha256', concat(l, s), pid, ctx(label, lid, a, o), 32));

async function sessionKey(half) {
  const message = await openpgp.readMessage({ binaryMessage: base64(pickup.keyPacket) });
  const [key] = await openpgp.decryptSessionKeys({ message, passwords: toBase64(derive('open', half)) });
  // Version 6 key packets don't carry the algorithm; sealing allows one only.
  return { data: key.data, algorithm: 'aes256', aeadAlgorithm: 'gcm' };
}

const certificate = await openpgp.readKey({ binaryKey: base64(organisation.certificate) });

async function open(key, packet, signed) {
  const message = await openpgp.readMessage({ binaryMessage: packet });
  const { data, signatures } = await openpgp.decrypt({
    message, sessionKeys: key, format: 'binary',
    ...(signed ? { verificationKeys: certificate, expectSigned: true } : {}),
  });
  if (signed && signatures.length !== 1) throw new Error('not exactly one signature');
  return data;
}

async function refused(attempt) {
  try {
    await attempt();
    return false;
  } catch {
    return true;
  }
}

const changed = (bytes, place) => bytes.map((byte, i) => (i === place ? byte ^ 1 : byte));

const key = await sessionKey(right);
const slipPacket = base64(vectors.slip.packet);
const slip = await open(key, slipPacket, true);
const parts = [];
for (const part of vectors.parts) parts.push(toBase64(await open(key, base64(part.packet), false)));

const wrong = {
  linkSecret: { ...right, l: new Uint8Array(20) }, share: { ...right, s: new Uint8Array(32) },
  pickup: { ...right, pid: randomBytes(16) }, letter: { ...right, lid: randomBytes(16) },
  reader: { ...right, a: encoder.encode('ben@home.example') }, organisation: { ...right, o: randomBytes(32) },
};
const closed = {};
for (const [name, half] of Object.entries(wrong)) closed[name] = await refused(() => sessionKey(half));
closed.otherSessionKey = await refused(() => open({ ...key, data: randomBytes(32) }, slipPacket, true));
closed.unsignedAsSlip = await refused(() => open(key, base64(vectors.parts[0].packet), true));
closed.changedByte = true;
for (let place = 0; place < slipPacket.length; place += 97) {
  closed.changedByte &&= await refused(() => open(key, changed(slipPacket, place), true));
}
closed.cutEnd = await refused(() => open(key, slipPacket.subarray(0, slipPacket.length - 16), true));

const voice = derive('voice', right);
const opened = hmac(voice, ctx('say/opened', right.pid, right.lid, right.a, right.o, sha256(slipPacket)));

/** Padmé: at most 12 % more, and few distinct sizes. */
function padme(length) {
  const exponent = Math.floor(Math.log2(length));
  const step = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1));
  return Math.ceil(length / step) * step;
}

/** The library hands out arrays of chunks that fill later. */
const whole = (bytes) => (bytes instanceof Uint8Array ? bytes : bytes.readToEnd((chunks) => concat(...chunks)));

async function seal(replyKey, bytes) {
  const literal = new openpgp.LiteralDataPacket(new Date(0));
  literal.setBytes(bytes, enums.literal.binary);
  literal.setFilename('');
  const list = new openpgp.PacketList();
  list.push(literal);
  const content = await whole(list.write());
  // encrypt() adds no padding, and a padding packet of its own would have a header of varying length.
  const size = Math.max(4096, padme(content.length + 6));
  const amount = size - content.length - 6;
  const padding = concat(Uint8Array.of(0xd5, 0xff, amount >>> 24, (amount >> 16) & 255, (amount >> 8) & 255, amount & 255), randomBytes(amount));
  const sealed = openpgp.SymEncryptedIntegrityProtectedDataPacket.fromObject({ version: 2, aeadAlgorithm: enums.aead.gcm });
  sealed.packets = { write: () => concat(content, padding) };
  await sealed.encrypt(enums.symmetric.aes256, replyKey);
  sealed.encrypted = await whole(sealed.encrypted);
  const packets = new openpgp.PacketList();
  packets.push(sealed);
  return whole(packets.write());
}

const replyKey = Uint8Array.from(randomBytes(32));
const replyId = Uint8Array.from(randomBytes(16));
const text = encoder.encode('Grüße aus dem Browser\r\n\nLF und CRLF bleiben.');
const enclosure = Uint8Array.from(randomBytes(70_000));
const body = await seal(replyKey, text);
const enclosed = await seal(replyKey, enclosure);
const entry = (n, kind, name, type, plain, packet) =>
  ({ n, kind, name, type, size: plain.length, sha256: sha256(packet).toString('hex') });
const json = encoder.encode(JSON.stringify({
  is: 'sealpost/v1/reply', reply: idText(replyId), letter: letter.letter, conversation: letter.conversation,
  from: pickup.reader, organisation: organisation.fingerprint, subject: 'Re: Ihr Befund – Labor',
  parts: [entry(1, 'body', '', 'text/plain', text, body), entry(2, 'enclosure', 'bild.png', 'image/png', enclosure, enclosed)],
}));
const statement = hmac(voice, ctx('say/reply', right.pid, right.lid, right.a, right.o, replyId, sha256(json)));
const replySlip = await seal(replyKey, concat(statement, json));
const keyPacket = await openpgp.encryptSessionKey({
  data: replyKey, algorithm: 'aes256', aeadAlgorithm: 'gcm', encryptionKeys: certificate, format: 'binary',
});

process.stdout.write(JSON.stringify({
  sessionKey: Buffer.from(key.data).toString('hex'), voice: Buffer.from(voice).toString('hex'),
  opened: opened.toString('hex'), slip: toBase64(slip), parts, closed,
  reply: {
    reply: idText(replyId), keyPacket: toBase64(keyPacket), packets: [replySlip, body, enclosed].map(toBase64),
    text: toBase64(text), enclosure: toBase64(enclosure),
  },
}));
