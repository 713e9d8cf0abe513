import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiUrl } from '../../../web/js/api.js';
import { formatKeywords, keywordValues, parseKeywords } from '../../../web/js/keywords.js';

test('commas separate keywords, and quotes keep one that has a comma', () => {
  const cases = {
    '': [],
    ' , ,': [],
    'one, two words ,three': ['one', 'two words', 'three'],
    '"3, found"': ['3, found'],
    ' "3, found" , error': ['3, found', 'error'],
    'error,"3, found"': ['error', '3, found'],
    '"say ""no"", now"': ['say "no", now'],
    'say "no"': ['say "no"'],
    '"no end, here': ['"no end', 'here'],
    '"a" b, c': ['"a" b', 'c'],
  };
  for (const [text, keywords] of Object.entries(cases)) assert.deepEqual(parseKeywords(text), keywords, text);
});

test('keywords become the text that means them', () => {
  for (const keywords of [[], ['a', 'b c'], ['3, found'], ['x', '"quoted', 'a "b", c', '""']]) {
    assert.deepEqual(parseKeywords(formatKeywords(keywords)), keywords);
  }
  assert.equal(formatKeywords(['3, found', 'error']), '"3, found", error');
});

test('each keyword is a parameter of its own, and one alone is not split', () => {
  const url = (text) => apiUrl(['stream', 't'], { level: '', keywords: keywordValues(parseKeywords(text)), tail: 5 });
  assert.equal(url('"3, found"'), '/api/v1/log-streaming/stream/t?keywords=3%2C+found&keywords=&tail=5');
  assert.equal(url('a, b'), '/api/v1/log-streaming/stream/t?keywords=a&keywords=b&tail=5');
  assert.equal(url('a'), '/api/v1/log-streaming/stream/t?keywords=a&tail=5');
  assert.equal(url(''), '/api/v1/log-streaming/stream/t?tail=5');
});
