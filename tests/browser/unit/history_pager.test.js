import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistoryPager } from '../../../web/js/log/history_pager.js';

const linesOf = (...numbers) => numbers.map((line) => ({ kind: 'log', line }));
const shape = (entries) => entries.map((entry) => (entry.kind === 'gap' ? `${entry.lines} missing` : entry.line));

function pagerOf(lines) {
  const queries = [];
  const loadPage = async (query) => {
    queries.push(query);
    return { lines, totalLines: 5000 };
  };
  return { pager: new HistoryPager(loadPage, assert.fail), queries };
}

test('a gap marker is put wherever lines are missing', async () => {
  const { pager } = pagerOf(linesOf(3, 4, 8));
  assert.deepEqual(shape(await pager.first()), [3, 4, '3 missing', 8]);
  assert.deepEqual(shape(await pager.after(1)), ['1 missing', 3, 4, '3 missing', 8]);
});

test('a page before a line marks a gap right before that line', async () => {
  const { pager } = pagerOf(linesOf(3, 4));
  const { entries, isStart } = await pager.before(7);
  assert.deepEqual(shape(entries), [3, 4, '2 missing']);
  assert.equal(isStart, false);
});

test('where the server keeps nothing before a line, all lines before it are marked as missing', async () => {
  const { pager } = pagerOf([]);
  const { entries, isStart } = await pager.before(7);
  assert.deepEqual(shape(entries), ['6 missing']);
  assert.equal(isStart, true);
});

test('a page around a line begins some lines before it', async () => {
  const { pager, queries } = pagerOf(linesOf(6801));
  await pager.around(7000);
  await pager.around(5);
  assert.deepEqual(queries, [{ afterLine: 6800, limit: 1000 }, { afterLine: 0, limit: 1000 }]);
});

test('one page is loaded at a time', async () => {
  const { pager, queries } = pagerOf(linesOf(1));
  const first = pager.first();
  assert.equal(await pager.last(), null);
  assert.deepEqual(shape(await first), [1]);
  assert.equal(queries.length, 1);
  assert.equal(pager.totalLines, 5000);
});

test('a failure is reported, and the next page can be loaded', async () => {
  const problems = [];
  let fails = true;
  const loadPage = async () => {
    if (fails) throw new Error('no network');
    return { lines: linesOf(1), totalLines: 1 };
  };
  const pager = new HistoryPager(loadPage, (error) => problems.push(error.message));
  assert.equal(await pager.before(5), null);
  assert.deepEqual(problems, ['no network']);
  fails = false;
  assert.deepEqual(shape(await pager.first()), [1]);
});
