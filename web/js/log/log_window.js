// The part of a log that is in the page: a bounded number of rows, and what adds and removes them.
//
//   live entries ─▶ LiveQueue (bounded) ─▶ RowList (bounded) ◀─ HistoryPager, above and below
//
// While it follows, rows are added below and removed above. Once the reader scrolls up, no row is removed, and rows
// are added below only until the limit. The rows are *detached* when there are lines between them and the queue that
// neither of them holds; scrolling down then loads these lines from the history.

import { element } from '../dom.js';
import { HistoryPager } from './history_pager.js';
import { LiveQueue } from './live_queue.js';
import { MAX_ROWS, RowList } from './row_list.js';
import { ScrollPosition } from './scroll_position.js';

const ROWS_PER_FRAME = 500;
const ROWS_PER_SCROLL = 1000;
const NOT_KEPT = { kind: 'note', text: 'Matching lines that came while you read above are not kept here' };

export class LogWindow {
  #scroller;
  #onChange;
  #scroll;
  #history;
  #rows;
  #queue = new LiveQueue(MAX_ROWS);
  #earlier = element('button', { type: 'button', class: 'earlier', hidden: true, onclick: () => this.loadEarlier() }, 'Load earlier lines');
  /** What workers have not finished, by worker and source. */
  #unfinished = new Map();
  #showsUnfinished = false;
  #lastLiveLine = 0;
  #isDetached = false;
  /** Whether the server keeps nothing before the first row. */
  #isAtStart = false;
  #unseen = 0;
  #frame = 0;
  /** Counts up when the rows are cleared, so that what was loaded for earlier ones is known as such. */
  #generation = 0;
  #isLoadingContext = false;
  #resizes = new ResizeObserver(() => this.#schedule());
  following = true;

  /**
   * @param {HTMLElement} scroller
   * @param {{loadPage: ?(query: object) => Promise<{lines: object[], totalLines: number}>, onChange: () => void, onProblem: (error: Error) => void}} options
   *   `loadPage` is null where there is no history to load, as in a filtered log
   */
  constructor(scroller, { loadPage, onChange, onProblem }) {
    this.#scroller = scroller;
    this.#onChange = onChange;
    this.#scroll = new ScrollPosition(scroller);
    this.#history = new HistoryPager(loadPage, onProblem);
    this.#rows = new RowList({ areLinesAlone: loadPage === null });
    scroller.replaceChildren(this.#earlier, this.#rows.node, this.#rows.unfinishedNode);
    scroller.onscroll = () => this.#onScroll();
    this.#resizes.observe(scroller);
  }

  /** How many lines came since the reader scrolled up. */
  get unseen() {
    return this.#unseen;
  }

  /** Whether earlier lines can be loaded. */
  get hasEarlier() {
    return this.#history.isAvailable && !this.#isAtStart && (this.#rows.firstLine ?? 1) > 1;
  }

  /** Takes a live entry. */
  push(entry) {
    const hasDropped = this.#queue.push(entry);
    if (hasDropped) this.#isDetached = true;
    if (entry.kind === 'log') {
      this.#unfinished.delete(unfinishedKey(entry));
      this.#lastLiveLine = entry.line;
      if (!this.following && entry.line > this.#history.totalLines) this.#unseen += 1;
    }
    this.#schedule();
  }

  /** Takes what a worker has not finished, until a line of the same worker and source comes. */
  pushUnfinished(entry) {
    this.#unfinished.delete(unfinishedKey(entry));
    this.#unfinished.set(unfinishedKey(entry), entry);
    this.#schedule();
  }

  /** No line is finished any more. */
  forgetUnfinished() {
    this.#unfinished.clear();
    this.#schedule();
  }

  clear() {
    this.#unfinished.clear();
    this.#clearRows();
    this.#queue.clear();
    this.#lastLiveLine = 0;
    this.#unseen = 0;
    this.#isDetached = false;
    this.#changed();
  }

  /** Stops drawing and listening. */
  stop() {
    cancelAnimationFrame(this.#frame);
    this.#scroller.onscroll = null;
    this.#resizes.disconnect();
  }

  /** Goes to the live end and stays there. */
  async follow() {
    this.following = true;
    this.#unseen = 0;
    if (this.#isDetached) await this.#restartAtEnd();
    this.#schedule();
  }

  /** Goes to the first line. */
  async toStart() {
    this.following = false;
    if (this.#history.isAvailable && (this.#rows.firstLine ?? 1) > 1) this.#replaceRows(await this.#history.first());
    this.#scroll.toStart();
    this.#changed();
  }

  /** Scrolls to a line and highlights it, loading it where needed; returns whether there is such a line. */
  async toLine(line) {
    this.highlight(line);
    this.following = false;
    if (!this.#rows.rowOf(line) && this.#history.isAvailable) this.#replaceRows(await this.#history.around(line));
    const row = this.#rows.rowOf(line);
    if (row) this.#scroll.toRow(row);
    else this.follow();
    this.#changed();
    return row !== null;
  }

  /** Highlights a line that is in the page, without scrolling. */
  highlight(line) {
    this.#rows.highlight(line);
  }

  async loadEarlier() {
    if (!this.hasEarlier) return;
    const [line, generation] = [this.#rows.firstLine, this.#generation];
    const page = await this.#history.before(line);
    if (!page || generation !== this.#generation) return;
    let isPrepended = true;
    this.#scroll.keepInPlace(() => this.#rows.lastChunk, () => (isPrepended = this.#rows.prepend(page.entries, page.context)));
    if (!isPrepended) return this.#reloadFrom(page.entries.find((entry) => entry.kind === 'log').line, line);
    this.#isAtStart = page.isStart;
    if (this.#rows.trimBottom()) this.#isDetached = true;
    this.#changed();
  }

  /** Loads the rows from the line `first` on anew, and keeps the line `kept` in its place. */
  async #reloadFrom(first, kept) {
    const page = await this.#history.from(first);
    if (page) this.#scroll.keepInPlace(() => this.#rows.rowOf(kept), () => this.#replaceRows(page));
    this.#changed();
  }

  #changed() {
    this.#earlier.hidden = !this.hasEarlier;
    this.#onChange();
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#onFrame());
  }

  #onFrame() {
    this.#frame = 0;
    if (this.following && this.#isDetached && !this.#history.isLoading && this.#queue.size > 0) this.#restartAtQueue();
    const mayAppend = !this.#isDetached && (this.following || !this.#rows.isFull);
    if (mayAppend && this.#queue.size > 0) this.#appendFromQueue();
    if (this.following) this.#trimTop();
    this.#showUnfinished();
    if (this.following) this.#scroll.toEnd();
    this.#changed();
    if (mayAppend && !this.#isDetached && this.#queue.size > 0) this.#schedule();
  }

  /** Where the last row is the log's last line. */
  #showUnfinished() {
    const isAtEnd = !this.#isDetached && this.#queue.size === 0;
    const entries = isAtEnd ? [...this.#unfinished.values()] : [];
    if (entries.length > 0 || this.#showsUnfinished) this.#rows.showUnfinished(entries);
    this.#showsUnfinished = entries.length > 0;
  }

  /** The queue dropped entries before they got a row: goes on from what it still has. */
  #restartAtQueue() {
    if (this.#rows.lastEntry) this.#clearRows();
    this.#isDetached = false;
  }

  async #restartAtEnd() {
    if (this.#queue.size > 0 || !this.#history.isAvailable) return;
    this.#replaceRows(await this.#history.last());
    this.following = true;
  }

  #appendFromQueue() {
    this.#queue.dropThrough(this.#rows.lastEntry?.offset);
    if (this.#queue.size === 0) return;
    if (this.#leavesGap(this.#queue.first)) {
      this.#isDetached = true;
      return;
    }
    if (this.#rows.needsContext && !this.#beginAtQueue()) return;
    this.#rows.append(this.#queue.take(ROWS_PER_FRAME));
  }

  /** Lets the rows begin with the queue; returns false while the lines before it are being loaded. */
  #beginAtQueue() {
    const line = this.#queue.firstLine;
    if (line === 1) this.#rows.begin([]);
    if (line > 1) this.#loadContext(line);
    return !(line > 1);
  }

  async #loadContext(line) {
    if (this.#isLoadingContext) return;
    this.#isLoadingContext = true;
    const context = await this.#history.contextBefore(line);
    this.#isLoadingContext = false;
    if (this.#rows.needsContext) this.#rows.begin(context);
    this.#schedule();
  }

  /** Whether lines are missing between the rows and `entry` without a gap marker that says so. */
  #leavesGap(entry) {
    const last = this.#rows.lastEntry;
    return this.#history.isAvailable && entry.kind === 'log' && last?.kind === 'log' && entry.line > last.line + 1;
  }

  #onScroll() {
    const { movedUp, nearTop, nearBottom, atBottom } = this.#scroll.update();
    if (this.following && movedUp && !atBottom) this.#pause();
    if (this.following) return;
    if (movedUp && nearTop) this.loadEarlier();
    else if (atBottom && !this.#isDetached && this.#queue.size === 0) this.follow();
    else if (!movedUp && nearBottom) this.#loadLater();
  }

  #pause() {
    this.following = false;
    this.#unseen = 0;
    this.#changed();
  }

  async #loadLater() {
    if (this.#isDetached && this.#history.isAvailable) {
      if (this.#rows.needsContext) return this.#loadContext(this.#rows.lastLine + 1);
      const generation = this.#generation;
      const entries = await this.#history.after(this.#rows.lastLine);
      if (!entries || generation !== this.#generation || this.#rows.needsContext) return;
      this.#rows.append(entries);
      this.#joinQueue();
    } else if (this.#isDetached) {
      this.#rows.append([NOT_KEPT]);
      this.#isDetached = false;
    } else if (this.#queue.size > 0 && !this.#rows.needsContext) {
      this.#rows.append(this.#queue.take(ROWS_PER_SCROLL));
    }
    this.#scroll.keepInPlace(() => this.#rows.lastChunk, () => this.#trimTop());
    this.#changed();
  }

  /** Puts a page from the history in place of all rows, unless it has no entries or could not be loaded. */
  #replaceRows(page) {
    if (!page || page.entries.length === 0) return;
    this.#clearRows();
    this.#rows.begin(page.context);
    this.#rows.append(page.entries);
    this.#joinQueue();
  }

  /** Drops what has a row already from the queue, and finds out whether the rows now reach the queue. */
  #joinQueue() {
    const offset = this.#rows.lastEntry?.offset;
    const overlaps = this.#queue.first?.offset <= offset;
    this.#queue.dropThrough(offset);
    const nextLine = this.#queue.firstLine ?? this.#lastLiveLine + 1;
    this.#isDetached = !overlaps && this.#rows.lastLine + 1 < nextLine;
    this.#schedule();
  }

  #trimTop() {
    if (this.#rows.trimTop()) this.#isAtStart = false;
  }

  #clearRows() {
    this.#rows.clear();
    this.#isAtStart = false;
    this.#generation += 1;
  }
}

function unfinishedKey({ workerId = '', source = '' }) {
  return JSON.stringify([workerId, source]);
}
