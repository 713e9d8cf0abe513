import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { test } from 'node:test';

const FOLDER = new URL('../../../web/js/', import.meta.url);
const IMPORT = /^import .* from '(\.\.?\/.+)';$/gm;
const MOST_LINES = 400;

const names = (await readdir(FOLDER, { recursive: true })).filter((name) => name.endsWith('.js'));
const texts = new Map(await Promise.all(names.map(async (name) => [name, await readFile(new URL(name, FOLDER), 'utf8')])));
const importsOf = (name) => [...texts.get(name).matchAll(IMPORT)].map(([, imported]) => posix.join(posix.dirname(name), imported));

/** The first circle of imports that is reached from `name`, or null. */
function circleFrom(name, path = []) {
  if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
  for (const imported of importsOf(name)) {
    const circle = circleFrom(imported, [...path, name]);
    if (circle) return circle;
  }
  return null;
}

test('no module of the viewer imports itself, directly or through others', () => {
  for (const name of names) assert.equal(circleFrom(name)?.join(' → '), undefined);
});

test('every module is reached from the page', () => {
  const reached = new Set(['main.js']);
  for (const name of reached) importsOf(name).forEach((imported) => reached.add(imported));
  assert.deepEqual([...reached].sort(), names.sort());
});

test('every module is short', () => {
  for (const [name, text] of texts) assert.ok(text.split('\n').length <= MOST_LINES, name);
});
