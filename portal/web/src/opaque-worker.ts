// Runs OPAQUE in a thread of its own: stretching a passphrase takes a second and more, and would stop the page.
//
// Security: the worker's own policy lets it compile WebAssembly and reach no network; passphrases end in here.
// Standards: RFC 9807 (OPAQUE), RFC 9106 (Argon2id: 64 MiB, t = 3, p = 4).

import * as opaque from './serenity-opaque.js';

/** One step, named after the library's own. */
export type Step =
  | { readonly step: 'start-registration'; readonly passphrase: string }
  | { readonly step: 'finish-registration'; readonly passphrase: string; readonly state: string; readonly response: string }
  | { readonly step: 'start-sign-in'; readonly passphrase: string }
  | { readonly step: 'finish-sign-in'; readonly passphrase: string; readonly state: string; readonly response: string };

/** What a step gives; all of it base64url. */
export interface StepResult {
  readonly state?: string;
  /** For the server. */
  readonly message?: string;
  readonly exportKey?: string;
}

// Written out, never the library's defaults: both are bound into what is registered.
const HOW = { keyStretching: 'memory-constrained', identifiers: { server: 'sealpost/v1/opaque' } } as const;

/** Runs one step; `undefined` where the passphrase is wrong, or the server isn't the one that has the record. */
export async function run(step: Step): Promise<StepResult | undefined> {
  await opaque.ready;
  const password = step.passphrase.normalize('NFC');
  switch (step.step) {
    case 'start-registration': {
      const started = opaque.client.startRegistration({ password });
      return { state: started.clientRegistrationState, message: started.registrationRequest };
    }
    case 'finish-registration': {
      const finished = opaque.client.finishRegistration({
        password,
        clientRegistrationState: step.state,
        registrationResponse: step.response,
        ...HOW,
      });
      return { message: finished.registrationRecord, exportKey: finished.exportKey };
    }
    case 'start-sign-in': {
      const started = opaque.client.startLogin({ password });
      return { state: started.clientLoginState, message: started.startLoginRequest };
    }
    case 'finish-sign-in': {
      const finished = opaque.client.finishLogin({
        password,
        clientLoginState: step.state,
        loginResponse: step.response,
        ...HOW,
      });
      return finished && { message: finished.finishLoginRequest, exportKey: finished.exportKey };
    }
  }
}

interface WorkerScope {
  onmessage: ((event: MessageEvent<{ n: number; step: Step }>) => void) | null;
  postMessage(answer: { n: number; result?: StepResult | undefined; failed?: true }): void;
}

const scope = globalThis as unknown as WorkerScope;
if (!('document' in globalThis)) {
  scope.onmessage = ({ data: { n, step } }) => {
    run(step).then(
      (result) => scope.postMessage({ n, result }),
      () => scope.postMessage({ n, failed: true }),
    );
  };
}
