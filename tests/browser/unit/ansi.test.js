import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAnsi, stripAnsi } from '../../../web/js/ansi.js';

const styleOf = (line) => parseAnsi(line)[0]?.style;

test('plain text is one segment without a style', () => {
  assert.deepEqual(parseAnsi('hello <b>'), [{ text: 'hello <b>', style: null }]);
  assert.deepEqual(parseAnsi(''), []);
});

test('a colour lasts until it is reset', () => {
  assert.deepEqual(parseAnsi('\x1b[1;32m   Compiling\x1b[0m serde'), [
    { text: '   Compiling', style: { bold: true, fg: 2 } },
    { text: ' serde', style: null },
  ]);
});

test('sixteen colours, bright ones too, reach text and background', () => {
  assert.deepEqual(styleOf('\x1b[31;44mx'), { fg: 1, bg: 4 });
  assert.deepEqual(styleOf('\x1b[97;100mx'), { fg: 15, bg: 8 });
});

test('256 colours are named below 16, then a cube, then greys', () => {
  assert.deepEqual(styleOf('\x1b[38;5;9mx'), { fg: 9 });
  assert.deepEqual(styleOf('\x1b[38;5;208mx'), { fg: 'rgb(255, 135, 0)' });
  assert.deepEqual(styleOf('\x1b[48;5;232mx'), { bg: 'rgb(8, 8, 8)' });
});

test('true colour is read with semicolons and with colons', () => {
  assert.deepEqual(styleOf('\x1b[38;2;1;2;3mx'), { fg: 'rgb(1, 2, 3)' });
  assert.deepEqual(styleOf('\x1b[38:2::1:2:3mx'), { fg: 'rgb(1, 2, 3)' });
  assert.deepEqual(styleOf('\x1b[48:2:1:2:3mx'), { bg: 'rgb(1, 2, 3)' });
  assert.deepEqual(styleOf('\x1b[38;2;1;2;3;1mx'), { fg: 'rgb(1, 2, 3)', bold: true });
});

test('flags go on and off one by one', () => {
  assert.deepEqual(styleOf('\x1b[1;2;3;4;7;9mx'), { bold: true, dim: true, italic: true, underline: true, inverse: true, strike: true });
  assert.deepEqual(styleOf('\x1b[1;3;4m\x1b[22;23mx'), { underline: true });
  assert.deepEqual(styleOf('\x1b[4:3mx'), { underline: true });
  assert.equal(styleOf('\x1b[4m\x1b[4:0mx'), null);
  assert.equal(styleOf('\x1b[31;41m\x1b[39;49mx'), null);
  assert.equal(styleOf('\x1b[1m\x1b[mx'), null);
});

test('values outside a colour are ignored', () => {
  for (const sgr of ['38;5;256', '38;2;1;2', '38;2;256;0;0', '38', '999']) assert.equal(styleOf(`\x1b[${sgr}mx`), null, sgr);
});

test('other escape sequences are dropped', () => {
  for (const escape of ['\x1b[2K', '\x1b[1;1H', '\x1b[?25l', '\x1b]0;title\x07', '\x1b]8;;https://x\x1b\\', '\x1bP1$q\x1b\\', '\x1b(B', '\x1bM', '\x9b1m', '\x9d0;t\x9c']) {
    assert.equal(stripAnsi(`a${escape}b`), 'ab', JSON.stringify(escape));
  }
});

test('an unfinished sequence at the end of a line is dropped', () => {
  for (const escape of ['\x1b', '\x1b[', '\x1b[3', '\x1b]0;title']) assert.doesNotMatch(stripAnsi(`a${escape}`), /\x1b/, JSON.stringify(escape));
});

test('other control characters become visible, tabs stay', () => {
  assert.equal(stripAnsi('50%\tx\x00\x7f\x08'), '50%\tx␀␡␈');
});

test('a line that carriage returns rewrite shows its last text', () => {
  assert.equal(stripAnsi('10%\r50%\r100%\r'), '100%');
  assert.equal(stripAnsi('a Windows line end\r'), 'a Windows line end');
  assert.equal(stripAnsi('\r\r'), '');
  assert.equal(stripAnsi('windows line\r'), 'windows line');
});

test('a megabyte of escapes is parsed in linear time', () => {
  const start = performance.now();
  parseAnsi('\x1b['.repeat(500_000));
  parseAnsi('\x1b]'.repeat(500_000));
  parseAnsi('\x1b[1'.repeat(300_000));
  parseAnsi(`\x1b[${'1;'.repeat(500_000)}m`);
  assert.ok(performance.now() - start < 5000);
});
