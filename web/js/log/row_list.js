// The rows in the page, at most MAX_ROWS of them, grouped into chunks of elements: adding or removing a chunk
// costs one layout, however many rows it has.

import { element } from '../dom.js';
import { renderEntry } from './entry_row.js';

export const MAX_ROWS = 10_000;
const CHUNK_ROWS = 250;

export class RowList {
  node = element('div', { class: 'rows' });
  #chunks = [];
  #size = 0;
  #highlightedLine = 0;

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
      this.#fill(chunk, fitting);
      rest = rest.slice(fitting.length);
    }
  }

  prepend(entries) {
    const chunks = [];
    for (let from = 0; from < entries.length; from += CHUNK_ROWS) {
      const chunk = newChunk();
      this.#fill(chunk, entries.slice(from, from + CHUNK_ROWS));
      chunks.push(chunk);
    }
    this.#chunks.unshift(...chunks);
    this.node.prepend(...chunks.map((chunk) => chunk.node));
  }

  /** Removes the oldest rows above the limit; returns whether there were any. */
  trimTop() {
    return this.#trim(() => this.#chunks.shift());
  }

  /** Removes the newest rows above the limit; returns whether there were any. */
  trimBottom() {
    return this.#trim(() => this.#chunks.pop());
  }

  clear() {
    this.node.replaceChildren();
    this.#chunks = [];
    this.#size = 0;
  }

  /** The row of a line, or null when it is not in the page. */
  rowOf(line) {
    return document.getElementById(`L${line}`);
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

  #fill(chunk, entries) {
    chunk.node.append(...entries.map(renderEntry));
    chunk.size += entries.length;
    chunk.firstLine ??= entries.find((entry) => entry.line)?.line;
    chunk.lastLine = entries.findLast((entry) => entry.line)?.line ?? chunk.lastLine;
    chunk.lastEntry = entries.at(-1);
    this.#size += entries.length;
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
