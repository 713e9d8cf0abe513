// The rows in the page, at most MAX_ROWS of them, grouped into chunks of elements: adding or removing a chunk
// costs one layout, however many rows it has.
//
// A line that only writes in rows of earlier ones has no row of its own: those are drawn again. What it writes in a row that
// is no longer in the page, or not yet, becomes a row of its own.

import { element } from '../dom.js';
import { redrawLine, renderLine, renderMarker } from './entry_row.js';
import { Terminals } from './terminals.js';

export const MAX_ROWS = 10_000;
const CHUNK_ROWS = 250;
/** For so many lines without a row of their own it is known which row shows them. */
const MOST_LINES_WITHOUT_ROW = 10_000;

export class RowList {
  node = element('div', { class: 'rows' });
  #chunks = [];
  #size = 0;
  #highlightedLine = 0;
  #areLinesAlone;
  /** What the next line's terminals know; null where that is nothing. */
  #terminals = null;
  /** The terminals of the first lines in the page; null where these were shown after others that are gone. */
  #first = null;
  #nodes = new WeakMap();
  #nodesOfLines = new Map();
  /** What workers have not finished, below all rows. */
  unfinishedNode = element('div', { class: 'rows unfinished' });
  /** The finished lines that are drawn as unfinished ones would leave them. */
  #redrawn = new Set();

  /** @param {{areLinesAlone?: boolean}} options `areLinesAlone` where lines between those in the page are left out, as by a filter */
  constructor({ areLinesAlone = false } = {}) {
    this.#areLinesAlone = areLinesAlone;
  }

  /** Whether `begin` must be called before lines are added below. */
  get needsContext() {
    return this.#terminals === null && !this.#areLinesAlone;
  }

  /** Makes terminals that know `context`: the lines right before those that are added next. */
  begin(context) {
    this.#terminals = new Terminals(context);
    if (this.#chunks.length === 0) this.#first = this.#terminals;
  }

  get isFull() {
    return this.#size >= MAX_ROWS;
  }

  /** The line number of the first log line, or undefined. */
  get firstLine() {
    return this.#chunks.find((chunk) => chunk.firstLine)?.firstLine;
  }

  /** The line number of the last log line, or 0. */
  get lastLine() {
    return this.#chunks.findLast((chunk) => chunk.lastLine)?.lastLine ?? 0;
  }

  /** The last entry, of whatever kind, or undefined. */
  get lastEntry() {
    return this.#chunks.at(-1)?.lastEntry;
  }

  /** The element of the last rows, or undefined. */
  get lastChunk() {
    return this.#chunks.at(-1)?.node;
  }

  append(entries) {
    let rest = entries;
    while (rest.length > 0) {
      const last = this.#chunks.at(-1);
      const chunk = last && last.size < CHUNK_ROWS ? last : this.#appendChunk();
      const fitting = rest.slice(0, CHUNK_ROWS - chunk.size);
      this.#fill(chunk, fitting, this.#terminals);
      rest = rest.slice(fitting.length);
    }
    this.#afterAdding();
  }

  /**
   * Adds entries before the first row; `context` is the lines right before them. Returns false, and adds nothing, where the
   * lines in the page would have been shown otherwise had these been known.
   */
  prepend(entries, context) {
    const terminals = new Terminals(context);
    const chunks = [];
    for (let from = 0; from < entries.length; from += CHUNK_ROWS) {
      const chunk = newChunk();
      this.#fill(chunk, entries.slice(from, from + CHUNK_ROWS), terminals);
      chunks.push(chunk);
    }
    if (this.#first && !terminals.isFollowedBy(this.#first.beginning)) return false;
    this.#first = terminals;
    this.#chunks.unshift(...chunks);
    this.node.prepend(...chunks.map((chunk) => chunk.node));
    this.#afterAdding();
    return true;
  }

  /** Removes the oldest rows above the limit; returns whether there were any. */
  trimTop() {
    const hasTrimmed = this.#trim(() => this.#chunks.shift());
    if (hasTrimmed) {
      this.#first = null;
      this.#terminals?.release((shown) => !this.#nodes.get(shown)?.isConnected);
    }
    return hasTrimmed;
  }

  /** Removes the newest rows above the limit; returns whether there were any. */
  trimBottom() {
    const hasTrimmed = this.#trim(() => this.#chunks.pop());
    if (hasTrimmed) this.#terminals = null;
    return hasTrimmed;
  }

  clear() {
    this.node.replaceChildren();
    this.#chunks = [];
    this.#size = 0;
    this.#terminals = null;
    this.#first = null;
    this.#nodesOfLines.clear();
    this.#redrawn.clear();
  }

  /** Shows these lines below the last row, and what they would change in the rows above, until it is called again. */
  showUnfinished(entries) {
    for (const shown of this.#redrawn) redrawLine(this.#nodes.get(shown), shown.rows);
    this.#redrawn.clear();
    this.unfinishedNode.replaceChildren(...entries.map((entry) => this.#renderUnfinished(entry)).filter((node) => node !== null));
  }

  #renderUnfinished(entry) {
    const terminals = this.#areLinesAlone ? null : this.#terminals;
    const { rows, changed } = (terminals ?? new Terminals()).preview(entry);
    for (const [shown, rowsNow] of changed) {
      if (!this.#nodes.has(shown)) continue;
      redrawLine(this.#nodes.get(shown), rowsNow);
      this.#redrawn.add(shown);
    }
    return rows.length === 0 ? null : renderLine(entry, rows);
  }

  /** The row that shows a line, or null when none in the page does. */
  rowOf(line) {
    const node = document.getElementById(`L${line}`) ?? this.#nodesOfLines.get(line);
    return node?.isConnected ? node : null;
  }

  /** Highlights this line and no other, now or when its row is added. */
  highlight(line) {
    this.rowOf(this.#highlightedLine)?.classList.remove('linked');
    this.#highlightedLine = line;
    this.rowOf(line)?.classList.add('linked');
  }

  #appendChunk() {
    const chunk = newChunk();
    this.#chunks.push(chunk);
    this.node.append(chunk.node);
    return chunk;
  }

  #fill(chunk, entries, terminals) {
    const changed = new Set();
    const nodes = entries.map((entry) => this.#render(entry, terminals, changed)).filter((node) => node !== null);
    chunk.node.append(...nodes);
    for (const shown of changed) redrawLine(this.#nodes.get(shown), shown.rows);
    chunk.size += nodes.length;
    chunk.firstLine ??= entries.find((entry) => entry.line)?.line;
    chunk.lastLine = entries.findLast((entry) => entry.line)?.line ?? chunk.lastLine;
    chunk.lastEntry = entries.at(-1);
  }

  /** The row of an entry; null for a line that only `changed` others. */
  #render(entry, terminals, changed) {
    if (entry.kind !== 'log') return renderMarker(entry);
    if (this.#areLinesAlone) return renderLine(entry, new Terminals().write(entry).shown.rows);
    const { shown, changed: changedNow } = terminals.write(entry);
    changedNow.forEach((other) => changed.add(other));
    if (shown.rows.length === 0) {
      this.#noteLineWithoutRow(entry.line, changedNow);
      return null;
    }
    const node = renderLine(entry, shown.rows);
    this.#nodes.set(shown, node);
    return node;
  }

  #noteLineWithoutRow(line, changed) {
    const [shown] = changed;
    if (!shown) return;
    this.#nodesOfLines.set(line, this.#nodes.get(shown));
    if (this.#nodesOfLines.size > MOST_LINES_WITHOUT_ROW) this.#nodesOfLines.delete(this.#nodesOfLines.keys().next().value);
  }

  #afterAdding() {
    this.#size = this.#chunks.reduce((sum, chunk) => sum + chunk.size, 0);
    if (this.#highlightedLine) this.rowOf(this.#highlightedLine)?.classList.add('linked');
  }

  #trim(takeChunk) {
    const before = this.#chunks.length;
    while (this.#size > MAX_ROWS && this.#chunks.length > 1) {
      const chunk = takeChunk();
      chunk.node.remove();
      this.#size -= chunk.size;
    }
    return this.#chunks.length < before;
  }
}

function newChunk() {
  return { node: element('div', { class: 'chunk' }), size: 0, firstLine: undefined, lastLine: undefined, lastEntry: undefined };
}
