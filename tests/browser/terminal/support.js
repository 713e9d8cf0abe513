// What the tests of the terminal share: the fixture, and rows in its form.

import { readFileSync } from 'node:fs';
import { Screen } from '../../../web/js/terminal/screen.js';

export const fixture = JSON.parse(readFileSync(new URL('../../fixtures/terminal.json', import.meta.url), 'utf8'));

/** A row as the fixture has it: its text, or its spans. */
export function fixtureRow(spans) {
  const isPlain = spans.every(({ style, link }) => style === null && link === null);
  if (isPlain) return spans.map(({ text }) => text).join('');
  return spans.map(({ text, style, link }) => {
    if (link !== null) return [text, style?.key ?? '', link];
    return style === null ? text : [text, style.key];
  });
}

/** What each message of a worker shows by itself, with the style that the one before it left. */
export function shownAlone(messages) {
  let style = null;
  return messages.map((message) => {
    const screen = new Screen();
    screen.write(sequenceOf(style));
    screen.begin();
    const { rows } = screen.write(message).shown;
    ({ style } = screen);
    return rows.length > 0 ? rows.map((row) => fixtureRow(row.spans())) : [''];
  });
}

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

/** Random numbers of a seed: equal seeds give equal tests (mulberry32). */
export function randomOf(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(next() * limit);
  return { below, oneOf: (list) => list[below(list.length)] };
}
