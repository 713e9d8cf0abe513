// The model against an independent terminal: the fixture, and generated input.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextTabStop } from '../../../web/js/terminal/row.js';
import { Screen } from '../../../web/js/terminal/screen.js';
import { widthOf } from '../../../web/js/terminal/widths.js';
import { messagesOf } from './generator.js';
import { fixture } from './support.js';
import { ROWS, Xterm } from './xterm.js';

const SEEDS = 3000;

/**
 * Where the model differs on purpose, or xterm.js differs from other terminals. A message that one of these applies to, and
 * whatever follows it, is not compared.
 */
const DIFFERENCES = [
  {
    name: 'the screen is not the log\'s',
    reason: 'clearing the screen, or going to a row by its number, would destroy lines of the log',
    applies: (message) => /\x1b\[[0-9;]*[Hfdr]|\x1b\[[123]J|\x1bc/.test(message),
  },
  {
    name: 'numbers outside a colour',
    reason: 'xterm.js takes 0 for a number that is missing and cuts one that is too large; the model ignores the colour',
    applies: (message) => /\x1b\[38m|;256|;999/.test(message) || /38;5m/.test(message),
  },
  {
    name: 'a colour without its space',
    reason: 'xterm.js takes the first of three subparameters for the colour space, which many programs leave out; xterm does not',
    applies: (message) => /[34]8:2:\d+:\d+:\d+(?!\d*:)/.test(message),
  },
  {
    name: 'a cursor that an earlier message saved',
    reason: 'a message is also shown by itself, and then nobody knows where that was',
    applies: (message) => /^(?:(?!\x1b(?:7|\[s)).)*\x1b(?:8|\[\d*u)/s.test(message),
  },
  {
    name: 'newer characters',
    reason: 'xterm.js has the widths of Unicode 6 unless an addon is loaded; the model those of today',
    applies: (message) => /\p{Emoji_Presentation}|\u200d/u.test(message),
  },
];

/** A row of the model as xterm.js has it: a list of characters with the marks that belong to them. */
function cellsOf(row) {
  const cells = [];
  let column = 0;
  for (const { text, style } of row.spans()) {
    for (const character of text) {
      const width = character === '\t' ? nextTabStop(column) - column : widthOf(character.codePointAt(0));
      if (width === 0) cells.at(-1).text += character;
      else if (character === '\t') cells.push(...Array.from({ length: width }, () => ({ text: '', style: '' })));
      else cells.push({ text: character, style: style?.key ?? '' });
      column += width;
    }
  }
  return cells.slice(0, cells.findLastIndex(({ text }) => text !== '') + 1);
}

/** What nothing was written in looks like a space, and has no style: erasing with a background paints only in xterm.js. */
function asSeen({ text, style }) {
  return text === '' ? ' ' : style === '' ? text : `${text}{${style}}`;
}

/** Blanks at a row's end are not seen. */
function seen(cells) {
  return cells.map(asSeen).join('').replace(/ +$/, '');
}

/** Compares after each message; returns the names of the differences that kept it from comparing. */
async function compare(messages, name) {
  const [screen, terminal] = [new Screen(), new Xterm()];
  try {
    for (const message of messages) {
      const difference = DIFFERENCES.find(({ applies }) => applies(message));
      if (difference) return difference.name;
      screen.write(message);
      await terminal.write(message);
      if (/^row \d+$/.test(message)) continue;
      const rows = screen.allRows.map((row) => seen(cellsOf(row)));
      const expected = terminal.rows().map(seen);
      const blank = Array(ROWS - rows.length).fill('');
      const wrong = [...blank, ...rows].findIndex((row, at) => row !== expected[at]);
      if (wrong >= 0) assert.equal([...blank, ...rows][wrong], expected[wrong], `${name}, row ${wrong - ROWS} after ${JSON.stringify(messages.slice(0, messages.indexOf(message) + 1))}`);
    }
    return null;
  } finally {
    terminal.dispose();
  }
}

test('the fixture says what xterm.js shows', { timeout: 60_000 }, async () => {
  for (const { name, messages } of fixture.cases) await compare(messages, name);
});

test('generated messages are shown as xterm.js shows them', { timeout: 300_000 }, async () => {
  const explained = new Map();
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const difference = await compare(messagesOf(seed), `seed ${seed}`);
    if (difference) explained.set(difference, (explained.get(difference) ?? 0) + 1);
  }
  const total = [...explained.values()].reduce((sum, count) => sum + count, 0);
  assert.ok(total < SEEDS / 10, `${total} of ${SEEDS} are not compared to their end: ${JSON.stringify([...explained])}`);
});
