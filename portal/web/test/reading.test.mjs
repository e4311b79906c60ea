import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mailFile } from '../dist/eml.js';
import { digitsOf } from '../dist/code-entry.js';
import { pieces } from '../dist/plain-text.js';
import { safeName } from '../dist/save.js';
import { parseSlip } from '../dist/slip.js';
import { bytes } from './gateway.mjs';

test('codes as people type and paste them', () => {
  for (const text of ['12345678', '1234 5678', ' 1234-5678\n', 'Code: 1234\u00a05678', '１２３４５６７８', '١٢٣٤٥٦٧٨', '१२३४५६७८']) {
    assert.equal(digitsOf(text), '12345678', text);
  }
  assert.equal(digitsOf('O123'), '123');
});

test('web addresses in plain text, and nothing else, become links', () => {
  const table = [
    ['see https://a.example/x.', ['https://a.example/x']],
    ['(https://a.example/b_(c)), then', ['https://a.example/b_(c)']],
    ['<http://a.example/?q=1&r=2>', ['http://a.example/?q=1&r=2']],
    ['https://a.example https://b.example', ['https://a.example', 'https://b.example']],
    ['javascript:alert(1) data:text/html,x file:///etc/passwd', []],
    ['https://bank.example@evil.example/', []],
    ['https://', []],
    ['https://a.example/\u202egpj.exe', ['https://a.example/']],
    ['"https://a.example/" onmouseover=x', ['https://a.example/']],
  ];
  for (const [text, links] of table) {
    const found = pieces(text);
    assert.equal(found.map((piece) => piece.text).join(''), text);
    assert.deepEqual(found.filter((piece) => piece.link).map((piece) => piece.text), links, text);
  }
});

test('names of files are safe on every system', () => {
  const table = [
    ['Befund ä.pdf', 'Befund ä.pdf'],
    ['../../etc/passwd', '_.._etc_passwd'],
    ['C:\\Windows\\x.exe', 'C__Windows_x.exe'],
    ['fdp.\u202eexe', 'fdp.exe'],
    ['a\u0000b\r\nc.txt', 'abc.txt'],
    ['CON', '_CON'],
    ['nul.txt', '_nul.txt'],
    ['.htaccess', 'htaccess'],
    ['name. . ', 'name'],
    ['', 'other'],
    ['...', 'other'],
    [`${'x'.repeat(300)}.pdf`, `${'x'.repeat(116)}.pdf`],
  ];
  for (const [name, safe] of table) assert.equal(safeName(name, 'other'), safe, JSON.stringify(name));
});

const slip = (change) =>
  parseSlip(
    bytes(
      JSON.stringify({
        is: 'sealpost/v1/slip', letter: 'x', conversation: 'y', for: [], cc: [], date: 1_790_000_000, subject: 'Ihr Befund: ä€ 😀 und noch viel mehr Text',
        from: [{ name: 'Weber, Anna', address: 'anna@klinik.example' }], to: [{ name: '', address: 'maria@patient.example' }],
        expires: 1, organisation: '', parts: [
          { n: 0, kind: 'body', name: '', type: 'text/html', size: 1, sha256: '' },
          { n: 1, kind: 'body', name: '', type: 'text/plain', size: 1, sha256: '' },
          { n: 2, kind: 'enclosure', name: "Bild 'ä'.png", type: 'image/png', size: 1, sha256: '' },
        ], ...change,
      }),
    ),
  );

test('the mail file: what was opened, well-formed', () => {
  const read = slip({});
  const contents = ['<p>ä</p>', 'ä\r\n', 'PNG'].map(bytes);
  const file = Buffer.from(mailFile(read, read.parts.map((part, n) => ({ part, bytes: contents[n] })))).toString('latin1');
  assert.match(file, /^From: =\?utf-8\?B\?V2ViZXIsIEFubmE=\?= <anna@klinik.example>\r\nTo: <maria@patient.example>\r\nDate: Mon, 21 Sep 2026 14:13:20 \+0000\r\n/);
  const words = [.../=\?utf-8\?B\?([^?]*)\?=/g[Symbol.matchAll](file.slice(file.indexOf('Subject:'), file.indexOf('Message-ID:')))];
  assert.equal(words.map(([, word]) => Buffer.from(word, 'base64').toString()).join(''), read.subject);
  assert.ok(file.indexOf('text/plain') < file.indexOf('text/html'), 'the richest form comes last');
  assert.match(file, /filename\*=utf-8''Bild%20%27%C3%A4%27\.png\r\n/);
  assert.ok(file.includes(Buffer.from('PNG').toString('base64')));
  assert.ok(file.split('\r\n').every((line) => line.length <= 78 && !/[\r\n]/.test(line)));
});

test('the mail file: nothing in a slip can write fields of its own', () => {
  const evil = slip({
    subject: 'a\r\nBcc: x@evil.example',
    from: [{ name: 'a\r\nX: y', address: 'a@b\r\nX-Evil: 1' }],
    parts: [{ n: 0, kind: 'enclosure', name: 'a"\r\nX-Evil: 1', type: 'text/html\r\nX-Evil: 1', size: 1, sha256: '' }],
  });
  const file = Buffer.from(mailFile(evil, [{ part: evil.parts[0], bytes: bytes('x') }])).toString();
  assert.doesNotMatch(file, /^(Bcc|X|X-Evil):/m);
});
