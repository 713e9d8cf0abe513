// The viewer below a path, with its proxy's other paths beside it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, newPage, shownLines, waitForLine } from './support/browser.js';
import { Server } from './support/server.js';

describe('the viewer below /ci/logs', { timeout: 120_000 }, () => {
  const server = new Server({ jwtSecret: '0123456789abcdef0123456789abcdef', basePath: '/ci/logs' });
  let browser;
  let page;

  before(async () => {
    await server.start();
    browser = await launch();
    page = await newPage(browser, new URL(server.url).origin);
  });
  after(async () => {
    await browser?.close();
    await server.dispose();
  });

  test('signing in, the list, a live log, a reload and a download stay below the path', async () => {
    const asked = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.goto(server.url);
    await page.locator('#token').fill(await server.token());
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText(`otto-handler push --to ${server.grpcUrl} --viewer ${server.url} `).waitFor();
    const [cookie] = await page.context().cookies();
    assert.equal(cookie.path, '/ci/logs/');

    await server.push('a/build', ['one']);
    await page.getByRole('link', { name: 'a/build' }).click();
    await waitForLine(page, 1);
    assert.equal(page.url(), `${server.url}/tasks/a%2Fbuild`);
    await server.push('a/build', ['two']);
    await waitForLine(page, 2);
    await page.reload();
    await waitForLine(page, 2);
    assert.deepEqual(await shownLines(page), [[1, 'one'], [2, 'two']]);

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Plain text' }).click(),
    ]);
    assert.match(download.url(), /\/ci\/logs\/api\/v1\/log-streaming\/tasks\/a%2Fbuild\/logs/);
    await page.getByRole('link', { name: 'otto-handler' }).click();
    await page.getByRole('link', { name: 'a/build' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.locator('#token').waitFor();
    assert.deepEqual(await page.context().cookies(), []);

    const outside = asked.filter((path) => path !== '/ci/logs' && !path.startsWith('/ci/logs/'));
    assert.deepEqual(outside, []);
    assert.deepEqual(page.problems, []);
  });

  test('a sign-in link that was used says so on a page', async () => {
    const response = await page.goto(`${server.url}/login?code=0000`);
    assert.equal(response.status(), 401);
    await page.getByText('was used before or is older than ten minutes').waitFor();
    await page.getByRole('link', { name: 'All tasks' }).click();
    await page.locator('#token').waitFor();
  });
});
