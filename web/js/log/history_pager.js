// Pages of lines that the server keeps, as entries with a gap marker wherever the server says that lines are missing. One page is
// loaded at a time. Knows nothing of the DOM.

import { joinParts } from './parts.js';

const PAGE_LINES = 1000;
const LARGE_PAGE_LINES = 3000;
const MAX_PAGE_LINES = 10_000;
const LINES_BEFORE_TARGET = 200;
/** So many lines before a page are loaded for what they leave the terminals with. */
const CONTEXT_LINES = 500;
/** Gaps before which lines may be kept; all others begin with the first line. */
const GAPS_WITHIN = ['damage', 'task_bytes', 'unknown'];

/** @typedef {{lines: object[], gaps: object[], totalLines: number}} Page gaps have `afterLine`, `to`, `lines` and `reason` */

export class HistoryPager {
  #loadPage;
  #onProblem;
  #isLoading = false;
  #totalLines = 0;

  /**
   * @param {?(query: object) => Promise<Page>} loadPage null where there is no history
   * @param {(error: Error) => void} onProblem called when a page cannot be loaded
   */
  constructor(loadPage, onProblem) {
    this.#loadPage = loadPage;
    this.#onProblem = onProblem;
  }

  /** Whether there is a history to load from. */
  get isAvailable() {
    return this.#loadPage !== null;
  }

  get isLoading() {
    return this.#isLoading;
  }

  /** How many lines the task had when the latest page was loaded. */
  get totalLines() {
    return this.#totalLines;
  }

  // Each of the following returns null when a page is being loaded already or cannot be loaded. `context` is some lines
  // right before the entries, to be known and not shown.

  /** @returns {Promise<?{entries: object[], context: object[]}>} */
  async first() {
    return this.#page({ afterLine: 0, limit: PAGE_LINES });
  }

  async last() {
    return this.#page({ tail: PAGE_LINES });
  }

  /** A page that has `line` in it, with some lines before it. */
  async around(line) {
    return this.#page({ afterLine: Math.max(0, line - LINES_BEFORE_TARGET), limit: PAGE_LINES });
  }

  /** A large page that begins with `line`. */
  async from(line) {
    return this.#page({ afterLine: line - 1, limit: LARGE_PAGE_LINES });
  }

  /** The entries of the page after `line`. */
  async after(line) {
    return this.#exclusively(async () => withGapMarkers(await this.#load({ afterLine: line, limit: PAGE_LINES })));
  }

  /** The page before `line`; `isStart` when the server keeps nothing before it. */
  async before(line) {
    return this.#exclusively(async () => {
      const page = await this.#pageBefore(line);
      return { ...page, context: page.isStart ? [] : await this.contextOf(page.entries) };
    });
  }

  /** Some lines right before the first line of `entries`; none where they cannot be loaded. */
  async contextOf(entries) {
    const line = entries.find((entry) => entry.kind === 'log')?.line ?? 1;
    return line > 1 ? this.contextBefore(line) : [];
  }

  /** Some lines right before `line`. */
  async contextBefore(line) {
    try {
      const { lines } = await this.#load({ beforeLine: line, limit: CONTEXT_LINES, gaps: 'omit' });
      return lines;
    } catch {
      return []; // The page is shown without knowing what came before it.
    }
  }

  async #page(query) {
    return this.#exclusively(async () => {
      const entries = withoutHeadGap(await this.#load(query));
      return { entries, context: await this.contextOf(entries) };
    });
  }

  async #pageBefore(line) {
    let end = line;
    let page = await this.#load({ beforeLine: end, limit: PAGE_LINES });
    const [gap] = page.gaps;
    while (page.lines.length === 0 && isWithin(page.gaps[0])) {
      end = page.gaps[0].afterLine + 1;
      page = await this.#load({ beforeLine: end, limit: MAX_PAGE_LINES });
    }
    if (page.lines.length === 0) return { entries: [missing(line - 1, gap)], isStart: true };
    const entries = withoutHeadGap(page);
    // What is missing may reach over several pages: it is told once.
    if (end < line && entries.at(-1).kind === 'gap') entries.pop();
    if (end < line) entries.push(missing(line - page.lines.at(-1).line - 1, gap));
    return { entries, isStart: false };
  }

  async #load(query) {
    const { lines, gaps = [], totalLines } = await this.#loadPage(query);
    this.#totalLines = totalLines;
    return { lines: joinParts(lines), gaps };
  }

  async #exclusively(load) {
    if (this.#isLoading) return null;
    this.#isLoading = true;
    try {
      return await load();
    } catch (error) {
      this.#onProblem(error);
      return null;
    } finally {
      this.#isLoading = false;
    }
  }
}

/** Whether there may be lines before `gap`. */
function isWithin(gap) {
  return gap?.afterLine > 0 && GAPS_WITHIN.includes(gap.reason);
}

/** The page's entries. What is missing before its first line is told by the page before it. */
function withoutHeadGap(page) {
  const firstLine = page.lines[0]?.line ?? 0;
  return withGapMarkers({ ...page, gaps: page.gaps.filter(({ afterLine }) => afterLine + 1 >= firstLine) });
}

/** The page's lines and gaps in their order. */
function withGapMarkers(page) {
  const entries = [];
  const gaps = page.gaps.map(gapMarker);
  for (const entry of page.lines) {
    while (gaps[0]?.afterLine < entry.line) entries.push(gaps.shift());
    entries.push(entry);
  }
  return entries.concat(gaps);
}

function gapMarker(gap) {
  return { ...gap, kind: 'gap', offset: gap.to };
}

/** Marks that `lines` lines are missing, for the reason of `gap`, which tells only some of them. */
function missing(lines, gap) {
  return { kind: 'gap', lines, reason: gap?.reason ?? 'no longer kept' };
}
