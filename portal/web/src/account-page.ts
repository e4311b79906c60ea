// The account: conversations, a letter, an own reply, settings. One page, whose fragment says what is shown, so that back
// and forward work and the unlocked key stays in the tab.
//
// Security: what the server lists is opened and checked here before it is shown; nothing of it is trusted for what it says.

import { type AccountLetter, type Listed, type OwnReply, fetchLetters, fetchReplies, postReceipt } from './account-api.js';
import type { Account, AccountAnswer } from './account.js';
import { NotAvailable, SignInFirst } from './api.js';
import { showConversations } from './conversation-view.js';
import { type Entry, type LetterEntry, type ReplyEntry, conversations, letterEntry, replyEntry } from './conversations.js';
import { Tampered } from './letter.js';
import { showLetter } from './letter-view.js';
import { Memory } from './memory.js';
import { showOwnReply } from './own-reply-view.js';
import { browserIsAble, busy, element, hidden, libraryIsThere, setText, showProblem, showStep } from './page.js';
import { showRecovery } from './recovery-view.js';
import { ReplyView } from './reply-view.js';
import { SettingsView } from './settings-view.js';
import { ownAccount, signOut, toSignIn, watch } from './signed-in.js';
import { codeToShow } from './ways-in.js';

/** Pages of a list that are fetched to find a letter that somebody came back to. */
const MOST_PAGES = 40;

async function start(): Promise<void> {
  if (!browserIsAble()) {
    showStep('old-browser');
    return;
  }
  if (!libraryIsThere()) {
    showProblem('unreachable', () => location.reload());
    return;
  }
  try {
    const own = await ownAccount();
    if (own === undefined) {
      toSignIn();
      return;
    }
    watch();
    const page = new AccountPage(own.account, own.answer);
    const code = await codeToShow(own.account.id, own.answer);
    if (code !== undefined) await showRecovery(code, own.account.reader);
    page.begin();
  } catch (cause) {
    if (cause instanceof Tampered) showProblem('account');
    else failed(cause);
  }
}

class AccountPage {
  private readonly settings: SettingsView;
  private entries: Entry[] = [];
  private byLink: AccountLetter[] = [];
  /** What the next pages are asked for with; absent where there are none, `first` where nothing was asked for yet. */
  private more: { letters?: string | undefined; replies?: string | undefined } | 'first' | undefined = 'first';

  constructor(
    private readonly account: Account,
    answer: AccountAnswer,
  ) {
    this.settings = new SettingsView(account, answer);
    setText('account-reader', account.reader);
    hidden('account-bar', 'shown');
    const out = element('sign-out', HTMLButtonElement);
    out.onclick = () => void busy(out, signOut);
    const more = element('list-more', HTMLButtonElement);
    more.onclick = () => void busy(more, () => guarded(async () => {
      await this.fetchMore();
      this.showList();
    }));
  }

  begin(): void {
    addEventListener('hashchange', () => void guarded(() => this.go()));
    void guarded(() => this.go());
  }

  private async go(): Promise<void> {
    const hash = location.hash.slice(1);
    // The link that skips the masthead leads here too.
    if (hash === 'main') return;
    this.mark(hash);
    const [, kind, id] = /^([lr])-(.+)$/.exec(hash) ?? [];
    if (hash === 'settings') this.settings.show();
    else if (hash === 'change') this.settings.showChange();
    else if (hash === 'code-new') this.settings.showNewCode();
    else if (kind === 'l' && id !== undefined) await this.openLetter(id);
    else if (kind === 'r' && id !== undefined) await this.openReply(id);
    else await this.list();
  }

  private mark(hash: string): void {
    const here = ['settings', 'change', 'code-new'].includes(hash) ? 'account-to-settings' : 'account-to-list';
    for (const id of ['account-to-list', 'account-to-settings']) {
      const link = element(id, HTMLElement);
      if (id === here) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }

  private async list(): Promise<void> {
    if (this.more === 'first') {
      showStep('loading');
      await this.fetchMore();
    }
    this.showList();
    showStep('list');
  }

  private showList(): void {
    showConversations(conversations(this.entries), this.byLink);
    hidden('list-more', this.more === undefined ? 'hidden' : 'shown');
  }

  private async fetchMore(): Promise<void> {
    const asked = this.more;
    if (asked === undefined) return;
    const none = { items: [] };
    const [after, afterReply] = asked === 'first' ? [undefined, undefined] : [asked.letters, asked.replies];
    const letters: Listed<AccountLetter> = asked === 'first' || after !== undefined ? await fetchLetters(after) : none;
    const replies: Listed<OwnReply> = asked === 'first' || afterReply !== undefined ? await fetchReplies(afterReply) : none;
    for (const listed of letters.items) {
      const entry = await letterEntry(listed, this.account);
      if (entry === undefined) this.byLink.push(listed);
      else this.entries.push(entry);
    }
    for (const listed of replies.items) this.entries.push(await replyEntry(listed, this.account));
    const more = { letters: letters.next, replies: replies.next };
    this.more = more.letters === undefined && more.replies === undefined ? undefined : more;
  }

  /** A reply was sent: the list is asked for anew. */
  private forget(): void {
    this.entries = [];
    this.byLink = [];
    this.more = 'first';
  }

  private async openLetter(pickup: string): Promise<void> {
    const of = (entry: Entry): entry is LetterEntry => entry.kind === 'letter' && entry.stored.pickup === pickup;
    const { stored, letter } = await this.find(of);
    await showLetter(stored, letter);
    hidden('letter-back', 'shown');
    showStep('letter');
    new ReplyView(pickup, letter, new Memory(pickup), { key: this.account.key, sent: () => this.forget() });
    // The letter is open whether or not the sender learns of it.
    await postReceipt(pickup, await letter.voice.opened()).catch(() => undefined);
  }

  private async openReply(reply: string): Promise<void> {
    const of = (entry: Entry): entry is ReplyEntry => entry.kind === 'reply' && entry.stored.reply === reply;
    await showOwnReply(await this.find(of));
    showStep('own-reply');
  }

  private async find<T extends Entry>(is: (entry: Entry) => entry is T): Promise<T> {
    showStep('loading');
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const found = this.entries.find(is);
      if (found !== undefined) return found;
      if (this.more === undefined) break;
      await this.fetchMore();
    }
    throw new NotAvailable('no such entry');
  }
}

async function guarded(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    failed(cause);
  }
}

function failed(cause: unknown): void {
  if (cause instanceof SignInFirst) toSignIn();
  else if (cause instanceof Tampered) showProblem('tampered');
  else if (cause instanceof NotAvailable) showProblem('gone');
  else showProblem('unreachable', () => location.reload());
}

void start();
