// The page's side of OPAQUE: a worker does the work, this asks it.
//
// Security: the library is fetched once with its integrity checked before the worker loads it, since workers carry no
// integrity of their own. (Both come from the same server as the page: this finds a file that was mixed up or broken, not
// a portal that lies.)

import { fromBase64url, type Bytes } from './bytes.js';
import type { Step, StepResult } from './opaque-worker.js';
import { trustedScript } from './trusted.js';

/** A step that failed for another reason than a wrong passphrase. */
export class OpaqueFailed extends Error {}

/** A registration or sign-in between its two messages. */
export interface Started {
  readonly state: string;
  readonly message: string;
}

/** What the second half gives. */
export interface Finished {
  /** For the server. */
  readonly message: string;
  /** 64 bytes that the server never sees. */
  readonly exportKey: Bytes;
}

export class Opaque {
  private worker: Worker | undefined;
  private asked = 0;
  private readonly waiting = new Map<number, (answer: { result?: StepResult; failed?: true }) => void>();

  startRegistration(passphrase: string): Promise<Started> {
    return this.started({ step: 'start-registration', passphrase });
  }

  async finishRegistration(passphrase: string, state: string, response: string): Promise<Finished> {
    const finished = await this.finished({ step: 'finish-registration', passphrase, state, response });
    if (finished === undefined) throw new OpaqueFailed('a registration that gave nothing');
    return finished;
  }

  startSignIn(passphrase: string): Promise<Started> {
    return this.started({ step: 'start-sign-in', passphrase });
  }

  /** `undefined` where the passphrase is wrong. */
  finishSignIn(passphrase: string, state: string, response: string): Promise<Finished | undefined> {
    return this.finished({ step: 'finish-sign-in', passphrase, state, response });
  }

  /** Ends the worker, and with it what it remembers. */
  end(): void {
    this.worker?.terminate();
    this.worker = undefined;
  }

  private async started(step: Step): Promise<Started> {
    const result = await this.run(step);
    if (result?.state === undefined || result.message === undefined) throw new OpaqueFailed('a step that gave nothing');
    return { state: result.state, message: result.message };
  }

  private async finished(step: Step): Promise<Finished | undefined> {
    const result = await this.run(step);
    if (result?.message === undefined || result.exportKey === undefined) return undefined;
    return { message: result.message, exportKey: fromBase64url(result.exportKey) };
  }

  private async run(step: Step): Promise<StepResult | undefined> {
    this.worker ??= await this.start();
    const n = (this.asked += 1);
    const answer = new Promise<{ result?: StepResult; failed?: true }>((resolve) => this.waiting.set(n, resolve));
    this.worker.postMessage({ n, step });
    const { result, failed } = await answer;
    if (failed === true) throw new OpaqueFailed(`${step.step} failed`);
    return result;
  }

  private async start(): Promise<Worker> {
    const files = document.getElementById('opaque')?.dataset ?? {};
    const { worker: address, library, integrity } = files as { worker?: string; library?: string; integrity?: string };
    if (address === undefined || library === undefined || integrity === undefined) throw new OpaqueFailed('no worker');
    try {
      await (await fetch(library, { integrity, credentials: 'same-origin' })).arrayBuffer();
    } catch (cause) {
      throw new OpaqueFailed('the library did not arrive as it should', { cause });
    }
    const worker = new Worker(trustedScript(address), { type: 'module' });
    worker.onmessage = ({ data }: MessageEvent<{ n: number; result?: StepResult; failed?: true }>) => {
      this.waiting.get(data.n)?.(data);
      this.waiting.delete(data.n);
    };
    worker.onerror = () => {
      for (const answer of this.waiting.values()) answer({ failed: true });
      this.waiting.clear();
      this.end();
    };
    return worker;
  }
}
