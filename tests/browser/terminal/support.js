// What the tests of the terminal share: the fixture, and rows in its form.

import { readFileSync } from 'node:fs';

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
