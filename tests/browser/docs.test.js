// The description of the API, in a real browser.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, newPage, screenshots } from './support/browser.js';
import { Server } from './support/server.js';

describe('the API page', { timeout: 120_000 }, () => {
  const server = new Server();
  let browser;

  before(async () => {
    await server.start();
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server.dispose();
  });

  test('describes every route, and sends what is filled in', async () => {
    await server.push('docs/1', ['one', 'two']);
    const page = await newPage(browser, server.url);
    await page.goto(`${server.url}/docs`);
    const api = await (await fetch(`${server.url}/openapi.json`)).json();
    const operations = Object.values(api.paths).flatMap((methods) => Object.values(methods));
    await page.locator('#history').waitFor();
    assert.equal(await page.locator('.docs .method').count(), operations.length);

    await page.locator('#history summary').click();
    await page.locator('#history [name="history.taskId"]').fill('docs/1');
    await page.locator('#history [name="history.afterLine"]').fill('1');
    await page.locator('#history .primary').click();
    await page.locator('#history .output').getByText('"message": "two"').waitFor();
    assert.match(await page.locator('#history [role=status]').textContent(), /^200 · GET .*\/tasks\/docs%2F1\/logs\?afterLine=1$/);
    await screenshots(page, 'docs');

    await page.locator('#streamTask summary').click();
    await page.locator('#streamTask [name="streamTask.taskId"]').fill('docs/1');
    await page.locator('#streamTask .primary').click();
    await page.locator('#streamTask .output').getByText('event: log').waitFor();
    await page.locator('#streamTask').getByRole('button', { name: 'Stop' }).click();
    await page.locator('#streamTask').getByRole('button', { name: 'Stop' }).waitFor({ state: 'hidden' });

    await page.goto(`${server.url}/docs#schema-Task`);
    await page.locator('#schema-Task[open]').waitFor();
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });
});
