import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveQueue } from '../../../web/js/log/live_queue.js';

const entries = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => ({ offset: from + index, line: from + index }));
const filled = (limit, to) => {
  const queue = new LiveQueue(limit);
  const dropped = entries(1, to).map((entry) => queue.push(entry));
  return { queue, dropped };
};

test('entries come out in the order in which they came in', () => {
  const { queue } = filled(10, 6);
  assert.deepEqual(queue.take(2).map((entry) => entry.offset), [1, 2]);
  assert.deepEqual(queue.take(99).map((entry) => entry.offset), [3, 4, 5, 6]);
  assert.equal(queue.size, 0);
  assert.equal(queue.first, undefined);
});

test('a full queue drops its oldest entry and says so', () => {
  const { queue, dropped } = filled(3, 5);
  assert.deepEqual(dropped, [false, false, false, true, true]);
  assert.equal(queue.size, 3);
  assert.equal(queue.first.offset, 3);
});

test('entries that are shown already are dropped by offset', () => {
  const { queue } = filled(10, 6);
  queue.dropThrough(4);
  assert.equal(queue.first.offset, 5);
  queue.dropThrough(undefined);
  assert.equal(queue.size, 2);
});

test('the first line number is that of the first log line', () => {
  const queue = new LiveQueue(10);
  queue.push({ offset: 1, kind: 'status' });
  assert.equal(queue.firstLine, undefined);
  queue.push({ offset: 2, line: 7 });
  assert.equal(queue.firstLine, 7);
});

test('the limit holds over many entries', () => {
  const { queue } = filled(100, 10_000);
  assert.equal(queue.size, 100);
  assert.deepEqual(queue.take(100).map((entry) => entry.offset), entries(9_901, 10_000).map((entry) => entry.offset));
});
