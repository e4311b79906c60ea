// What makes a passphrase too easy to guess. No rules about kinds of characters: length counts, and what stays when
// everything is taken away that guessers try first.
//
// Security: a floor, not a measure. The gateway slows down guessing, and nobody can guess offline.

export type Weakness = 'short' | 'long' | 'guessable';

const SHORTEST = 12;
const LONGEST = 256;
/** Characters that must be left, each known piece counting as one. */
const ENOUGH = 8;

// Rows of keyboards (English and German), and orders that everybody knows.
const ROWS = ['abcdefghijklmnopqrstuvwxyz', '01234567890', 'qwertyuiop', 'qwertzuiopü', 'asdfghjkl', 'asdfghjklöä', 'zxcvbnm', 'yxcvbnm', '1qaz2wsx3edc4rfv', '1qay2wsx3edc'];

const WORDS = `
  passphrase passphrases password passwords passwort passwörter kennwort kennsatz passsatz losung codewort secret geheimnis
  geheim sicher sicherheit security login logon admin administrator user username benutzer letmein welcome willkommen hello
  hallo guten tag morgen test testing change changeme default qwerty qwertz asdf iloveyou love liebe ichliebedich schatz
  schatzi engel mausi baby princess prinzessin prinz sunshine sonnenschein dragon drache monkey affe master meister football
  fussball fußball baseball superman batman starwars pokemon computer internet google iphone samsung email mail brief
  letter nachricht message portal sealpost klinik klinikum krankenhaus hospital praxis doktor doctor arzt patient kanzlei
  bank konto account januar februar märz maerz april mai juni juli august september oktober november dezember january
  february march may june july october december montag dienstag mittwoch donnerstag freitag samstag sonntag monday tuesday
  wednesday thursday friday saturday sunday frühling fruehling sommer herbst winter spring summer autumn fall weihnachten
  christmas ostern easter deutschland germany österreich schweiz berlin hamburg münchen muenchen london mutter vater mama
  papa mother father correct horse battery staple correcthorsebatterystaple mein meine mynew new neue neues
`.trim().split(/\s+/).sort((a, b) => b.length - a.length);

/** What is wrong with a passphrase; `known` are texts that everybody knows of its owner: address, organisation. */
export function weakness(passphrase: string, known: readonly string[]): Weakness | undefined {
  const text = passphrase.normalize('NFC');
  const length = Array.from(text).length;
  if (length < SHORTEST) return 'short';
  if (length > LONGEST) return 'long';
  return left(text, known) < ENOUGH ? 'guessable' : undefined;
}

/** How many characters are left, each known piece and each repetition counting as one, spaces as none. */
function left(text: string, known: readonly string[]): number {
  const own = known.flatMap((each) => each.toLowerCase().split(/[^\p{L}\p{N}]+/u)).filter((word) => word.length > 2);
  let rest = plain(text.toLowerCase());
  for (const word of [...own.sort((a, b) => b.length - a.length), ...WORDS]) rest = once(rest, plain(word));
  rest = rest.replace(/\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|(19|20)\d\d|\d{5,}/g, '\u0001');
  for (const row of ROWS) rest = withoutRuns(rest, row);
  // What was seen before adds nothing: halves that repeat, and the same character again.
  rest = rest.replace(/(.{2,}?)\1+/gu, '$1').replace(/(.)\1+/gu, '$1').replace(/[\s\p{P}]+/gu, '');
  const characters = Array.from(rest);
  return Math.min(characters.length, new Set(characters).size * 2);
}

/** The first occurrence counts as one character, further ones as nothing. */
function once(text: string, word: string): string {
  const at = text.indexOf(word);
  if (word.length < 3 || at < 0) return text;
  return text.slice(0, at) + '\u0001' + text.slice(at + word.length).replaceAll(word, '');
}

/** Runs of four and more characters in the order of a row, forwards or backwards, count as one. */
function withoutRuns(text: string, row: string): string {
  let rest = text;
  for (const order of [row, Array.from(row).reverse().join('')]) {
    for (let size = order.length; size >= 4; size -= 1) {
      for (let at = 0; at + size <= order.length; at += 1) rest = rest.replaceAll(order.slice(at, at + size), '\u0001');
    }
  }
  return rest;
}

/** The letters that people write with digits and signs. */
function plain(text: string): string {
  return text.replace(/[@4](?=\p{L})/gu, 'a').replace(/(?<=\p{L})[0](?=\p{L})/gu, 'o').replace(/(?<=\p{L})[1!](?=\p{L})/gu, 'i').replace(/(?<=\p{L})3(?=\p{L})/gu, 'e').replace(/[$](?=\p{L})/gu, 's');
}
