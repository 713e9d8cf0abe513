import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistoryPager } from '../../../web/js/log/history_pager.js';

const linesOf = (...numbers) => numbers.map((line) => ({ kind: 'log', line }));
const shape = (entries) => entries.map((entry) => (entry.kind === 'gap' ? `${entry.lines} missing` : entry.line));

const gap = (afterLine, lines, reason = 'retention') => ({ afterLine, from: 1, to: 9, lines, reason });

function pagerOf(lines, gaps) {
  const queries = [];
  const loadPage = async (query) => {
    queries.push(query);
    return { lines, gaps, totalLines: 5000 };
  };
  return { pager: new HistoryPager(loadPage, assert.fail), queries };
}

test('a gap marker stands where the server says that lines are missing', async () => {
  const { pager } = pagerOf(linesOf(3, 4, 8), [gap(1, 1), gap(4, 3, 'damage'), gap(8, 2, 'too_large')]);
  assert.deepEqual(shape(await pager.after(1)), ['1 missing', 3, 4, '3 missing', 8, '2 missing']);
  const [, , marker] = (await pager.first()).entries;
  assert.deepEqual(marker, { ...gap(4, 3, 'damage'), kind: 'gap', offset: 9 });
});

test('what is missing before the first line of a page is told by the page before it', async () => {
  const { pager } = pagerOf(linesOf(3, 4), [gap(0, 2), gap(2, 7, 'too_large')]);
  assert.deepEqual(shape((await pager.first()).entries), ['7 missing', 3, 4]);
});

test('a page before a line marks a gap right before that line', async () => {
  const { pager } = pagerOf(linesOf(3, 4), [gap(4, 2, 'damage')]);
  const { entries, isStart } = await pager.before(7);
  assert.deepEqual(shape(entries), [3, 4, '2 missing']);
  assert.equal(isStart, false);
});

test('where the server keeps nothing before a line, all lines before it are marked as missing', async () => {
  const { pager } = pagerOf([], [gap(3, 3)]);
  const { entries, isStart } = await pager.before(7);
  assert.deepEqual(entries, [{ kind: 'gap', lines: 6, reason: 'retention' }]);
  assert.equal(isStart, true);
});

test('lines behind a gap that is longer than a page are found, and the gap is told once', async () => {
  const pages = { 5000: { lines: [], gaps: [gap(3999, 1000, 'damage')] }, 4000: { lines: linesOf(1, 2), gaps: [gap(2, 3997, 'damage')] } };
  const loadPage = async ({ beforeLine }) => ({ lines: [], ...pages[beforeLine], totalLines: 5000 });
  const { entries, isStart } = await new HistoryPager(loadPage, assert.fail).before(5000);
  assert.deepEqual(shape(entries), [1, 2, '4997 missing']);
  assert.equal(entries.at(-1).reason, 'damage');
  assert.equal(isStart, false);
});

test('a page around a line begins some lines before it', async () => {
  const { pager, queries } = pagerOf(linesOf(6801));
  await pager.around(7000);
  await pager.around(5);
  const pages = queries.filter(({ afterLine }) => afterLine !== undefined);
  assert.deepEqual(pages, [{ afterLine: 6800, limit: 1000 }, { afterLine: 0, limit: 1000 }]);
});

test('some lines before a page are loaded with it, unless it begins with the first line', async () => {
  const lines = linesOf(...Array(30).keys()).slice(1);
  const loadPage = async ({ afterLine = 0, beforeLine = 31 }) => ({ lines: lines.filter(({ line }) => line > afterLine && line < beforeLine), totalLines: 29 });
  const pager = new HistoryPager(loadPage, assert.fail);
  const { entries, context } = await pager.from(20);
  assert.deepEqual([shape(entries)[0], shape(context)], [20, lines.slice(0, 19).map(({ line }) => line)]);
  assert.deepEqual((await pager.first()).context, []);
  const earlier = await pager.before(11);
  assert.deepEqual([shape(earlier.entries)[0], earlier.context], [1, []]);
});

test('a page is shown although the lines before it cannot be loaded', async () => {
  const loadPage = async ({ beforeLine }) => {
    if (beforeLine) throw new Error('no network');
    return { lines: linesOf(20), totalLines: 29 };
  };
  const { entries, context } = await new HistoryPager(loadPage, assert.fail).last();
  assert.deepEqual([shape(entries), context], [[20], []]);
});

test('one page is loaded at a time', async () => {
  const { pager, queries } = pagerOf(linesOf(1));
  const first = pager.first();
  assert.equal(await pager.last(), null);
  assert.deepEqual(shape((await first).entries), [1]);
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
  assert.deepEqual(shape((await pager.first()).entries), [1]);
});
