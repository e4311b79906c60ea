// Opens our PGP/MIME mail with OpenPGP.js: a mail program that runs in a browser.
//
//   node mail.mjs keys <directory>    writes <kind>.public and <kind>.secret
//   node mail.mjs open <directory>    opens each <kind>.<n>.mail into <kind>.<n>.opened; `ours` must have signed it
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as openpgp from '../../portal/web/node_modules/openpgp/dist/node/openpgp.mjs';

const [, , task, directory] = process.argv;
const read = (name) => readFileSync(join(directory, name));
const userIDs = [{ email: 'p@mail.example' }];

const kinds = {
  'v4-curve': { type: 'ecc', curve: 'ed25519Legacy', config: { v6Keys: false, aeadProtect: false } },
  'v4-rsa': { type: 'rsa', rsaBits: 2048, config: { v6Keys: false, aeadProtect: false } },
  'v4-aead': { type: 'ecc', curve: 'ed25519Legacy', config: { v6Keys: false, aeadProtect: true } },
  v6: { type: 'curve25519', config: { v6Keys: true, aeadProtect: true } },
};

if (task === 'keys') {
  for (const [kind, options] of Object.entries(kinds)) {
    const { privateKey, publicKey } = await openpgp.generateKey({ ...options, userIDs, format: 'object' });
    writeFileSync(join(directory, `${kind}.public`), publicKey.write());
    writeFileSync(join(directory, `${kind}.secret`), privateKey.write());
  }
} else {
  const verificationKeys = await openpgp.readKey({ binaryKey: read('ours') });
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.mail'))) {
    const [kind, n] = file.split('.');
    const decryptionKeys = await openpgp.readPrivateKey({ binaryKey: read(`${kind}.secret`) });
    const message = await openpgp.readMessage({ armoredMessage: read(file).toString('utf8') });
    const { data, signatures } = await openpgp.decrypt({
      message, decryptionKeys, verificationKeys, expectSigned: true, format: 'binary',
    });
    if (signatures.length !== 1) throw new Error(`${file}: not exactly one signature`);
    await signatures[0].verified;
    writeFileSync(join(directory, `${kind}.${n}.opened`), data);
  }
}
