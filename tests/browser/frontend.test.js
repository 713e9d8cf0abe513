// The snippets of docs/frontend.md, run as they stand there in a page of the server.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launch, newPage } from './support/browser.js';
import { REPOSITORY, Server } from './support/server.js';

const TASK = 'build-42';
const guide = await readFile(join(REPOSITORY, 'docs/frontend.md'), 'utf8');
const [eventSource, bearer, socket, ...others] = [...guide.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);

describe('the snippets for front ends', { timeout: 120_000 }, () => {
  const server = new Server();
  let browser;
  let page;

  before(async () => {
    await server.start();
    await server.push(TASK, ['one', 'two']);
    browser = await launch();
    page = await newPage(browser, server.url);
    await page.goto(server.url);
  });
  after(async () => {
    await browser?.close();
    await server.dispose();
  });

  test('all of them are run here', () => {
    assert.ok(socket.includes('new WebSocket'));
    assert.deepEqual(others, []);
  });

  test('EventSource prints the lines and closes itself when the task is over', async () => {
    const printed = [];
    const over = new Promise((resolve) => {
      page.on('console', (message) => {
        printed.push(message.text());
        if (message.text() === 'succeeded') resolve();
      });
    });
    await page.evaluate(`(() => { ${eventSource}; window.log = log; })()`);
    await server.push(TASK, ['three'], { status: 'completed' });
    await over;
    assert.deepEqual(printed, ['one', 'two', 'three', 'succeeded']);
    assert.equal(await page.evaluate('window.log.readyState'), 2);
  });

  test('fetch reads with a token, and goes on after the last id', async () => {
    const read = (lastEventId) => page.evaluate(`(async () => {
      let lastEventId = ${JSON.stringify(lastEventId)};
      const [token, events] = ['unused', []];
      const onEvent = (event, data) => { if (event === 'log') events.push([data.message, lastEventId]); };
      ${bearer}
      return events;
    })()`);
    const all = await read('');
    assert.deepEqual(all.map(([message]) => message), ['one', 'two', 'three']);
    assert.deepEqual(await read(all[0][1]), all.slice(1));
  });

  test('a WebSocket gives the same events', async () => {
    const events = await page.evaluate(`new Promise((resolve) => {
      let lastEventId = '';
      const events = [];
      const onEvent = (event, data) => {
        events.push(event === 'log' ? data.message : event);
        if (event === 'complete') resolve(events);
      };
      ${socket}
    })`);
    assert.deepEqual(events.filter((event) => event !== 'status'), ['one', 'two', 'three', 'complete']);
  });
});
