import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Terminals } from '../../../web/js/log/terminals.js';
import { fixtureRow } from './support.js';

const line = (workerId, message) => ({ kind: 'log', workerId, message });
const texts = ({ shown }) => shown.rows.map((row) => fixtureRow(row.spans()));

test('a style lasts over a worker\'s lines, and other workers are untouched', () => {
  const terminals = new Terminals();
  assert.deepEqual(texts(terminals.write(line('a', '\x1b[31mpanic'))), [[['panic', 'fg=1']]]);
  assert.deepEqual(texts(terminals.write(line('b', 'plain'))), ['plain']);
  assert.deepEqual(texts(terminals.write(line('a', 'frame\x1b[0m'))), [[['frame', 'fg=1']]]);
  assert.deepEqual(texts(terminals.write(line('a', 'next'))), ['next']);
});

test('a page that begins in the middle has the style of the lines before it', () => {
  const terminals = new Terminals([line('a', '\x1b[31mpanic'), line('b', 'plain')]);
  assert.deepEqual(texts(terminals.write(line('a', 'frame'))), [[['frame', 'fg=1']]]);
});

test('a row of the context that is written in is a row of the line that does', () => {
  const terminals = new Terminals([line('a', 'one: 0'), line('a', 'two: 0')]);
  const update = terminals.write(line('a', '\x1b[2A\x1b[2Kone: 1'));
  assert.deepEqual([texts(update), update.changed.size], [['one: 1'], 0]);
  const again = terminals.write(line('a', '\x1b[1A\x1b[2Kone: 2'));
  assert.deepEqual([...again.changed], [update.shown]);
});

test('lines fit behind others when they began as these end', () => {
  const page = new Terminals();
  page.write(line('a', 'frame\x1b[0m'));
  page.write(line('b', 'x'));
  const ends = (...messages) => {
    const before = new Terminals();
    for (const message of messages) before.write(line('a', message));
    return before.isFollowedBy(page.beginning);
  };
  assert.ok(ends('plain'));
  assert.ok(ends('\x1b[31mpanic', '\x1b[0m'));
  assert.ok(!ends('\x1b[31mpanic'));
  page.write(line('b', '\x1b[2A\x1b[2Kabove'));
  assert.ok(!ends('plain'));
});
