// What programs write for a terminal, in the viewer: real recordings, and the cases that are hard.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { launch, newPage, numbered, screenshots, shownLines, waitForLine } from './support/browser.js';
import { Server } from './support/server.js';

const RED = 'fg-1';
const recording = async (name) => {
  const text = await readFile(new URL(`../fixtures/output/${name}.txt`, import.meta.url), 'utf8');
  return text.replace(/\n$/, '').split('\n');
};

/** Docker's redrawing: go up to the layer's row, erase it, write it, go back down. */
function dockerPull(layers) {
  const redraw = (at, text) => `\x1b[${layers.length - at}A\x1b[2K\r${layers[at]}: ${text}\r\x1b[${layers.length - at}B`;
  const lines = ['latest: Pulling from library/debian', ...layers.map((layer) => `${layer}: Pulling fs layer`)];
  let updates = '';
  for (let percent = 0; percent <= 100; percent += 5) {
    for (const at of layers.keys()) {
      const bar = `[${'='.repeat(percent / 2)}>`.padEnd(52);
      updates += redraw(at, percent < 100 ? `Downloading ${bar}] ${percent / 2}MB/50MB` : '\x1b[32mPull complete\x1b[0m');
    }
  }
  return [...lines, `${updates}Digest: sha256:0f1e2d`, 'Status: Downloaded newer image for debian:latest'];
}

const spinner = (message) => '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'.split('').map((frame) => `\x1b[1G\x1b[0K${frame} ${message}`).join('');

function progressBar(steps) {
  const state = (step) => `\r${String(Math.floor((step * 100) / steps)).padStart(3)}%|${'█'.repeat((step * 60) / steps).padEnd(60)}| ${step}/${steps}`;
  return Array.from({ length: steps + 1 }, (_, step) => state(step)).join('');
}

describe('the output of programs in the viewer', { timeout: 180_000 }, () => {
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
  const text = (line) => page.locator(`#L${line} .text`).textContent();
  const colours = (line) => page.locator(`#L${line} .text`).evaluate((node) => [...node.childNodes].map((part) => part.className ?? ''));

  test('cargo, npm and pytest look as in a terminal', async () => {
    await server.push('cargo', await recording('cargo'));
    await open('cargo');
    await page.getByText('For more information about this error').waitFor();
    assert.equal(await text(2), 'error[E0308]: mismatched types');
    assert.deepEqual(await colours(1), ['bold fg-10', '']);
    await screenshots(page, 'cargo');

    await server.push('npm', [spinner('idealTree: fetch'), ...(await recording('npm'))]);
    await open('npm');
    await waitForLine(page, 3);
    assert.deepEqual((await shownLines(page)).slice(0, 3), numbered(['⠏ idealTree: fetch', '', 'added 3 packages in 1s']));
    await screenshots(page, 'npm');

    await server.push('pytest', await recording('pytest'));
    await open('pytest');
    await page.getByText('1 failed').last().waitFor();
    assert.equal((await text(4)).trimEnd(), 'collected 91 items');
    assert.match(await text(6), /^test_sums\.py \.{17}s\.+ +\[ 86%\]$/);
    await screenshots(page, 'pytest');
  });

  test('the layers of a docker pull are rows that change in place', async () => {
    const layers = ['4f4fb700ef54', 'c7a2d8e1b3f0', '9b1d2c3e4f5a'];
    const lines = dockerPull(layers);
    await open('docker');
    await page.waitForSelector('.connection.live');
    await server.push('docker', lines.slice(0, 4));
    await waitForLine(page, 4);
    await screenshots(page, 'docker-before');
    await server.push('docker', lines.slice(4));
    await waitForLine(page, 6);
    const complete = layers.map((layer) => `${layer}: Pull complete`);
    assert.deepEqual(await shownLines(page), numbered([lines[0], ...complete, 'Digest: sha256:0f1e2d', lines.at(-1)]));
    await screenshots(page, 'docker');
  });

  test('three lines that are drawn anew forty times are three rows, and each line can be linked to', async () => {
    const rounds = Array.from({ length: 40 }, (_, round) => ['a', 'b', 'c'].map((name, at) => `${round > 0 && at === 0 ? '\x1b[3A' : ''}\x1b[2K${name}: ${round + 1}`));
    await server.push('rounds', [...rounds.flat(), 'done']);
    await open('rounds', '#L119');
    await waitForLine(page, 121);
    assert.deepEqual(await shownLines(page), [[1, 'a: 40'], [2, 'b: 40'], [3, 'c: 40'], [121, 'done']]);
    await page.locator('#L2.linked').waitFor();
    assert.ok(await page.locator('.notice').isHidden());
  });

  test('a bar of 2,000 steps shows the last of them', async () => {
    await server.push('bar', ['training', progressBar(2000), 'done']);
    await open('bar');
    await waitForLine(page, 3);
    assert.equal(await text(2), `100%|${'█'.repeat(60)}| 2000/2000`);
    assert.equal(await page.locator('.inline').count(), 0);
    await screenshots(page, 'bar');
  });

  test('a colour lasts over a worker\'s lines and leaves others alone', async () => {
    await server.forward('carried', [['a', '\x1b[31mpanic'], ['b', 'plain'], ['a', 'frame 1'], ['a', 'frame 2\x1b[0m'], ['a', 'next']]);
    await open('carried');
    await waitForLine(page, 5);
    assert.deepEqual(await Promise.all([1, 2, 3, 4, 5].map(colours)), [[RED], [''], [RED], [RED], ['']]);
  });

  test('a page that begins in the middle has the colours of the lines before it', async () => {
    const lines = Array.from({ length: 3000 }, (_, at) => (at === 900 ? '\x1b[31mfrom here on' : `line ${at + 1}`));
    await server.push('middle', lines);
    await open('middle');
    await waitForLine(page, 3000);
    await waitForLine(page, 1001);
    assert.equal(await page.locator('#L901').count(), 0);
    assert.deepEqual(await colours(1001), [RED]);
    await open('middle', '#L1500');
    await page.locator('#L1500.linked').waitFor();
    assert.deepEqual(await colours(1500), [RED]);
  });

  test('what only earlier lines tell is put right when these are loaded', async () => {
    const lines = Array.from({ length: 3000 }, (_, at) => (at === 9 ? '\x1b[31mfrom here on' : `line ${at + 1}`));
    await server.push('far', lines);
    await open('far');
    await waitForLine(page, 1001);
    assert.deepEqual(await colours(1001), ['']);
    await page.locator('.log').hover();
    await page.mouse.wheel(0, -1_000_000);
    await waitForLine(page, 1);
    assert.deepEqual(await Promise.all([1, 10, 700, 1001].map(colours)), [[''], [RED], [RED], [RED]]);
    const shown = await shownLines(page);
    const plain = lines.map((line) => line.replace('\x1b[31m', ''));
    assert.deepEqual(shown, numbered(plain.slice(0, shown.length)));
  });

  test('a message of several rows has one number', async () => {
    await server.forward('rows', [['a', 'hello\r\n'], ['a', 'Traceback:\n  at a\r\n  at b'], ['a', 'end\n']]);
    await open('rows');
    await waitForLine(page, 3);
    assert.deepEqual(await shownLines(page), numbered(['hello', 'Traceback:\n  at a\n  at b', 'end']));
    const heights = await page.$$eval('.row', (rows) => rows.map((row) => row.getBoundingClientRect().height));
    assert.deepEqual(heights, [20, 60, 20]);
  });

  test('addresses are links, http and https only', async () => {
    await server.push('links', [
      'see https://example.org/a?b=1.', '\x1b]8;;https://example.org/hidden\x1b\\here\x1b]8;;\x1b\\',
      '\x1b]8;;javascript:alert(1)\x1b\\no\x1b]8;;\x1b\\ javascript:alert(1)',
    ]);
    await open('links');
    await waitForLine(page, 3);
    const links = await page.$$eval('.text a', (nodes) => nodes.map((node) => [node.textContent, node.href, node.target, node.rel]));
    assert.deepEqual(links, [
      ['https://example.org/a?b=1', 'https://example.org/a?b=1', '_blank', 'noopener noreferrer'],
      ['here', 'https://example.org/hidden', '_blank', 'noopener noreferrer'],
    ]);
    assert.equal(await text(3), 'no javascript:alert(1)');
  });

  test('a line of a thousand colours has a bounded number of elements until it is asked for', async () => {
    const line = Array.from({ length: 1000 }, (_, at) => `\x1b[${31 + (at % 6)}m${String(at).padStart(8)}`).join('');
    await server.push('rainbow', [line]);
    await open('rainbow');
    await waitForLine(page, 1);
    assert.equal(await page.locator('#L1 .text > span').count(), 400);
    await page.getByRole('button', { name: 'show all 8,000 characters' }).click();
    assert.equal(await page.locator('#L1 .text > span').count(), 1000);
  });

  test('a filter shows each line by itself', async () => {
    await server.push('filtered', ['\x1b[31mone', 'other', '\x1b[2A\x1b[2K\x1b[1mone again\x1b[0m', 'one more']);
    await open('filtered', '?keywords=one');
    await waitForLine(page, 4);
    assert.deepEqual(await shownLines(page), [[1, 'one'], [3, 'one again'], [4, 'one more']]);
  });

  test('a keyword with a comma stands in quotes, is found whole, and stays over a reload', async () => {
    await server.push('commas', ['expected 2, found 3', 'expected 3, found 2', '3 of 3', 'found', 'an error']);
    await open('commas');
    await waitForLine(page, 5);
    const field = page.getByRole('searchbox', { name: 'Words, any of them' });
    await field.fill('"3, found", error');
    const expected = [[2, 'expected 3, found 2'], [5, 'an error']];
    await page.waitForFunction(() => location.search && !document.querySelector('#L1') && document.querySelector('#L5'));
    assert.deepEqual(await shownLines(page), expected);
    await page.reload();
    await waitForLine(page, 5);
    assert.deepEqual(await shownLines(page), expected);
    assert.equal(await field.inputValue(), '"3, found", error');
    // As the API takes it.
    await open('commas', '?keywords=3,%20found&keywords=');
    await waitForLine(page, 2);
    assert.deepEqual(await shownLines(page), [[2, 'expected 3, found 2']]);
    assert.equal(await field.inputValue(), '"3, found"');
  });
});
