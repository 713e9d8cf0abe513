import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Screen } from '../../../web/js/terminal/screen.js';
import { widthOf } from '../../../web/js/terminal/widths.js';
import { fixture, fixtureRow, randomOf } from './support.js';

const shown = (rows) => rows.map((row) => fixtureRow(row.spans()));
const texts = (rows) => rows.map((row) => row.spans().map(({ text }) => text).join(''));

/** Text that sets `style`. */
function sequenceOf(style) {
  const codes = { bold: 1, dim: 2, italic: 3, underline: 4, inverse: 7, strike: 9 };
  const flags = Object.keys(codes).filter((flag) => style?.[flag]).map((flag) => codes[flag]);
  const colours = [['fg', 38], ['bg', 48]].filter(([layer]) => style?.[layer] !== undefined).map(([layer, code]) => {
    const colour = style[layer];
    if (typeof colour === 'number') return `${code};5;${colour}`;
    return `${code};2;${colour.slice(1).match(/../g).map((part) => Number.parseInt(part, 16)).join(';')}`;
  });
  return `\x1b[${[0, ...flags, ...colours].join(';')}m`;
}

for (const { name, messages, shows, screen = shows.flat() } of fixture.cases) {
  test(`the fixture: ${name}`, () => {
    const whole = new Screen();
    for (const [at, message] of messages.entries()) {
      const alone = new Screen();
      alone.write(sequenceOf(whole.style));
      alone.begin();
      const { rows } = alone.write(message).shown;
      assert.deepEqual(rows.length > 0 ? shown(rows) : [''], shows[at], JSON.stringify(message));
      whole.write(message);
    }
    assert.deepEqual(shown(whole.rows), screen);
  });
}

test('characters are as wide as the fixture says', () => {
  const widths = new Map();
  for (const [first, last, width] of fixture.widths) for (let code = first; code <= last; code += 1) widths.set(code, width);
  const isControl = (code) => code < 0x20 || (code >= 0x7f && code < 0xa0);
  const isSurrogate = (code) => code >= 0xd800 && code < 0xe000;
  for (let code = 0; code <= 0x10ffff; code += 1) {
    if (!isControl(code) && !isSurrogate(code)) assert.equal(widthOf(code), widths.get(code) ?? 1, code.toString(16));
  }
});

test('a message has rows of its own, and says which lines of others it changed', () => {
  const screen = new Screen();
  const first = screen.write('one: 0').shown;
  const second = screen.write('two: 0').shown;
  const update = screen.write('\x1b[2A\x1b[2Kone: 1\n\x1b[2Ktwo: 1');
  assert.deepEqual(update.shown.rows, []);
  assert.deepEqual([...update.changed], [first, second]);
  assert.deepEqual([texts(first.rows), texts(second.rows)], [['one: 1'], ['two: 1']]);
  assert.equal(screen.hasReachedUp, false);
});

test('three lines that are drawn anew forty times are three rows', () => {
  const screen = new Screen();
  const lines = ['a: 0', 'b: 0', 'c: 0'].map((message) => screen.write(message).shown);
  for (let turn = 1; turn <= 40; turn += 1) {
    for (const [at, name] of ['a', 'b', 'c'].entries()) {
      const { shown: own, changed } = screen.write(`${at === 0 ? '\x1b[3A' : ''}\x1b[2K${name}: ${turn}`);
      assert.equal(own.rows.length, 0);
      assert.deepEqual([...changed], [lines[at]]);
    }
  }
  assert.deepEqual(texts(screen.rows), ['a: 40', 'b: 40', 'c: 40']);
});

test('the cursor reaches fifty rows up and no further', () => {
  const screen = new Screen();
  for (let line = 1; line <= 60; line += 1) screen.write(`line ${line}`);
  const { changed } = screen.write('\x1b[99A\x1b[2Kx');
  assert.equal(changed.size, 1);
  assert.deepEqual(texts(screen.rows).slice(0, 3), ['x', 'line 13', 'line 14']);
});

test('rows that were let go belong to whoever writes in them next', () => {
  const screen = new Screen();
  screen.write('gone');
  screen.write('kept');
  screen.begin();
  const { shown: own, changed } = screen.write('\x1b[2A\x1b[2Knew');
  assert.equal(changed.size, 0);
  assert.deepEqual(texts(own.rows), ['new']);
  assert.equal(screen.hasReachedUp, true);
});

test('an unfinished message changes nothing until it is finished', () => {
  const screen = new Screen();
  const first = screen.write('\x1b[32mone: 0').shown;
  const preview = screen.preview('\x1b[1A\x1b[2Kone: 1\n\x1b[31mtwo');
  assert.deepEqual(shown(preview.rows), [[['two', 'fg=1']]]);
  assert.deepEqual([...preview.changed].map(([other, rows]) => [other, shown(rows)]), [[first, [[['one: 1', 'fg=2']]]]]);
  assert.deepEqual(shown(screen.rows), [[['one: 0', 'fg=2']]]);
  assert.deepEqual(shown(screen.write('next').shown.rows), [[['next', 'fg=2']]]);
});

test('a progress bar of 2,000 steps is its last one', () => {
  const bar = Array.from({ length: 2001 }, (_, step) => `\r[${'#'.repeat(step / 50).padEnd(40)}] ${step}/2000`).join('');
  assert.deepEqual(texts(new Screen().write(bar).shown.rows), [`[${'#'.repeat(40)}] 2000/2000`]);
});

test('a megabyte of any sequence costs bounded time', () => {
  const start = performance.now();
  const long = 'x'.repeat(2000);
  for (const piece of ['\x1b[', '\x1b]', '\x1b[1', '1;', '\x1b[1K\x1b[999C', '\x1b[999Ca\n', '\x1b[999Ca\x1b[2K', 'a\x1b[999@\x1b[P', '\x1b[49A\x1b[49B', '\bx\t', '\x1b[31m', long]) {
    const message = piece.repeat(1_000_000 / piece.length);
    for (const text of [message, `${long}\b${message}`, `x\b${message}`]) {
      const characters = texts(new Screen().write(text).shown.rows).join('').length;
      assert.ok(characters <= 2_000_000, `${JSON.stringify(piece)} makes ${characters} characters`);
    }
  }
  assert.ok(performance.now() - start < 60_000);
});

test('no control character is left, whatever a message has', () => {
  const pieces = ['\x1b', '[', ']', '8;;', 'P', '0', ';', '?', 'm', 'K', 'A', 'H', 'a', '漢', '\r', '\n', '\b', '\t', '\x07', '\\', '\x9b', '\x90', '\u0301', '\x00'];
  for (let seed = 1; seed <= 3000; seed += 1) {
    const random = randomOf(seed);
    const message = Array.from({ length: random.below(40) }, () => random.oneOf(pieces)).join('');
    const text = texts(new Screen().write(message).shown.rows).join('\n');
    assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f-\x9f]/, JSON.stringify(message));
  }
});
