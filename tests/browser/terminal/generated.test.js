// The fixture of generated messages, by which the Rust side is held against this one, and so against xterm.js.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { messagesOf } from './generator.js';
import { shownAlone } from './support.js';

const FILE = new URL('../../fixtures/terminal-generated.json', import.meta.url);
const SEEDS = 120;

/** One case a line. Rows that only fill the screen are left out. */
function generated() {
  const cases = [];
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const messages = messagesOf(seed).filter((message) => !/^row \d+$/.test(message));
    cases.push(JSON.stringify({ name: `seed ${seed}`, messages, shows: shownAlone(messages) }));
  }
  return `{ "cases": [\n${cases.join(',\n')}\n] }\n`;
}

test('the fixture of generated messages says what the viewer shows (OTTO_WRITE_GENERATED=1 writes it)', () => {
  if (process.env.OTTO_WRITE_GENERATED) writeFileSync(FILE, generated());
  assert.equal(readFileSync(FILE, 'utf8'), generated());
});
