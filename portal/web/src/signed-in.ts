// A signed-in tab: which account it has open, when that ends by idling, and how one sign-out ends it everywhere.

import { Account, type AccountAnswer } from './account.js';
import { fetchAccount, postSignOut } from './account-api.js';
import { crockford } from './bytes.js';
import { language } from './texts.js';
import { forgetEverything, forgetUnlocked, isUnlocked, recallUnlocked, takeReturn, touch } from './unlocked.js';

const CHANNEL = 'sealpost';
const SIGNED_OUT = 'signed-out';
/** How often a tab looks whether it was idle for too long, in milliseconds. */
const LOOK_EVERY = 30_000;
/** Movements within so many milliseconds count as one. */
const GRAIN = 15_000;

/** The account of this tab; `undefined` where there is none, or the server's session has ended. */
export async function ownAccount(): Promise<{ account: Account; answer: AccountAnswer } | undefined> {
  const content = await recallUnlocked();
  if (content === undefined) return undefined;
  const answer = await fetchAccount();
  // Another tab may have signed in as somebody else.
  if (answer?.account === crockford(content.account)) return { account: await Account.open(content, answer), answer };
  forgetUnlocked();
  return undefined;
}

/** Keeps a tab that has an account open from staying so: by idling, and by a sign-out in another tab. */
export function watch(): void {
  let last = 0;
  const active = (): void => {
    if (Date.now() - last < GRAIN) return;
    last = Date.now();
    touch();
  };
  for (const event of ['pointerdown', 'keydown', 'scroll']) addEventListener(event, active, { passive: true });
  const look = (): void => {
    if (!isUnlocked()) toSignIn();
  };
  setInterval(look, LOOK_EVERY);
  // A laptop that was asleep, and a page that comes back out of the browser's cache.
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && look());
  addEventListener('pageshow', look);
  channel().onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data !== SIGNED_OUT) return;
    forgetEverything();
    toSignIn();
  };
}

/** Ends the session, here and in all other tabs. */
export async function signOut(): Promise<void> {
  forgetEverything();
  channel().postMessage(SIGNED_OUT);
  // Without a connection the server's session ends by itself; this browser has nothing left of it.
  await postSignOut().catch(() => undefined);
  toSignIn();
}

export function toSignIn(): void {
  location.assign(`/sign-in?lang=${language()}`);
}

function toAccount(): void {
  location.assign(`/account?lang=${language()}`);
}

/** To the letter that its reader came from to sign in, or to the account. */
export function onwards(): void {
  const back = takeReturn();
  if (back === undefined) toAccount();
  else location.assign(`/p/${back}?lang=${language()}`);
}

let open: BroadcastChannel | undefined;

function channel(): BroadcastChannel {
  open ??= new BroadcastChannel(CHANNEL);
  return open;
}
