// The viewer in a real browser, against the real server.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { launch, newPage, numbered, screenshots, shownLines, waitForLine } from './support/browser.js';
import { Server } from './support/server.js';

const lines = (count, word = 'line') => Array.from({ length: count }, (_, index) => `${word} ${index + 1}`);
const isFollowing = (page) => page.locator('.follow').isHidden();

describe('the viewer', { timeout: 180_000 }, () => {
  const server = new Server();
  let browser;
  let page;

  before(async () => {
    await server.start();
    browser = await launch();
  });
  beforeEach(async () => {
    page = await newPage(browser, server.url);
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

  const open = async (task, suffix = '') => {
    await page.goto(`${server.url}/tasks/${encodeURIComponent(task)}${suffix}`);
    await page.waitForSelector('.connection');
  };

  test('an empty list shows how to push a first log, then the task appears without a reload', async () => {
    await page.goto(server.url);
    await page.getByText('No logs yet').waitFor();
    await page.getByText(`otto-handler push --to ${server.grpcUrl} --viewer ${server.url} --task first-build -- ls -l`).waitFor();
    await screenshots(page, 'empty');
    await server.push('first/build 1', ['hello']);
    await page.getByRole('link', { name: 'first/build 1' }).click();
    await waitForLine(page, 1);
    assert.deepEqual(await shownLines(page), [[1, 'hello']]);
  });

  test('lines of several workers appear live, with their colours', async () => {
    await open('colours');
    await page.waitForSelector('.connection.live');
    await server.push('colours', ['\x1b[1;32m   Compiling\x1b[0m serde', '\x1b[38;2;200;100;50mtrue\x1b[0m']);
    await waitForLine(page, 2);
    const compiling = page.locator('#L1 .text span');
    assert.equal(await compiling.textContent(), '   Compiling');
    assert.equal(await compiling.getAttribute('class'), 'bold fg-2');
    const colour = await page.locator('#L2 .text span').evaluate((span) => getComputedStyle(span).color);
    assert.equal(colour, 'rgb(200, 100, 50)');
    assert.ok(await page.locator('#L1 .worker').isHidden());

    await server.push('colours', ['cannot find crate'], { worker: 'worker-2', source: 'stderr' });
    await waitForLine(page, 3);
    assert.equal(await page.locator('#L3 .worker').textContent(), 'worker-2');
    assert.ok(await page.locator('#L1 .worker').isVisible());
    assert.ok(await page.locator('#L3.stderr .source').isVisible());
    await screenshots(page, 'log');
  });

  test('what a worker has not finished stands below the lines until it is, and is kept once', async () => {
    const push = server.pushing('unfinished');
    await open('unfinished');
    push.write('\x1b[32mone\x1b[0m\nProceed? [y/N] ');
    const unfinished = page.locator('.unfinished .row');
    await unfinished.getByText('Proceed? [y/N]').waitFor();
    assert.deepEqual(await shownLines(page), [[1, 'one']]);
    assert.equal(await unfinished.locator('.line').textContent(), '');
    await screenshots(page, 'unfinished');
    const other = server.pushing('unfinished', { worker: 'worker-2' });
    other.write('10%\r20%');
    await unfinished.getByText('20%', { exact: true }).waitFor();
    assert.equal(await unfinished.count(), 2);
    push.write('y\n');
    await waitForLine(page, 2);
    await page.waitForFunction(() => document.querySelectorAll('.unfinished .row').length === 1);
    await page.reload();
    await unfinished.getByText('20%', { exact: true }).waitFor();
    assert.deepEqual(await shownLines(page), [[1, 'one'], [2, 'Proceed? [y/N] y']]);
    other.write('\r30%\n');
    await waitForLine(page, 3);
    await unfinished.waitFor({ state: 'detached' });
    await Promise.all([push.end(), other.end()]);
    assert.equal((await shownLines(page))[2][1], '30%');
  });

  test('an unfinished progress changes the rows above only until it is shown anew', async () => {
    const push = server.pushing('redrawn');
    await open('redrawn');
    push.write('layer 1: 0%\nlayer 2: 0%\n\x1b[2A\x1b[2Klayer 1: 50%');
    await page.locator('#L1').getByText('layer 1: 50%').waitFor();
    assert.equal(await page.locator('.unfinished .row').count(), 0);
    push.write('\r\x1b[2Klayer 1: done\n');
    await page.locator('#L1').getByText('layer 1: done').waitFor();
    await push.end();
    assert.deepEqual((await shownLines(page)).map(([, text]) => text), ['layer 1: done', 'layer 2: 0%']);
  });

  test('log text is shown and never becomes markup', async () => {
    const hostile = ['<img src=x onerror="window.injected = true">', '<script>window.injected = true</script>', '&lt;b&gt;'];
    await server.push('hostile', hostile);
    await open('hostile');
    await waitForLine(page, 3);
    assert.deepEqual(await shownLines(page), numbered(hostile));
    assert.equal(await page.locator('.log img, .log script, .log b').count(), 0);
    assert.equal(await page.evaluate(() => window.injected), undefined);
  });

  test('scrolling up pauses, new lines are counted, and following resumes', async () => {
    await server.push('scroll', lines(500));
    await open('scroll');
    await page.locator('#L500').waitFor();
    await page.locator('.log').hover();
    await page.mouse.wheel(0, -2000);
    await page.locator('.follow').waitFor();
    const scrollTop = await page.locator('.log').evaluate((log) => log.scrollTop);
    await server.push('scroll', lines(40, 'more'));
    await page.getByRole('button', { name: '↓ Follow · 40 new' }).waitFor();
    await waitForLine(page, 540);
    assert.equal(await page.locator('.log').evaluate((log) => log.scrollTop), scrollTop);

    await page.locator('.follow').click();
    await page.waitForFunction(() => {
      const { scrollHeight, scrollTop, clientHeight } = document.querySelector('.log');
      return scrollHeight - scrollTop - clientHeight < 2;
    });
    assert.ok(await isFollowing(page));
    assert.deepEqual(await shownLines(page), numbered([...lines(500), ...lines(40, 'more')]));
  });

  test('after kill -9 and a restart the page reconnects and shows each line once', async () => {
    const [earlier, later] = [lines(300, 'earlier'), lines(300, 'later')];
    await open('restart');
    await page.waitForSelector('.connection.live');
    await server.push('restart', earlier);
    await waitForLine(page, 300);

    await server.kill();
    await page.waitForSelector('.connection.waiting');
    assert.match(await page.locator('.line-state').textContent(), /reconnecting/);
    await server.start();
    await server.push('restart', later);
    await waitForLine(page, 600);
    await page.waitForSelector('.connection.live');
    assert.deepEqual(await shownLines(page), numbered([...earlier, ...later]));
  });

  test('the verdict shows how each worker ended', async () => {
    await server.push('verdict', lines(3));
    await open('verdict');
    await waitForLine(page, 3);
    await server.push('verdict', lines(2, 'done'), { status: 'completed' });
    await page.locator('.verdict').waitFor();
    assert.match(await page.locator('.verdict').textContent(), /Succeeded5 linesnone lostworker-1 completed, 5 lines/);
    await page.waitForSelector('.connection.ended');
    await screenshots(page, 'complete');

    await page.reload();
    await page.waitForSelector('.connection.ended');
    await waitForLine(page, 5);
    assert.deepEqual(await shownLines(page), numbered([...lines(3), ...lines(2, 'done')]));

    await page.goto(server.url);
    await page.locator('tr', { hasText: 'verdict' }).getByText('succeeded').waitFor();
    await screenshots(page, 'tasks');
  });

  test('only a success is green, and a finished task that goes on is shown again without a reload', async () => {
    await server.push('ends', ['one'], { status: 'completed' });
    const told = (outcome) => server.tellEnd('ends', outcome);
    await open('ends');
    await page.locator('.verdict.succeeded').waitFor();
    const green = await page.locator('.verdict strong').evaluate((word) => getComputedStyle(word).color);
    for (const [outcome, words] of [['failed', 'Failed'], ['terminated', 'Terminated'], ['lost', 'Lost'], ['unknown', 'Ended: nobody']]) {
      await told(outcome);
      await page.reload();
      await page.locator(`.verdict.${outcome}`).waitFor();
      assert.ok((await page.locator('.verdict strong').textContent()).startsWith(words));
      assert.notEqual(await page.locator('.verdict strong').evaluate((word) => getComputedStyle(word).color), green);
      assert.equal(await page.locator('.badge').textContent(), outcome);
      await screenshots(page, `outcome-${outcome}`);
    }
    await server.push('ends', ['two'], { worker: 'worker-2', status: 'none' });
    await page.locator('.badge.running').waitFor();
    await waitForLine(page, 2);
    await server.push('ends', ['three'], { worker: 'worker-2', status: 'failed' });
    await told('failed');
    await page.locator('.verdict.failed').waitFor();
    assert.deepEqual(await shownLines(page), numbered(['one', 'two', 'three']));
  });

  test('a failed worker makes the task failed', async () => {
    await server.push('failing', ['error: no'], { status: 'failed' });
    await open('failing');
    await page.locator('.verdict.failed').waitFor();
    assert.match(await page.locator('.verdict').textContent(), /worker-1 failed/);
  });

  test('a long log has a bounded number of rows in the page, and any line can be linked to', async () => {
    await server.push('long', lines(14_000));
    await open('long', '#L7000');
    await page.locator('#L7000.linked').waitFor();
    assert.ok(await page.locator('#L7000').isVisible());
    await page.locator('.log').hover();
    await page.mouse.wheel(0, -100_000);
    await waitForLine(page, 5801);
    assert.ok(await page.locator('#L6801').isVisible());
    await page.mouse.wheel(0, 1_000_000);
    await waitForLine(page, 8800);
    assert.deepEqual(await shownLines(page), numbered(lines(8800).slice(5800), 5801));

    await page.getByRole('button', { name: 'Start' }).click();
    await page.locator('#L1').waitFor();
    await page.getByRole('button', { name: 'End' }).click();
    await page.locator('#L14000').waitFor();
    await server.push('long', lines(12_000, 'more'));
    await page.locator('#L26000').waitFor();
    const shown = await shownLines(page);
    assert.ok(shown.length <= 10_000, `${shown.length} rows`);
    const first = shown[0][0];
    const all = [...lines(14_000), ...lines(12_000, 'more')];
    assert.deepEqual(shown, numbered(all.slice(first - 1), first));
  });

  test('a filter shows the matching lines with their original numbers', async () => {
    await server.push('filter', ['compiling a', 'warning: b', 'compiling c']);
    await open('filter');
    await waitForLine(page, 3);
    await page.getByRole('searchbox').fill('compiling');
    await page.locator('#L2').waitFor({ state: 'detached' });
    await waitForLine(page, 3);
    assert.deepEqual(await shownLines(page), [[1, 'compiling a'], [3, 'compiling c']]);
  });

  test('the download has the lines as they were sent', async () => {
    const sent = ['\x1b[31mred\x1b[0m', '', '  indented\ttab', '한국어'];
    await server.push('download', sent);
    await open('download');
    const href = await page.getByRole('link', { name: 'Download' }).getAttribute('href');
    const response = await fetch(new URL(href, server.url));
    assert.match(response.headers.get('content-type'), /^text\/plain/);
    assert.equal(await response.text(), sent.map((line) => `${line}\n`).join(''));
  });
});

describe('the viewer of a server that asks for tokens', { timeout: 60_000 }, () => {
  const server = new Server({ jwtSecret: 'a secret of the browser test, 32 bytes long' });
  let browser;

  before(async () => {
    await server.start();
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server.dispose();
  });

  test('a token signs in, a wrong one does not, and signing out ends the session', async () => {
    const page = await newPage(browser, server.url);
    await page.goto(`${server.url}/tasks/guarded`);
    await page.getByLabel('Paste a token').fill('not.a.token');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('does not accept this token').waitFor();
    await screenshots(page, 'sign-in');

    await page.getByLabel('Paste a token').fill(await server.token());
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForSelector('.connection.live');
    assert.doesNotMatch(await page.evaluate(() => document.cookie), /access_token/);

    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Paste a token').waitFor();
    await page.reload();
    await page.getByLabel('Paste a token').waitFor();
    assert.deepEqual(page.problems, []);
  });
});
