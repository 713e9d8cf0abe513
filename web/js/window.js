// The part of a log that stands in the page: a bounded run of rows, and what moves it.
//
//   live entries ─▶ Tail (bounded) ─▶ rows (bounded) ◀─ pages of history, above and below
//
// While it follows, rows flow in below and leave above. Once the reader scrolls up nothing moves by itself: rows
// come in below only while there is room. The rows are *detached* when lines that neither they nor the tail hold
// stand between the two; scrolling down then fills the hole by pages of history.

import { element } from './dom.js';
import { renderEntry } from './rows.js';
import { Tail } from './tail.js';

export const MAX_ROWS = 10_000;
const CHUNK_ROWS = 250;
const ROWS_PER_FRAME = 500;
const PAGE_LINES = 1000;
const LINES_BEFORE_TARGET = 200;
const EDGE_PX = 400;
const BOTTOM_PX = 12;
const NOT_KEPT = { kind: 'note', text: 'Matching lines that came while you read above are not kept here' };

export class LogWindow {
  #scroller;
  #rows = element('div', { class: 'rows' });
  #earlier = element('button', { type: 'button', class: 'earlier', hidden: true, onclick: () => this.loadEarlier() }, 'Load earlier lines');
  #chunks = [];
  #rowCount = 0;
  #tail = new Tail(MAX_ROWS);
  #liveLine = 0;
  #detached = false;
  #scrollTop = 0;
  #frame = 0;
  #loading = false;
  #atStart = false;
  #unseen = 0;
  #knownLine = 0;
  #linkedLine = 0;
  #options;
  #resizes = new ResizeObserver(() => this.#schedule());
  following = true;

  /**
   * @param {HTMLElement} scroller
   * @param {{loadPage: ?(query: object) => Promise<{lines: object[], totalLines: number}>, onChange: () => void, onProblem: (error: Error) => void}} options
   *   `loadPage` is null where there is no history to load, as in a filtered log
   */
  constructor(scroller, options) {
    this.#scroller = scroller;
    this.#options = options;
    scroller.replaceChildren(this.#earlier, this.#rows);
    scroller.onscroll = () => this.#onScroll();
    this.#resizes.observe(scroller);
  }

  /** Lines that came since the reader scrolled up. */
  get unseen() {
    return this.#unseen;
  }

  /** Whether earlier lines can be loaded. */
  get hasEarlier() {
    return this.#options.loadPage !== null && !this.#atStart && (this.#firstLine ?? 1) > 1;
  }

  /** A live entry. */
  push(entry) {
    const overflowed = this.#tail.push(entry);
    if (overflowed) this.#detached = true;
    if (entry.kind === 'log') {
      this.#liveLine = entry.line;
      if (!this.following && entry.line > this.#knownLine) this.#unseen += 1;
    }
    this.#schedule();
  }

  clear() {
    this.#clearRows();
    this.#tail.clear();
    this.#liveLine = 0;
    this.#unseen = 0;
    this.#detached = false;
    this.#changed();
  }

  /** Ends its frames. */
  stop() {
    cancelAnimationFrame(this.#frame);
    this.#scroller.onscroll = null;
    this.#resizes.disconnect();
  }

  /** To the live end, and stay there. */
  async follow() {
    this.following = true;
    this.#unseen = 0;
    if (this.#detached) await this.#restartAtEnd();
    this.#schedule();
  }

  /** To the first line. */
  async toStart() {
    this.following = false;
    if (this.#options.loadPage && (this.#firstLine ?? 1) > 1) await this.#replaceBy({ afterLine: 0, limit: PAGE_LINES });
    this.#scrollTo(0);
    this.#changed();
  }

  /** Scrolls to a line, wherever it is, and marks it. */
  async toLine(line) {
    this.mark(line);
    this.following = false;
    if (!this.#rowOf(line) && this.#options.loadPage) {
      await this.#replaceBy({ afterLine: Math.max(0, line - LINES_BEFORE_TARGET), limit: PAGE_LINES });
    }
    const row = this.#rowOf(line);
    if (row) this.#scrollTo(row.offsetTop - this.#scroller.clientHeight / 2);
    else this.follow();
    this.#changed();
    return row !== null;
  }

  /** Marks a line that stands in the page, without moving. */
  mark(line) {
    this.#rowOf(this.#linkedLine)?.classList.remove('linked');
    this.#linkedLine = line;
    this.#rowOf(line)?.classList.add('linked');
  }

  async loadEarlier() {
    if (!this.hasEarlier) return;
    const firstLine = this.#firstLine;
    const page = await this.#page({ beforeLine: firstLine, limit: PAGE_LINES });
    if (!page) return;
    this.#atStart = page.length === 0;
    const earlier = this.#atStart ? [hole(0, firstLine)] : withHoles([...page, { line: firstLine }]).slice(0, -1);
    this.#keepPlace(() => this.#prepend(earlier));
    if (this.#trimBottom()) this.#detached = true;
    this.#changed();
  }

  get #firstLine() {
    return this.#chunks.find((chunk) => chunk.firstLine)?.firstLine;
  }

  get #last() {
    return this.#chunks.at(-1)?.last;
  }

  get #lastLine() {
    return this.#chunks.findLast((chunk) => chunk.lastLine)?.lastLine ?? 0;
  }

  #changed() {
    this.#earlier.hidden = !this.hasEarlier;
    this.#options.onChange();
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#onFrame());
  }

  #onFrame() {
    this.#frame = 0;
    if (this.following && this.#detached && !this.#loading && this.#tail.size > 0) this.#startAtTail();
    const mayAppend = !this.#detached && (this.following || this.#rowCount < MAX_ROWS);
    if (mayAppend && this.#tail.size > 0) this.#appendFromTail();
    if (this.following) {
      this.#trimTop();
      this.#toEnd();
    }
    this.#changed();
    if (mayAppend && !this.#detached && this.#tail.size > 0) this.#schedule();
  }

  /** The tail outran the rows: go on from what the tail still has. */
  #startAtTail() {
    this.#clearRows();
    this.#detached = false;
  }

  async #restartAtEnd() {
    if (this.#tail.size > 0 || !this.#options.loadPage) return;
    await this.#replaceBy({ tail: PAGE_LINES });
    this.following = true;
  }

  #appendFromTail() {
    this.#tail.dropThrough(this.#last?.offset);
    if (this.#tail.size === 0) return;
    if (this.#leavesHole(this.#tail.first)) {
      this.#detached = true;
      return;
    }
    this.#append(this.#tail.take(ROWS_PER_FRAME));
  }

  /** Whether lines are missing between the rows and `entry`, with no gap marker that says so. */
  #leavesHole(entry) {
    const last = this.#last;
    return this.#options.loadPage !== null && entry.kind === 'log' && last?.kind === 'log' && entry.line > last.line + 1;
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const fromBottom = scrollHeight - scrollTop - clientHeight;
    const movedUp = scrollTop < this.#scrollTop - 1;
    this.#scrollTop = scrollTop;
    if (this.following && movedUp && fromBottom > BOTTOM_PX) this.#pause();
    if (this.following) return;
    if (movedUp && scrollTop < EDGE_PX) this.loadEarlier();
    else if (fromBottom <= BOTTOM_PX && !this.#detached && this.#tail.size === 0) this.follow();
    else if (!movedUp && fromBottom < EDGE_PX) this.#loadLater();
  }

  #pause() {
    this.following = false;
    this.#unseen = 0;
    this.#changed();
  }

  async #loadLater() {
    if (this.#detached && this.#options.loadPage) {
      const page = await this.#page({ afterLine: this.#lastLine, limit: PAGE_LINES });
      if (!page) return;
      this.#append(withHoles(page, this.#lastLine));
      this.#join();
    } else if (this.#detached) {
      this.#append([NOT_KEPT]);
      this.#detached = false;
    } else if (this.#tail.size > 0) {
      this.#append(this.#tail.take(PAGE_LINES));
    }
    this.#keepPlace(() => this.#trimTop());
    this.#changed();
  }

  async #replaceBy(query) {
    const page = await this.#page(query);
    if (!page || page.length === 0) return;
    this.#clearRows();
    this.#append(withHoles(page));
    this.#join();
  }

  /** Joins rows and tail where nothing stands between them. */
  #join() {
    const offset = this.#last?.offset;
    const overlaps = this.#tail.first?.offset <= offset;
    this.#tail.dropThrough(offset);
    const nextLine = this.#tail.firstLine ?? this.#liveLine + 1;
    this.#detached = !overlaps && this.#lastLine + 1 < nextLine;
    this.#schedule();
  }

  /** A page's entries, or null when one is being loaded already or it fails. */
  async #page(query) {
    if (this.#loading) return null;
    this.#loading = true;
    try {
      const { lines, totalLines } = await this.#options.loadPage(query);
      this.#knownLine = totalLines;
      return lines;
    } catch (error) {
      this.#options.onProblem(error);
      return null;
    } finally {
      this.#loading = false;
    }
  }

  #append(entries) {
    let rest = entries;
    while (rest.length > 0) {
      const open = this.#chunks.at(-1);
      const chunk = open && open.size < CHUNK_ROWS ? open : this.#openChunk();
      const fitting = rest.slice(0, CHUNK_ROWS - chunk.size);
      this.#fill(chunk, fitting);
      rest = rest.slice(fitting.length);
    }
  }

  #openChunk() {
    const chunk = newChunk();
    this.#chunks.push(chunk);
    this.#rows.append(chunk.node);
    return chunk;
  }

  #prepend(entries) {
    const chunks = [];
    for (let from = 0; from < entries.length; from += CHUNK_ROWS) {
      const chunk = newChunk();
      this.#fill(chunk, entries.slice(from, from + CHUNK_ROWS));
      chunks.push(chunk);
    }
    this.#chunks.unshift(...chunks);
    this.#rows.prepend(...chunks.map((chunk) => chunk.node));
  }

  #fill(chunk, entries) {
    chunk.node.append(...entries.map(renderEntry));
    chunk.size += entries.length;
    chunk.firstLine ??= entries.find((entry) => entry.line)?.line;
    chunk.lastLine = entries.findLast((entry) => entry.line)?.line ?? chunk.lastLine;
    chunk.last = entries.at(-1);
    this.#rowCount += entries.length;
    if (this.#linkedLine) this.#rowOf(this.#linkedLine)?.classList.add('linked');
  }

  #trimTop() {
    while (this.#rowCount > MAX_ROWS && this.#chunks.length > 1) {
      this.#remove(this.#chunks.shift());
      this.#atStart = false;
    }
  }

  #trimBottom() {
    const before = this.#chunks.length;
    while (this.#rowCount > MAX_ROWS && this.#chunks.length > 1) this.#remove(this.#chunks.pop());
    return this.#chunks.length < before;
  }

  #remove(chunk) {
    chunk.node.remove();
    this.#rowCount -= chunk.size;
  }

  #clearRows() {
    this.#rows.replaceChildren();
    this.#chunks = [];
    this.#rowCount = 0;
    this.#atStart = false;
  }

  /** Runs what adds or removes rows above the reader's place, and keeps that place. */
  #keepPlace(change) {
    const anchor = this.#chunks.at(-1)?.node;
    const before = anchor?.offsetTop ?? 0;
    change();
    if (anchor) this.#scrollTo(this.#scroller.scrollTop + anchor.offsetTop - before);
  }

  #toEnd() {
    this.#scrollTo(this.#scroller.scrollHeight);
  }

  #scrollTo(top) {
    this.#scroller.scrollTop = top;
    this.#scrollTop = this.#scroller.scrollTop;
  }

  #rowOf(line) {
    return document.getElementById(`L${line}`);
  }
}

function newChunk() {
  return { node: element('div', { class: 'chunk' }), size: 0, firstLine: undefined, lastLine: undefined, last: undefined };
}

/** `lines` with a marker wherever some are missing, since `previousLine` where that is given. */
function withHoles(lines, previousLine) {
  const entries = [];
  let previous = previousLine;
  for (const entry of lines) {
    if (entry.line > previous + 1) entries.push(hole(previous, entry.line));
    entries.push(entry);
    previous = entry.line;
  }
  return entries;
}

function hole(lastLine, nextLine) {
  return { kind: 'gap', lines: nextLine - lastLine - 1, reason: 'no longer kept' };
}
