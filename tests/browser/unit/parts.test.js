import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinParts, PartJoiner } from '../../../web/js/log/parts.js';

const part = (offset, line, number, parts, message) => ({ offset, line, part: number, parts, message, kind: 'log' });
const whole = (offset, line, message) => ({ offset, line, message, kind: 'log' });

test('the parts of a line become one entry with the offset of the last', () => {
  const joined = joinParts([whole(1, 1, 'a'), part(2, 2, 1, 3, 'x'), part(3, 2, 2, 3, 'y'), part(4, 2, 3, 3, 'z'), whole(5, 3, 'b')]);
  assert.deepEqual(joined.map(({ offset, line, message }) => [offset, line, message]), [[1, 1, 'a'], [4, 2, 'xyz'], [5, 3, 'b']]);
});

test('a line whose other parts do not come is shown before the next entry', () => {
  const joiner = new PartJoiner();
  assert.deepEqual(joiner.push(part(1, 1, 1, 2, 'begun')), []);
  const gap = { kind: 'gap', offset: 2 };
  assert.deepEqual(joiner.push(gap).map((entry) => entry.message ?? entry.kind), ['begun', 'gap']);
  assert.deepEqual(joiner.push(part(3, 2, 2, 2, 'without a head')).map((entry) => entry.message), ['without a head']);
  joiner.push(part(4, 3, 1, 2, 'rest'));
  assert.deepEqual(joiner.flush().map((entry) => entry.message), ['rest']);
  assert.deepEqual(joiner.flush(), []);
});

test('entries without parts pass as they are', () => {
  const entries = [whole(1, 1, 'a'), { kind: 'status', offset: 2 }];
  assert.equal(joinParts(entries), entries);
});
