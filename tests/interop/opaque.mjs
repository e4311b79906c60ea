// The browser's half of OPAQUE, by the library that the portal ships: registers, signs in, gets it wrong.
//
//   node opaque.mjs
//
// Speaks lines: asks on the standard output, `<name> <base64url>`, and reads one line for each; ends with `report <json>`.
// What it asks: register, record, sign-in, finalization; `forget` makes the server forget the record. The settings are written out
// here as in SEALING.md, accounts.
import readline from 'node:readline';

import * as opaque from '../../portal/web/node_modules/@serenity-kit/opaque/esm/index.js';

const SETTINGS = { identifiers: { server: 'sealpost/v1/opaque' }, keyStretching: 'memory-constrained' };
const LIBRARY_DEFAULTS = { keyStretching: 'memory-constrained' };
const WRITTEN_OUT = {
  identifiers: SETTINGS.identifiers,
  keyStretching: { 'argon2id-custom': { iterations: 3, memory: 65536, parallelism: 4 } },
};

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(name, bytes) {
  process.stdout.write(`${name} ${bytes}\n`);
  return (await lines.next()).value;
}
const bytes = (text) => Buffer.from(text, 'base64url').length;

async function signIn(password, settings) {
  const { clientLoginState, startLoginRequest } = opaque.client.startLogin({ password });
  const loginResponse = await ask('sign-in', startLoginRequest);
  const finished = opaque.client.finishLogin({ clientLoginState, loginResponse, password, ...settings });
  const sizes = { request: bytes(startLoginRequest), response: bytes(loginResponse) };
  if (!finished) return { sizes, answer: 'not sent' };
  const answer = await ask('finalization', finished.finishLoginRequest);
  return { sizes: { ...sizes, finalization: bytes(finished.finishLoginRequest) }, answer, exportKey: finished.exportKey };
}

await opaque.ready;
const password = 'sieben graue Reiher stehen';
const registration = opaque.client.startRegistration({ password });
const response = await ask('register', registration.registrationRequest);
const registered = opaque.client.finishRegistration({
  clientRegistrationState: registration.clientRegistrationState, registrationResponse: response, password, ...SETTINGS,
});
await ask('record', registered.registrationRecord);
const report = {
  sizes: {
    request: bytes(registration.registrationRequest), response: bytes(response),
    record: bytes(registered.registrationRecord), exportKey: bytes(registered.exportKey),
  },
  exportKey: registered.exportKey,
  right: await signIn(password, SETTINGS),
  writtenOut: await signIn(password, WRITTEN_OUT),
  wrong: await signIn('sieben graue Reiher steh', SETTINGS),
  withoutIdentifier: await signIn(password, LIBRARY_DEFAULTS),
};
await ask('forget', '');
report.unknown = await signIn(password, SETTINGS);
process.stdout.write(`report ${JSON.stringify(report)}\n`);
process.exit(0);
