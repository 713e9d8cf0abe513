// How builds ended, as the viewer tells it: the same five ends as in tests/integration/verdict.rs, and a build of two steps.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { launch, newPage, numbered, screenshots, shownLines, waitForLine } from './support/browser.js';
import { Server } from './support/server.js';

const SOON = '10ms';
const LATER = '1h';
const WORKER = 'worker-1';
const A_LINE = ['a line'];
const CUT = 'its sender cut the stream, what it had not sent is missing';

const second = (number) => `2026-11-28T10:00:0${number}Z`;

/** What happens to a build, and what is told of it; `lost` is the list's word for lines that are not there. */
const HAPPENINGS = [
  {
    task: 'killed', outcome: 'lost', lost: 'some lost',
    happen: (server, task) => server.pushAndKill(task, 'a line'),
    verdict: ['Lost: a worker went away without reporting its end', '1 line', 'some lost', `${WORKER} did not report its end, 1 line, ${CUT}`],
  },
  {
    task: 'stopped', outcome: 'terminated', lost: '',
    happen: async (server, task) => {
      await server.push(task, A_LINE);
      await server.notify(task, { worker: WORKER, state: 'TERMINATED', timestamp: second(5) });
    },
    verdict: ['Terminated: a worker was stopped before it ended', '1 line', 'none lost', `${WORKER} was terminated, 1 line`],
  },
  {
    task: 'failing', outcome: 'failed', lost: '',
    happen: async (server, task) => {
      await server.forwardEntries(task, [{ worker: WORKER, message: 'a line' }]);
      await server.notify(task, { worker: WORKER, state: 'FAILED', timestamp: second(5), metadata: { exit_code: '3' } });
      await server.notify(task, { worker: WORKER, state: 'RUNNING', timestamp: second(1) });
    },
    verdict: ['Failed', '1 line', 'none lost', `${WORKER} failed with exit code 3, 1 line`],
  },
  {
    task: 'cut', outcome: 'succeeded', lost: 'some lost',
    happen: async (server, task) => {
      await server.forwardAndVanish(task, { worker: WORKER, message: 'a line' });
      await server.until(task, ({ workers: [worker] }) => worker.cut === 1);
      await server.notify(task, { worker: WORKER, state: 'COMPLETED', timestamp: second(5) });
    },
    verdict: ['Succeeded', '1 line', 'some lost', `${WORKER} completed, 1 line, ${CUT}`],
  },
  {
    task: 'hole', outcome: 'succeeded', lost: '2 lost',
    happen: async (server, task) => {
      const entry = (seq) => ({ worker: WORKER, message: `line ${seq}`, metadata: { 'otto.session': 's', 'otto.seq': String(seq) } });
      await server.forwardEntries(task, [1, 2, 5].map(entry));
      await server.notify(task, { worker: WORKER, state: 'COMPLETED', timestamp: second(5) });
    },
    verdict: ['Succeeded', '3 lines', '2 lost', `${WORKER} completed, 3 lines, 2 lines missing`],
  },
];

const texts = (locator) => locator.evaluate((node) => [...node.children].map((child) => child.textContent));

/** Whether a text is shown in a green of its own. */
function isGreen(locator) {
  return locator.evaluate((node) => {
    const [red, green, blue] = getComputedStyle(node).color.match(/\d+/g).map(Number);
    return green > red + 20 && green > blue + 20;
  });
}

async function opened(browser, server) {
  const page = await newPage(browser, server.url);
  page.logOf = async (task) => {
    await page.goto(`${server.url}/tasks/${task}`);
    await page.waitForSelector('.connection');
  };
  return page;
}

describe('how a build ended', { timeout: 120_000 }, () => {
  const server = new Server({ flags: ['--task-grace', SOON, '--worker-lost-after', SOON, '--task-quiet-period', SOON] });
  let browser;
  let page;

  before(async () => {
    await server.start();
    browser = await launch();
  });
  beforeEach(async () => {
    page = await opened(browser, server);
  });
  afterEach(async () => {
    const { problems } = page;
    await page.context().close();
    assert.deepEqual(problems, []);
  });
  after(async () => {
    await browser?.close();
    await server.dispose();
  });

  for (const { task, outcome, lost, happen, verdict } of HAPPENINGS) {
    test(`a build that was ${task} is told alike in its page and in the list, and only a success is green`, async () => {
      await happen(server, task);
      const told = await server.until(task, ({ state }) => state === 'complete');
      assert.equal(told.outcome, outcome);
      const success = outcome === 'succeeded';

      await page.logOf(task);
      const shown = page.locator(`.verdict.${outcome}`);
      await shown.waitFor();
      assert.deepEqual(await texts(shown), verdict);
      assert.equal(await isGreen(shown.locator('strong')), success);
      const badge = page.locator('header .badge');
      assert.deepEqual([await badge.textContent(), await badge.getAttribute('class')], [outcome, `badge ${outcome}`]);
      assert.equal(await isGreen(badge), success);
      assert.equal(await shown.locator('span.lost').count(), lost ? 1 : 0);
      await page.waitForSelector('.connection.ended');

      await page.goto(server.url);
      const row = page.locator('tr', { has: page.getByRole('link', { name: task, exact: true }) });
      const listed = row.locator('.badge');
      await listed.waitFor();
      assert.deepEqual([await listed.textContent(), await listed.getAttribute('class')], [outcome, `badge ${outcome}`]);
      assert.equal(await isGreen(listed), success);
      assert.equal((await row.locator('.lost:not(.badge)').textContent()).trim(), lost);
      await screenshots(page, `verdict-${task}`);
    });
  }
});

describe('a build of two steps', { timeout: 60_000 }, () => {
  // Nothing is over because of the clock: what ends the build is that the second step tells its end.
  const server = new Server({ flags: ['--task-grace', LATER] });
  let browser;

  before(async () => {
    await server.start();
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server.dispose();
  });

  /** Counts in the page what its own EventSource gets, and how often its verdict is shown. */
  const watch = (page, task) => page.evaluate((name) => {
    const seen = { lines: [], ends: [], verdicts: 0, source: new EventSource(`/api/v1/log-streaming/stream/${name}`) };
    window.seen = seen;
    seen.source.addEventListener('log', ({ data }) => seen.lines.push(JSON.parse(data).message));
    seen.source.addEventListener('complete', ({ data }) => seen.ends.push(JSON.parse(data).outcome));
    const verdict = document.querySelector('.verdict');
    const onChange = () => {
      if (!verdict.hidden) seen.verdicts += 1;
    };
    new MutationObserver(onChange).observe(verdict, { attributeFilter: ['hidden'] });
  }, task);

  test('tail, an EventSource and the viewer go on through the pause and end once, after the second step', async () => {
    const page = await opened(browser, server);
    await page.logOf('build');
    await page.waitForSelector('.connection.live');
    await watch(page, 'build');
    const tailing = server.tail('build');

    await server.push('build', ['one'], { worker: 'step-1', status: 'completed' });
    await waitForLine(page, 1);
    await page.getByText('step-1 completed').waitFor();
    await page.waitForFunction(() => window.seen.lines.length === 1);
    await tailing.shows('one');
    // The pause: everything of the first step has arrived, its end too.
    const pause = await server.until('build', ({ workerCounts }) => workerCounts.completed === 1);
    assert.deepEqual([pause.state, pause.outcome, tailing.isRunning()], ['running', null, true]);
    assert.ok(await page.locator('.badge.running').isVisible());
    assert.ok(await page.locator('.connection.live').isVisible());
    assert.ok(await page.locator('.verdict').isHidden());

    await server.push('build', ['two'], { worker: 'step-2', status: 'completed', endsTask: true });
    const tailed = await tailing.ended;
    assert.deepEqual([tailed.code, tailed.stdout.match(/one|two/g)], [0, ['one', 'two']]);
    assert.equal(tailed.stderr.match(/is complete/g).length, 1, tailed.stderr);
    await page.locator('.verdict.succeeded').waitFor();
    await page.waitForSelector('.connection.ended');
    // The EventSource comes back once more and is told by 204 that this was all.
    await page.waitForFunction(() => window.seen.source.readyState === EventSource.CLOSED);
    const seen = await page.evaluate(() => ({ ...window.seen, source: undefined }));
    assert.deepEqual([seen.lines, seen.ends, seen.verdicts], [['one', 'two'], ['succeeded'], 1]);
    assert.deepEqual(await shownLines(page), numbered(['one', 'two']));
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });
});
