// Pages of lines that the server keeps, as entries with a gap marker wherever lines are missing. One page is
// loaded at a time. Knows nothing of the DOM.

const PAGE_LINES = 1000;
const LINES_BEFORE_TARGET = 200;

export class HistoryPager {
  #loadPage;
  #onProblem;
  #isLoading = false;
  #totalLines = 0;

  /**
   * @param {?(query: object) => Promise<{lines: object[], totalLines: number}>} loadPage null where there is no history
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

  // Each of the following returns entries, or null when a page is being loaded already or cannot be loaded.

  async first() {
    return withGapMarkers(await this.#load({ afterLine: 0, limit: PAGE_LINES }));
  }

  async last() {
    return withGapMarkers(await this.#load({ tail: PAGE_LINES }));
  }

  /** A page that has `line` in it, with some lines before it. */
  async around(line) {
    return withGapMarkers(await this.#load({ afterLine: Math.max(0, line - LINES_BEFORE_TARGET), limit: PAGE_LINES }));
  }

  /** The page after `line`. */
  async after(line) {
    return withGapMarkers(await this.#load({ afterLine: line, limit: PAGE_LINES }), line);
  }

  /** The page before `line`; `isStart` when the server keeps nothing before it. */
  async before(line) {
    const lines = await this.#load({ beforeLine: line, limit: PAGE_LINES });
    if (!lines) return null;
    if (lines.length === 0) return { entries: [gapMarker(0, line)], isStart: true };
    // `line` itself closes the page, so that a gap right before it is seen; its row is there already.
    return { entries: withGapMarkers([...lines, { line }]).slice(0, -1), isStart: false };
  }

  async #load(query) {
    if (this.#isLoading) return null;
    this.#isLoading = true;
    try {
      const { lines, totalLines } = await this.#loadPage(query);
      this.#totalLines = totalLines;
      return lines;
    } catch (error) {
      this.#onProblem(error);
      return null;
    } finally {
      this.#isLoading = false;
    }
  }
}

/** `lines` with a marker wherever some are missing, since `previousLine` where that is given. */
function withGapMarkers(lines, previousLine) {
  if (!lines) return null;
  const entries = [];
  let previous = previousLine;
  for (const entry of lines) {
    if (entry.line > previous + 1) entries.push(gapMarker(previous, entry.line));
    entries.push(entry);
    previous = entry.line;
  }
  return entries;
}

function gapMarker(lastLine, nextLine) {
  return { kind: 'gap', lines: nextLine - lastLine - 1, reason: 'no longer kept' };
}
