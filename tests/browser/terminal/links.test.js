import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withLinks } from '../../../web/js/terminal/links.js';

const span = (text, style = null, link = null) => ({ text, style, link });
const linksIn = (text) => withLinks([span(text)]).filter(({ link }) => link !== null).map(({ text: shown, link }) => [shown, link]);
const BOLD = { bold: true, key: 'bold' };

test('http and https addresses become links, and no others', () => {
  assert.deepEqual(linksIn('see https://example.org/a?b=c#d and HTTP://x.org, not ftp://x.org or javascript:alert(1)'), [
    ['https://example.org/a?b=c#d', 'https://example.org/a?b=c#d'],
    ['HTTP://x.org', 'HTTP://x.org'],
  ]);
  assert.deepEqual(linksIn('xhttp://a.org http:// https://'), []);
});

test('what a sentence puts behind an address is not part of it', () => {
  for (const [text, address] of [
    ['(https://x.org/a)', 'https://x.org/a'], ['https://x.org/a_(b)', 'https://x.org/a_(b)'], ['https://x.org.', 'https://x.org'],
    ['[https://x.org/a]', 'https://x.org/a'], ['"https://x.org"', 'https://x.org'], ['<https://x.org>!', 'https://x.org'], ['https://x.org/a),', 'https://x.org/a'],
  ]) assert.deepEqual(linksIn(text), [[address, address]], text);
});

test('an address in several styles is one link', () => {
  assert.deepEqual(withLinks([span('at http'), span('s://x.org', BOLD), span('/a b')]), [
    span('at '), span('http', null, 'https://x.org/a'), span('s://x.org', BOLD, 'https://x.org/a'), span('/a', null, 'https://x.org/a'), span(' b'),
  ]);
});

test('a link that the row has stays, and text without an address is as it was', () => {
  const linked = [span('https://x.org', null, 'https://y.org'), span(' a')];
  assert.deepEqual(withLinks(linked), linked);
  const plain = [span('a'), span('b', BOLD)];
  assert.equal(withLinks(plain), plain);
});

test('a row of nothing but addresses and brackets takes linear time', () => {
  const start = performance.now();
  linksIn('https://x.org/'.repeat(4000));
  linksIn(`https://x.org/${')'.repeat(60_000)}`);
  linksIn('http://'.repeat(9000));
  assert.ok(performance.now() - start < 2000, `${performance.now() - start} ms`);
});
