import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, bytes, clock, count, plural, shortId } from '../../../web/js/format.js';

const NOW = Date.parse('2026-11-23T12:00:00Z');

test('times are shown relative to now', () => {
  const shown = (time) => ago(time, NOW);
  assert.equal(shown('2026-11-23T11:59:59Z'), 'now');
  assert.equal(shown('2026-11-23T11:59:20Z'), '40 s ago');
  assert.equal(shown('2026-11-23T11:05:00Z'), '55 min ago');
  assert.equal(shown('2026-11-22T13:00:00Z'), '23 h ago');
  assert.equal(shown('2026-11-20T12:00:00Z'), '3 d ago');
  assert.equal(shown('2026-11-23T12:00:30Z'), 'now');
  assert.equal(shown('yesterday'), '');
});

test('an unreadable time of day is shown as it was sent', () => {
  assert.equal(clock('half past nine'), 'half past nine');
  assert.match(clock('2026-11-23T12:34:56.789Z'), /^\d\d:\d\d:56\.789$/);
});

test('sizes and counts are short', () => {
  assert.equal(bytes(0), '0 B');
  assert.equal(bytes(1536), '1.5 KiB');
  assert.equal(bytes(300 * 1024 * 1024), '300 MiB');
  assert.equal(count(1234567), '1,234,567');
  assert.equal(plural(1, 'line'), '1 line');
  assert.equal(plural(2, 'line'), '2 lines');
});

test('a long id keeps its end', () => {
  assert.equal(shortId('otto-agent-task-12', 18), 'otto-agent-task-12');
  assert.equal(shortId('otto-agent-build-frontend-12', 12), '…frontend-12');
});
