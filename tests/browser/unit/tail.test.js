import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tail } from '../../../web/js/tail.js';

const entries = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => ({ offset: from + index, line: from + index }));
const filled = (limit, to) => {
  const tail = new Tail(limit);
  const overflowed = entries(1, to).map((entry) => tail.push(entry));
  return { tail, overflowed };
};

test('entries come out in the order in which they came in', () => {
  const { tail } = filled(10, 6);
  assert.deepEqual(tail.take(2).map((entry) => entry.offset), [1, 2]);
  assert.deepEqual(tail.take(99).map((entry) => entry.offset), [3, 4, 5, 6]);
  assert.equal(tail.size, 0);
  assert.equal(tail.first, undefined);
});

test('the oldest goes when it is full, and that is told', () => {
  const { tail, overflowed } = filled(3, 5);
  assert.deepEqual(overflowed, [false, false, false, true, true]);
  assert.equal(tail.size, 3);
  assert.equal(tail.first.offset, 3);
});

test('what is shown already is dropped by offset', () => {
  const { tail } = filled(10, 6);
  tail.dropThrough(4);
  assert.equal(tail.first.offset, 5);
  tail.dropThrough(undefined);
  assert.equal(tail.size, 2);
});

test('the first line is that of the first log line', () => {
  const tail = new Tail(10);
  tail.push({ offset: 1, kind: 'status' });
  assert.equal(tail.firstLine, undefined);
  tail.push({ offset: 2, line: 7 });
  assert.equal(tail.firstLine, 7);
});

test('it keeps its bound over many entries', () => {
  const { tail } = filled(100, 10_000);
  assert.equal(tail.size, 100);
  assert.deepEqual(tail.take(100).map((entry) => entry.offset), entries(9_901, 10_000).map((entry) => entry.offset));
});
