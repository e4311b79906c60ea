import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '..');
const TEMPLATES = join(WEB, '../../templates/portal');
const TEXTS = join(WEB, '../../texts/locales');
const read = (...path) => readFileSync(join(...path), 'utf8');
const sources = readdirSync(join(WEB, 'src')).map((name) => read(WEB, 'src', name)).join('\n');
const templates = readdirSync(TEMPLATES).map((name) => [name, read(TEMPLATES, name).replace(/\{#-?[\s\S]*?#\}/g, '')]);

test('pages name only files that are built', () => {
  for (const [name, template] of templates) {
    for (const [, file] of template.matchAll(/page\.(?:href|integrity)\("([^"]+)"\)/g)) {
      assert.ok(existsSync(join(WEB, 'dist', file)), `${name}: ${file}`);
    }
  }
});

test('every module that a page imports is named on it, so that its integrity is checked and nothing waits in line', () => {
  const imports = (file) => [...read(WEB, 'dist', file).matchAll(/from '\.\/([\w-]+\.js)'/g)].map(([, name]) => name);
  const whole = (file) =>
    templates.find(([name]) => name === file)[1].replace(/\{% include "([^"]+)" %\}/g, (_, included) => whole(included));
  const entries = { pickup: 'pickup', open: 'open', home: 'open', 'sign-in': 'sign-in', account: 'account-page', forgotten: 'forgotten' };
  for (const [template, entry] of Object.entries(entries)) {
    const page = whole(`${template}.html`);
    const reached = new Set([`${entry}.js`]);
    for (const file of reached) for (const next of imports(file)) reached.add(next);
    const named = new Set([...page.matchAll(/page\.integrity\("([^"]+)"\)/g)].map(([, file]) => file));
    assert.deepEqual([...reached].filter((file) => !named.has(file)), [], entry);
    assert.ok(reached.size > 8);
  }
});

test('no inline script or style: the policy of the pages forbids both', () => {
  for (const [name, template] of templates) {
    assert.doesNotMatch(template, /<style|\sstyle=|\son[a-z]+=|javascript:/i, name);
    for (const [tag] of template.matchAll(/<script[^>]*>/g)) assert.match(tag, /src=|type="application\/json"/, name);
  }
});

test('HTML is set from text in one place only', () => {
  const setters = readdirSync(join(WEB, 'src')).filter((name) =>
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc|\beval\b|new Function/.test(read(WEB, 'src', name)),
  );
  assert.deepEqual(setters, ['mail-frame.ts']);
});

test('elements that the modules ask for stand on the pages', () => {
  const ids = new Set(templates.flatMap(([, template]) => [...template.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id)));
  for (const [, id] of sources.matchAll(/(?:element|setText|hidden|people)\('([a-z-]+)'/g)) assert.ok(ids.has(id), id);
});

test('the texts that modules and pages ask for exist, and no others', () => {
  const known = [...read(TEXTS, 'en/texts.ftl').matchAll(/^((?:js|page)-[\w-]+) =/gm)].map(([, key]) => key);
  const literal = [...sources.matchAll(/'([a-z]+(?:-[a-z]+)*)'/g)].map(([, key]) => `js-${key}`);
  const patterns = [...sources.matchAll(/say\(`([^`]+)`/g)].map(([, key]) => new RegExp(`^js-${key.replace(/\$\{[^}]+\}/g, '\\w+')}$`));
  const onPages = templates.flatMap(([, template]) => [...template.matchAll(/t\.(?:get|with)\("([^"]+)"/g)].map(([, key]) => key));
  for (const [, key] of sources.matchAll(/say\('([^']+)'/g)) assert.ok(known.includes(`js-${key}`), key);
  for (const key of onPages) assert.ok(known.includes(key), key);
  for (const key of known) {
    const used = literal.includes(key) || onPages.includes(key) || patterns.some((pattern) => pattern.test(key));
    assert.ok(used || key.startsWith('page-error-'), `nobody asks for ${key}`);
  }
});

test('titles are not written by scripts, because browsers keep them in their history', () => {
  assert.doesNotMatch(sources, /document\.title\s*=|\btitle\.(?:textContent|text)\s*=/);
});
