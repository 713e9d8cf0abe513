// A headless Chromium with a fresh profile, and a page that records what went wrong in it.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { REPOSITORY } from './server.js';

const SCREENSHOTS = join(REPOSITORY, 'target/screenshots');
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const WAIT_MS = 20_000;

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
}

/** `page.problems` has script errors, policy violations and requests to other origins. */
export async function newPage(browser, origin) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 760 } });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(error.stack));
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text())) page.problems.push(message.text());
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) page.problems.push(`request to ${request.url()}`);
  });
  return page;
}

/** Pictures of the page in both schemes. */
export async function screenshots(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${colorScheme}.png`) });
  }
}

/** Each line on the page as `[line number, text]`. */
export function shownLines(page) {
  return page.$$eval('.rows:not(.unfinished) .row', (rows) => rows.map((row) => [Number(row.querySelector('.line').textContent), row.querySelector('.text').textContent]));
}

/** What `shownLines` gives for `texts`. */
export function numbered(texts, first = 1) {
  return texts.map((text, index) => [first + index, text]);
}

export function waitForLine(page, line) {
  return page.waitForSelector(`#L${line}`, { state: 'attached' });
}
